"""`rarescene benchmark`: does it help? All arms of a study, at equal steps, seeds and recordings."""

from __future__ import annotations

import shlex
from pathlib import Path

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.outputs import need_own_file
from rarescene.recipes.evidence.config import EvidenceConfig, read_evidence
from rarescene.recipes.scale import CONFIGS, chosen


@takes_text_for_paths
def benchmark(
    *,
    config: Path,
    out: Path,
    data: str = "",
    split: str = "",
    only: str = "",
    seeds: str = "",
) -> int:
    """Measure whether synthetic scenes help: train every arm of a study, and compare them.

    A study says in a YAML file which data, generator, segmenters, strategies and seeds it compares, all at
    equal optimiser steps. Its cells are trained one by one, and OUT/evidence.md is written anew after each.
    Runs lie in OUT/runs under addresses made of all that decides them: what is finished is taken, what was
    stopped goes on when the command is repeated, and several processes may share the work by --only and
    --seeds. A cell that fails is named, and the others go on; the exit status is then 1.

    Args:
        config: YAML file of the study, perhaps over a `base:`, or the name of one that ships:
            evidence-phantom, evidence-unlabelled, evidence-neopolyp.
        out: folder of the study; OUT/evidence.md and OUT/evidence.json are written.
        data: NAME:PATH of the real data, or a YAML file, in place of those of the study.
        split: how they are split, likewise: a rule or a file.
        only: comma-separated arms that are trained now; what other calls have trained is shown all the same.
        seeds: comma-separated seeds, likewise.
    """
    from rarescene.recipes.evidence.grid import Grid
    from rarescene.recipes.evidence.tables import Evidence, evidence

    study = read_evidence(config)
    spec, rule = _data(study, config, data, split)
    arms = chosen(only.split(","), list(study.arms), "the study has no arm {}") if only else list(study.arms)
    now = _seeds(study, seeds)
    name = config.stem if config.parent == CONFIGS else str(config)
    for suffix in ("md", "json"):
        need_own_file(out / f"evidence.{suffix}", "rarescene benchmark")
    words = {"data": data, "split": split, "out": str(out)}
    options = "".join(f" --{word} {shlex.quote(value)}" for word, value in words.items() if value)

    grid = Grid(study, spec, rule, out)

    def write() -> Evidence:
        """Write what is there so far; before anything is made, that tells whether the data can be opened."""
        found = evidence(grid, shlex.quote(name), options)
        found.write(out)
        return found

    cells = [
        cell for part in grid.parts for cell in grid.cells(part) if cell.arm in arms and cell.seed in now
    ]
    write()
    grid.train(cells, write)
    found = write()
    for sheet in found.sheets:
        show(sheet.for_terminal())
    for note in found.notes:
        say(f"· {note}")
    say(f"{len(grid.store.made)} runs were made now; written to {out / 'evidence.md'}")
    return 1 if grid.failures else 0


def _data(study: EvidenceConfig, config: Path, data: str, split: str) -> tuple[str, str]:
    """Return the real data and how they are split. Raises `ConfigError` where nobody says."""
    spec, rule = data or study.data.spec, split or study.data.split
    if spec is None or rule is None:
        lacks = " and ".join(word for word, value in (("--data", spec), ("--split", rule)) if value is None)
        raise ConfigError(f"the study needs {lacks}", study.data.wanted or f"Add {lacks}.", config)
    return spec, rule


def _seeds(study: EvidenceConfig, text: str) -> tuple[int, ...]:
    """Return the seeds that are trained now. Raises `ConfigError` for one that the study does not have."""
    if not text:
        return study.seeds
    known = {str(seed): seed for seed in study.seeds}
    return tuple(known[one] for one in chosen(text.split(","), list(known), "the study has no seed {}"))
