"""What `rarescene evaluate` found of a run, as it lies in its folder, and of several runs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from rarescene.evaluation.arms import Trained, arm_names
from rarescene.evaluation.overlap import MeanOverlap, OverlapScores, RecordingOverlap
from rarescene.evaluation.significance import ComparisonTable, compare
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes import ClassTable

METRICS = "metrics.json"
"""What `evaluate` found on the test recordings of real data, in the run's folder."""

VALIDATION_METRICS = "metrics_validation.json"
"""What it found on the validation recordings."""


@dataclass(frozen=True)
class RunMetrics:
    """What was found of one run.

    Attributes:
        steps: of its training; None where somebody else trained it, and likewise for the next two.
        batch_size: scenes of a step.
        size: height and width of its images.
        data: what it was scored on.
        scores: IoU and Dice.
        recordings: the same of each recording, which add up.
        measured: JSON values of what other metrics found, by their names.
        label: what its arm is called in comparisons; empty for what tells it from others.
    """

    segmenter: str
    strategy: str
    seed: int
    steps: int | None
    batch_size: int | None
    size: tuple[int, int] | None
    data: Mapping[str, Any]
    classes: ClassTable
    scores: OverlapScores
    recordings: Mapping[str, RecordingOverlap]
    measured: Mapping[str, Any]
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` takes them back."""
        return {name: getattr(self, name) for name in FIELDS} | {
            "size": None if self.size is None else list(self.size),
            "classes": self.classes.to_dict(),
            "scores": self.scores.to_dict(),
            "recordings": {name: overlap.to_dict() for name, overlap in self.recordings.items()},
            **self.measured,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RunMetrics:
        """Return what `to_dict` wrote."""
        found = config_from(
            cls,
            {name: value[name] for name in NEEDED}
            | {
                "label": value.get("label", ""),
                "classes": ClassTable.from_dict(value["classes"]),
                "scores": OverlapScores.from_dict(value["scores"]),
                "recordings": {
                    name: RecordingOverlap.from_dict(overlap) for name, overlap in value["recordings"].items()
                },
                "measured": {name: found for name, found in value.items() if name not in FIELDS},
            },
        )
        sizes = {len(one.frames) for one in found.recordings.values()} | {len(found.scores.classes)}
        if sizes != {len(found.classes)}:
            raise ValueError("the scores and the class table differ in length")
        return found


FIELDS = tuple(field.name for field in fields(RunMetrics) if field.name != "measured")
"""Names in `metrics.json` that no metric may have."""

NEEDED = tuple(name for name in FIELDS if name != "label")
"""Those that every one has; runs that were scored before there were labels have none."""


def read_metrics(run: Path) -> RunMetrics:
    """Return what `evaluate` wrote in a run folder.

    Raises:
        CheckpointError: it has not been called yet, or not since the run went on, or the file is damaged.
    """
    again = f"rarescene evaluate {run} --data DATA"
    if not (run / METRICS).is_file():
        raise CheckpointError("has not been scored yet", f"First: {again}", run)
    try:
        found = RunMetrics.from_dict(read_json(run / METRICS))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ConfigError) as error:
        what = f"does not hold the scores of a run ({getattr(error, 'what', error)})"
        raise CheckpointError(what, f"Write it again: {again}", run / METRICS) from error
    if (record := _record(run)) is not None and record.kind == "segmenter":
        steps = record.config["training"]["steps"]
        if steps != found.steps:
            what = f"holds the scores of {found.steps} steps, and the run was trained for {steps} since"
            raise CheckpointError(what, f"Write it again: {again}", run / METRICS)
    return found


def _record(run: Path) -> RunRecord | None:
    """Return the record beside a run's scores, if there is one."""
    return read_record(run) if (run / RECORD).is_file() else None


@dataclass(frozen=True)
class ScoredRuns:
    """Scored runs of one class table, gathered into arms: strategies, told apart by whatever differs in them.

    Attributes:
        metrics: arm → seed → what `evaluate` found.
        folders: arm → seed → folder of the run.
        equal_steps: whether all had the same optimiser steps, batch size and image size.
    """

    metrics: Mapping[str, Mapping[int, RunMetrics]]
    folders: Mapping[str, Mapping[int, Path]]
    classes: ClassTable
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
            strategy: {seed: one.recordings for seed, one in by_seed.items()}
            for strategy, by_seed in self.metrics.items()
        }
        return compare(runs, self.classes.names, baseline=baseline, rare=rare, score=score)

    def averaged(self) -> dict[str, OverlapScores]:
        """Return the scores of each strategy, averaged over its seeds, with intervals over recordings."""
        baseline, names = self.strategies[0], self.classes.names
        tables = {score: self.compared(baseline, names, score) for score in ("iou", "dice")}

        def mean(strategy: str, measure: str) -> dict[str, Any]:
            rows = {score: table.of(strategy, measure) for score, table in tables.items()}
            return {score: row.mean for score, row in rows.items()} | {
                f"{score}_interval": row.interval for score, row in rows.items()
            }

        found = {}
        for strategy, by_seed in self.metrics.items():
            some, *others = (one.scores for one in by_seed.values())
            false = {
                entry.name: sum(one.of(entry.name).false_pixels for one in (some, *others)) // len(by_seed)
                for entry in some.classes
            }
            found[strategy] = replace(
                some,
                classes=tuple(
                    replace(entry, false_pixels=false[entry.name], **mean(strategy, entry.name))
                    for entry in some.classes
                ),
                label_mean=MeanOverlap(**mean(strategy, "label mean")),
                sample_mean=MeanOverlap(**mean(strategy, "sample mean")),
                sample_median=MeanOverlap(**mean(strategy, "sample median")),
                notes=tables["iou"].notes,
            )
        return found


def read_scored(runs: Sequence[Path]) -> ScoredRuns:
    """Read the metrics of several runs, and gather those that differ in the seed alone (`arms`).

    Raises:
        ConfigError: two runs are of the same arm and seed, or of different class tables.
    """
    metrics: dict[str, dict[int, RunMetrics]] = {}
    folders: dict[str, dict[int, Path]] = {}
    found = [(run, read_metrics(run)) for run in runs]
    names = arm_names(
        [Trained.of(one.label, one.strategy, one.segmenter, _record(run)) for run, one in found]
    )
    for name, (run, one) in zip(names, found, strict=True):
        if one.seed in metrics.setdefault(name, {}):
            remedy = "Give each run once, train further ones with another --seed, or give arms other labels."
            raise ConfigError(f"two runs are of {name!r} and seed {one.seed}", remedy, run)
        metrics[name][one.seed] = one
        folders.setdefault(name, {})[one.seed] = run
    tables = [one.classes for _, one in found]
    if len({table.fingerprint for table in tables}) != 1:
        raise ConfigError("the runs have different class tables", "Compare runs on the same data.")
    budgets = {(one.steps, one.batch_size, one.size) for _, one in found}
    equal = len(budgets) == 1 and None not in next(iter(budgets))
    return ScoredRuns(metrics, folders, tables[0], equal)
