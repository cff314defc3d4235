"""One column of tables and pages: the overlap scores of a run, or of a strategy over several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rarescene.evaluation.overlap import OverlapScores, RecordingOverlap
from rarescene.foundation.configs import config_from
from rarescene.foundation.plugins import method_of
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.formatting import count

if TYPE_CHECKING:
    from rarescene.evaluation import RunMetrics
    from rarescene.evaluation.confusion import Confusion


@dataclass(frozen=True)
class RunScores:
    """The scores of one run, or of one strategy over several seeds.

    Attributes:
        name: short; it heads a column.
        scores: IoU and Dice.
        seeds: training seeds behind the scores.
        cell: pixels of the picture that one output cell of the segmenter spans along a side.
        confusion: of all test recordings and seeds, int64 `(C, C)`, rows by label; None where not kept.
    """

    name: str
    scores: OverlapScores
    seeds: Sequence[int] = ()
    cell: float = 1
    confusion: Confusion | None = None

    def support(self, name: str) -> str:
        """Say how much of a class the test shows, and its size in output cells where these are coarse."""
        entry = self.scores.of(name)
        if entry.pixels == 0:
            return "not in the test recordings"
        text = f"{count(entry.frames, 'frame')}, {count(entry.recordings, 'recording')}"
        if self.cell > 1 and entry.frames:
            text += f", {entry.pixels / entry.frames / self.cell**2:.2g} output cells a frame"
        return text


def scores_of_run(name: str, record: RunRecord, metrics: RunMetrics) -> RunScores:
    """Return the column of a scored run, headed by `name`."""
    confusion = added_up(metrics.recordings.values())
    return RunScores(name, metrics.scores, (record.seed,), cell_of_run(record), confusion)


def added_up(recordings: Iterable[RecordingOverlap]) -> Confusion:
    """Return the confusion of all recordings together, int64 `(C, C)`."""
    first, *others = (one.confusion for one in recordings)
    return sum(others, first)


def cell_of_run(record: RunRecord) -> float:
    """Return the side of a segmenter's output cell, in pixels of the images that it sees."""
    method = method_of("segmenters", record.config["segmenter"], record.config.get("package"))
    cell: float = method.cell(config_from(method.config, record.config["model"]))
    return cell
