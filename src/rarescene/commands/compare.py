"""`rarescene compare`: the table of strategies, at equal steps, seeds and recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rarescene.evaluation import ComparisonTable, RecordingOverlap
from rarescene.evaluation import compare as compared
from rarescene.foundation.console import CONSOLE, say
from rarescene.foundation.errors import ConfigError, RareSceneError
from rarescene.foundation.files import write_json
from rarescene.foundation.run_record import read_record
from rarescene.reports.from_json import read_metrics
from rarescene.scenes import ClassTable, open_scenes
from rarescene.scenes.data import class_ids
from rarescene.scenes.statistics import rare_classes


@dataclass(frozen=True)
class Scored:
    """Scored runs of one class table.

    Attributes:
        metrics: strategy → seed → what `evaluate` wrote.
        runs: strategy → seed → folder of the run.
        table: the class table.
        equal_steps: whether all had the same optimiser steps, batch size and image size.
    """

    metrics: dict[str, dict[int, dict[str, Any]]]
    runs: dict[str, dict[int, Path]]
    table: ClassTable
    equal_steps: bool

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies, in the order in which their runs were given."""
        return list(self.metrics)

    def compared(
        self, baseline: str, rare: Sequence[str], score: Literal["iou", "dice"] = "iou"
    ) -> ComparisonTable:
        """Return every strategy against the baseline."""
        runs = {
            strategy: {
                seed: {name: RecordingOverlap.from_dict(value) for name, value in one["recordings"].items()}
                for seed, one in by_seed.items()
            }
            for strategy, by_seed in self.metrics.items()
        }
        return compared(runs, self.table.names, baseline=baseline, rare=rare, score=score)


def compare(
    runs: list[Path],
    *,
    baseline: str | None = None,
    classes: str = "",
    score: Literal["iou", "dice"] = "iou",
    out: Path | None = None,
) -> None:
    """Compare strategies: means, intervals over recordings, effect sizes, corrected p-values.

    Runs of one strategy with other seeds are averaged. All runs must have been scored on the same masks.

    Args:
        runs: folders of `rarescene segment` that `rarescene evaluate` has scored.
        baseline: the strategy that the others are compared with; by default that of the first run.
        classes: comma-separated classes to compare one by one; by default those that the statistics of the
            first run's data call rare, as in a report.
        score: iou or dice.
        out: JSON file to write as well.
    """
    from rarescene.reports import comparison_table, comparisons

    scored = read_scored(runs)
    rare = _rare_classes(scored, runs[0], classes)
    found = scored.compared(baseline or scored.strategies[0], rare, score)
    CONSOLE.print(comparison_table(comparisons(found.to_dict(), equal_steps=scored.equal_steps)))
    if out is not None:
        write_json(out, found.to_dict())
        say(f"written to {out}")


def read_scored(runs: Sequence[Path]) -> Scored:
    """Read the metrics of several runs.

    Raises:
        ConfigError: two runs are of the same strategy and seed, or of different class tables.
    """
    metrics: dict[str, dict[int, dict[str, Any]]] = {}
    folders: dict[str, dict[int, Path]] = {}
    found = [(run, read_metrics(run)) for run in runs]
    segmenters = {one["segmenter"] for _, one in found}
    for run, one in found:
        name, seed = (
            one["strategy"] if len(segmenters) == 1 else f"{one['segmenter']} {one['strategy']}",
            one["seed"],
        )
        if seed in metrics.setdefault(name, {}):
            remedy = "Give each run once, and train further runs with another --seed."
            raise ConfigError(f"two runs are of strategy {name!r} and seed {seed}", remedy, run)
        metrics[name][seed] = one
        folders.setdefault(name, {})[seed] = run
    tables = [ClassTable.from_dict(one["classes"]) for _, one in found]
    if len({table.fingerprint for table in tables}) != 1:
        raise ConfigError("the runs have different class tables", "Compare runs on the same data.")
    budgets = {(one["steps"], one["batch_size"], *one["size"]) for _, one in found}
    return Scored(metrics, folders, tables[0], len(budgets) == 1)


def _rare_classes(scored: Scored, run: Path, classes: str) -> tuple[str, ...]:
    """Return the classes named, or those that the data of the run call rare.

    Raises:
        ConfigError: a class is not known, or the data are asked and cannot be opened.
    """
    if classes:
        return tuple(scored.table.names[index] for index in class_ids(scored.table, classes))
    record = read_record(run, "segmenter")
    try:
        scenes = open_scenes(record.provenance.spec, group_by=record.provenance.options["group_by"])
    except RareSceneError as error:
        what = f"the data that tell which classes are rare cannot be opened ({error.what})"
        raise ConfigError(
            what, "Name the rare classes with --classes, or restore the data.", error.path
        ) from error
    return rare_classes(scenes)
