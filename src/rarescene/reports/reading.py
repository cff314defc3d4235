"""From the JSON of a run folder to what a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rarescene.reports.content import ClassScore, Estimate, MeanScore, RunScores


def run_scores(
    name: str, overlap: Mapping[str, Any], *, seeds: Sequence[int] = (), stride: int = 1, confusion: Any = None
) -> RunScores:
    """Return the scores of a run from the JSON of `OverlapScores.to_dict`.

    Args:
        name: heads the run's column.
        overlap: the JSON.
        seeds: training seeds behind the scores.
        stride: pixels that one output cell of the segmenter spans along a side.
        confusion: confusion matrix `(C, C)` of all test pixels, rows by labels; or None.
    """
    classes = tuple(
        ClassScore(
            name=entry["name"],
            iou=_estimate(entry, "iou"),
            dice=_estimate(entry, "dice"),
            pixels=entry["pixels"],
            frames=entry["frames"],
            recordings=entry["recordings"],
            false_pixels=entry["false_pixels"],
        )
        for entry in overlap["classes"]
    )
    label_mean, sample_mean, sample_median = (
        MeanScore(_estimate(overlap[field], "iou"), _estimate(overlap[field], "dice"))
        for field in ("label_mean", "sample_mean", "sample_median")
    )
    matrix = None if confusion is None else tuple(tuple(int(pixels) for pixels in row) for row in confusion)
    return RunScores(
        name, classes, label_mean, sample_mean, sample_median, tuple(seeds), stride, matrix, tuple(overlap["notes"])
    )


def _estimate(values: Mapping[str, Any], score: str) -> Estimate:
    bounds = values[f"{score}_interval"]
    if bounds is None:
        return Estimate(values[score])
    return Estimate(values[score], bounds["low"], bounds["high"])
