"""Whether a segmenter is right as often as it says: the expected calibration error (Naeini et al., 2015).

Each labelled pixel goes into the bin of its confidence, the probability of the class it is predicted as;
the error is the mean over pixels of the difference between a bin's mean confidence and the share of it that
is right. Of a class, it is the same over the pixels predicted as that class: it tells how far "90 % blood"
can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rarescene.foundation.methods import Column, MetricMethod, in_per_cent
from rarescene.foundation.protocols import Predicted

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CalibrationScores:
    """The expected calibration error, 0 to 1; None without a pixel.

    Attributes:
        error: over all labelled pixels.
        classes: over the pixels predicted as each class, in the order of the ids; None for one never
            predicted.
        confidence: mean confidence in each bin, None for an empty one.
        accuracy: share of right pixels in each bin, likewise.
        pixels: pixels in each bin.
    """

    error: float | None
    classes: tuple[float | None, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    pixels: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "error": self.error,
            "classes": list(self.classes),
            "bins": {
                "confidence": list(self.confidence),
                "accuracy": list(self.accuracy),
                "pixels": list(self.pixels),
            },
        }


class CalibrationMeter:
    """Gathers predictions batch by batch.

    Args:
        bins: bins of equal width between 0 and 1.
    """

    def __init__(self, classes: int, ignore_index: int = 255, bins: int = 15) -> None:
        import torch

        self.classes, self.ignore_index, self.bins = classes, ignore_index, bins
        # Pixels, the sum of their confidences, and how many are right: by predicted class and bin.
        self._totals = torch.zeros(3, classes * bins, dtype=torch.float64)

    def update(self, predicted: Predicted) -> None:
        """Add a batch."""
        import torch

        confidence, ids = predicted.probabilities.max(dim=1)  # (B, H, W)
        masks = predicted.masks.to(ids.device)
        counted = masks != self.ignore_index
        confidence, ids, right = confidence[counted], ids[counted], (ids == masks)[counted]
        cells = ids * self.bins + (confidence * self.bins).long().clamp(max=self.bins - 1)
        for total, weights in zip(
            self._totals, (torch.ones_like(confidence), confidence, right), strict=True
        ):
            total += torch.bincount(cells, weights.double(), minlength=len(total)).cpu()

    def result(self) -> CalibrationScores:
        """Return the errors over all that was added."""
        by_class = self._totals.reshape(3, self.classes, self.bins)
        pixels, confidence, right = whole = by_class.sum(dim=1)  # (3, bins)
        means = [
            tuple(
                total / count if count else None
                for total, count in zip(one.tolist(), pixels.tolist(), strict=True)
            )
            for one in (confidence, right)
        ]
        return CalibrationScores(
            error=_error(whole),
            classes=tuple(_error(one) for one in by_class.unbind(dim=1)),
            confidence=means[0],
            accuracy=means[1],
            pixels=tuple(int(count) for count in pixels.tolist()),
        )


def _error(totals: Tensor) -> float | None:
    """Return Σ_b n_b / n |confidence_b - accuracy_b|, given pixels, confidences and hits by bin."""
    pixels, confidence, right = totals  # (bins,) each
    count = float(pixels.sum())
    return float((confidence - right).abs().sum()) / count if count else None


def _columns(found: Mapping[str, Any]) -> Sequence[Column]:
    whole = {"all pixels": in_per_cent(found["error"])}
    return (Column("calibration error", [in_per_cent(one) for one in found["classes"]], whole),)


CALIBRATION = MetricMethod(
    name="calibration",
    summary="By how much a segmenter's confidence is off, over the pixels predicted as a class",
    build=lambda table, segmenter: CalibrationMeter(len(table), table.ignore_index),
    columns=_columns,
)
