"""Average precision of the pixels of each class: the area under precision over recall, from all thresholds.

IoU and Dice judge one decision a pixel; this judges how well the probabilities rank the pixels, decided or
not.

    AP = Σ_n (R_n - R_{n-1}) P_n

Scores are kept as histograms, so that a data set of any size takes the memory of one. Their edges are even
in the logit, since the probabilities of rare classes crowd near 0 and those of sure ones near 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.evaluation.bootstrap import Floats, known_or_none, mean_of_known
from rarescene.foundation.methods import Column, MetricMethod, in_per_cent
from rarescene.foundation.protocols import Predicted

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 10
"""Thresholds per logit."""

REACH = 12
"""The largest threshold in logits, up and down: 6e-6 from 0 and 1."""

BINS = 2 * REACH * STEPS + 2
"""One below the lowest threshold, and one above each."""


@dataclass(frozen=True)
class PrecisionScores:
    """Average precisions, 0 to 1; None where the reference shows nothing to be precise about.

    Attributes:
        classes: each class over the pixels of the whole data set; None for one that the reference never
            shows.
        sample_mean: each frame's mean over the classes in its reference, then the mean over frames.
        sample_median: the median over frames of the same.
    """

    classes: tuple[float | None, ...]
    label_mean: float | None
    sample_mean: float | None
    sample_median: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class AveragePrecisionMeter:
    """Gathers predictions batch by batch."""

    def __init__(self, classes: int, ignore_index: int = 255) -> None:
        import torch

        self.classes, self.ignore_index = classes, ignore_index
        self._all = torch.zeros(classes, BINS, dtype=torch.int64)
        self._positive = torch.zeros_like(self._all)
        self._samples: list[Floats] = []

    def update(self, predicted: Predicted) -> None:
        """Add a batch."""
        import torch

        probabilities = predicted.probabilities
        masks = predicted.masks.to(probabilities.device)
        ids = torch.arange(self.classes, device=masks.device)[:, None]  # (C, 1)
        for scores, mask in zip(probabilities, masks, strict=True):
            labelled = mask != self.ignore_index
            levels = torch.logit(scores[:, labelled], eps=1e-7).add_(REACH).mul_(STEPS).floor_()  # (C, N)
            cells = ids * BINS + levels.long().add_(1).clamp_(0, BINS - 1)
            positive = cells[mask[labelled], torch.arange(cells.shape[1], device=cells.device)]  # (N,)
            counts = [
                torch.bincount(one.flatten(), minlength=self.classes * BINS).reshape(-1, BINS).cpu()
                for one in (cells, positive)
            ]
            self._all += counts[0]
            self._positive += counts[1]
            self._samples.append(_average_precision(*counts))

    def result(self) -> PrecisionScores:
        """Return the average precisions over all that was added."""
        classes = _average_precision(self._all, self._positive)
        frames = mean_of_known(np.stack(self._samples)) if self._samples else np.full(1, np.nan)
        known = frames[~np.isnan(frames)]
        return PrecisionScores(
            classes=tuple(known_or_none(value) for value in classes),
            label_mean=known_or_none(float(mean_of_known(classes))),
            sample_mean=float(known.mean()) if len(known) else None,
            sample_median=float(np.median(known)) if len(known) else None,
        )


def _average_precision(everything: Tensor, positive: Tensor) -> Floats:
    """Return the average precision of each class, `(C,)`, NaN without a positive, from counts `(C, bins)`."""
    # From the highest score down: what is called positive at each threshold, and what of it is.
    called, hits = (counts.flip(1).cumsum(dim=1).double().numpy() for counts in (everything, positive))
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    total = hits[:, -1]
    gained = np.diff(hits, axis=1, prepend=0.0)  # (R_n - R_{n-1}) × positives
    return np.divide(
        (gained * precision).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )


def _columns(found: Mapping[str, Any]) -> Sequence[Column]:
    means = {name.replace("_", " "): in_per_cent(found[name]) for name in found if name != "classes"}
    return (Column("average precision", [in_per_cent(one) for one in found["classes"]], means),)


AVERAGE_PRECISION = MetricMethod(
    name="average_precision",
    summary="How well the probabilities rank the pixels, of a class and of the frames",
    build=lambda table, segmenter: AveragePrecisionMeter(len(table), table.ignore_index),
    columns=_columns,
)
