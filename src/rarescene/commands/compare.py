"""`rarescene compare`: the table of strategies, at equal steps, seeds and recordings."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Literal

from rarescene.evaluation.run_metrics import ScoredRuns, read_scored
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import ConfigError, RareSceneError
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import alone_at, need_own_file
from rarescene.foundation.run_record import read_record
from rarescene.scenes.data import open_as_in
from rarescene.scenes.statistics import rare_classes


@takes_text_for_paths
def compare(
    runs: list[Path],
    *,
    baseline: str | None = None,
    classes: str = "",
    score: Literal["iou", "dice"] = "iou",
    out: Path | None = None,
) -> None:
    """Compare strategies: means, intervals over recordings, effect sizes, corrected p-values.

    Runs that differ in the seed alone are averaged; whatever else differs (an option, the synthetic set)
    makes an arm of its own, which is named by it. All runs must have been scored on the same masks.

    Args:
        runs: folders of `rarescene segment` that `rarescene evaluate` has scored, and of `rarescene score`.
        baseline: the arm that the others are compared with; by default that of the first run.
        classes: comma-separated classes to compare one by one; by default those that the statistics of the
            first run's data call rare, as in a report.
        score: iou or dice.
        out: JSON file to write as well.
    """
    from rarescene.evaluation import ComparisonTable
    from rarescene.reports import comparison_table

    need_own_file(out, *(f'"{field.name}"' for field in fields(ComparisonTable)))
    scored = read_scored(runs)
    rare = _rare_classes(scored, runs[0], classes)
    found = scored.compared(baseline or scored.strategies[0], rare, score)
    show(comparison_table(found))
    if out is not None:
        with alone_at(out):
            write_json(out, found.to_dict())
        say(f"written to {out}")


def _rare_classes(scored: ScoredRuns, run: Path, classes: str) -> tuple[str, ...]:
    """Return the classes named, or those that the data of the run call rare.

    Raises:
        ConfigError: a class is not known, or the data are asked and cannot be opened.
    """
    if classes:
        return tuple(scored.classes.names[index] for index in scored.classes.ids_in(classes))
    record = read_record(run)
    try:
        source = open_as_in(record.provenance)
    except RareSceneError as error:
        what = f"the data that tell which classes are rare cannot be opened ({error.what})"
        raise ConfigError(
            what, "Name the rare classes with --classes, or restore the data.", error.path
        ) from error
    return rare_classes(source)
