"""How unsure a Bayesian segmenter is, class by class, from its posterior samples.

The paper takes the mean over the pixels predicted as a class (GAUDA, Eq. 8). A class that is never
predicted would then have no uncertainty and never be helped, so the pixels labelled as the class count too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rarescene.evaluation.bootstrap import Floats
from rarescene.evaluation.confusion import confusion_matrices, hits_and_totals, scores_of
from rarescene.foundation.errors import DataError
from rarescene.foundation.methods import Column, MetricMethod
from rarescene.foundation.protocols import BayesianSegmenter, Predicted, Segmenter

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.scenes import ClassTable

Measure = Literal["variance", "mutual_information"]


def variance(posterior: Tensor) -> Tensor:
    """Return the variance of each class's probability over the samples (Eq. 8), `(B, C, H, W)`.

    It is 0 where all samples of the posterior `(M, B, C, H, W)` agree, and at most 1/4.
    """
    return (posterior - posterior.mean(dim=0)).square().mean(dim=0)


def mutual_information(posterior: Tensor) -> Tensor:
    """Return what a sample's identity tells about a pixel's class, in nats: H(mean p_m) - mean H(p_m).

    The same for all classes, `(B, 1, H, W)`: 0 where all samples of the posterior `(M, B, C, H, W)` agree, at
    most ln min(M, C).
    """
    import torch

    mean = posterior.mean(dim=0)
    entropies = torch.special.entr(posterior).sum(dim=2, keepdim=True)  # (M, B, 1, H, W)
    return (torch.special.entr(mean).sum(dim=1, keepdim=True) - entropies.mean(dim=0)).clamp(min=0)


MEASURES: Mapping[Measure, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"variance": variance, "mutual_information": mutual_information}
)


@dataclass(frozen=True)
class ClassUncertainty:
    """The uncertainty of each class.

    Attributes:
        values: mean over the pixels that are predicted or labelled as the class, in the order of the ids;
            None for a class that is neither.
        pixels: how many pixels these are.
    """

    values: tuple[float | None, ...]
    pixels: tuple[int, ...]
    measure: Measure

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"measure": self.measure, "values": list(self.values), "pixels": list(self.pixels)}


class UncertaintyMeter:
    """Gathers posterior samples batch by batch.

    Args:
        ignore_index: id of unlabelled pixels, which count nowhere, whatever is predicted there.
        measure: `variance` of the class's own probability, as in the paper, or `mutual_information`.
    """

    def __init__(self, classes: int, ignore_index: int = 255, measure: Measure = "variance") -> None:
        import torch

        self.classes, self.ignore_index, self.measure = classes, ignore_index, measure
        self._sums = torch.zeros(classes, dtype=torch.float64)
        self._pixels = torch.zeros(classes, dtype=torch.int64)

    def update(self, posterior: Tensor, masks: Tensor) -> None:
        """Add a batch.

        Args:
            posterior: probabilities `(M, B, C, H, W)`.
            masks: reference ids `(B, H, W)`, the ignore index where unlabelled.

        Raises:
            DataError: the shapes do not fit.
        """
        import torch

        _, batch, classes, *size = posterior.shape
        if classes != self.classes or tuple(masks.shape) != (batch, *size):
            what = f"a posterior of shape {tuple(posterior.shape)} came with masks of {tuple(masks.shape)}"
            raise DataError(what, f"Give (M, B, {self.classes}, H, W) and (B, H, W).")
        masks = masks.to(posterior.device)
        unsure = MEASURES[self.measure](posterior).double().expand(-1, classes, -1, -1)  # (B, C, H, W)
        ids = torch.arange(classes, device=masks.device)[:, None, None]  # (C, 1, 1)
        predicted = posterior.mean(dim=0).argmax(dim=1, keepdim=True)  # (B, 1, H, W)
        counted = ((predicted == ids) | (masks[:, None] == ids)) & (masks != self.ignore_index)[:, None]
        self._sums += (unsure * counted).sum(dim=(0, 2, 3)).cpu()
        self._pixels += counted.sum(dim=(0, 2, 3)).cpu()

    def result(self) -> ClassUncertainty:
        """Return the mean of each class over all that was added."""
        pixels = self._pixels.tolist()
        values = tuple(
            total / count if count else None for total, count in zip(self._sums.tolist(), pixels, strict=True)
        )
        return ClassUncertainty(values, tuple(pixels), self.measure)


class Uncertainties(dict[Measure, ClassUncertainty]):
    """The uncertainty of each class, by each measure."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {measure: one.to_dict() for measure, one in self.items()}


class UncertaintiesMeter:
    """Gathers every measure of the posterior samples of a Bayesian segmenter, at the size of its images."""

    def __init__(self, classes: int, ignore_index: int = 255) -> None:
        self._meters = [UncertaintyMeter(classes, ignore_index, measure) for measure in MEASURES]

    def update(self, predicted: Predicted) -> None:
        """Add a batch."""
        assert predicted.posterior is not None
        for meter in self._meters:
            meter.update(predicted.posterior, predicted.small)

    def result(self) -> Uncertainties:
        """Return the mean of each class over all that was added."""
        return Uncertainties({meter.measure: meter.result() for meter in self._meters})


def _meter(table: ClassTable, segmenter: Segmenter) -> UncertaintiesMeter | None:
    bayesian = isinstance(segmenter, BayesianSegmenter)
    return UncertaintiesMeter(len(table), table.ignore_index) if bayesian else None


def _columns(found: Mapping[str, Any]) -> Sequence[Column]:
    def shown(values: Sequence[float | None]) -> list[str]:
        return ["–" if value is None else f"{1000 * value:.1f}" for value in values]

    return [Column(measure.replace("_", " "), shown(one["values"])) for measure, one in found.items()]


UNCERTAINTY = MetricMethod(
    name="uncertainty",
    summary="How much the posterior samples of a Bayesian segmenter disagree, in thousandths",
    build=_meter,
    columns=_columns,
)


def generalised_energy_distance(
    samples: Tensor,
    references: Tensor,
    classes: int,
    ignore_index: int = 255,
    counted: Sequence[int] | None = None,
) -> Floats:
    """Return the squared distance of each scene, `(B,)`.

    The distance of two masks is one minus the mean IoU over the classes that either shows, and 0 if neither
    shows any. Means run over all pairs, a mask with itself included, so that no distance is below 0.

    Args:
        samples: class ids `(M, B, H, W)`, sampled from the segmenter.
        references: class ids `(N, B, H, W)`, the annotators'.
        ignore_index: pixels with this id in any reference of a scene are left out.
        counted: ids of the classes that count; all by default.

    Raises:
        DataError: shapes differ, or an id is that of no class.
    """
    ignored = (references == ignore_index).any(dim=0)  # (B, H, W)
    sampled, given = (
        [one.masked_fill(ignored, ignore_index) for one in masks] for masks in (samples, references)
    )
    chosen = list(range(classes) if counted is None else counted)

    def mean_distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> Floats:
        return np.mean([_distance(a, b, classes, ignore_index, chosen) for a in left for b in right], axis=0)

    return 2 * mean_distance(sampled, given) - mean_distance(sampled, sampled) - mean_distance(given, given)


def _distance(left: Tensor, right: Tensor, classes: int, ignore_index: int, chosen: list[int]) -> Floats:
    import torch

    confusion = confusion_matrices(torch.where(left == ignore_index, 0, left), right, classes, ignore_index)
    iou = scores_of(*hits_and_totals(confusion))[0][:, chosen]  # (B, classes), NaN where neither shows it
    shown = ~np.isnan(iou)
    return np.where(shown.any(axis=1), 1 - np.where(shown, iou, 0).sum(axis=1) / shown.sum(axis=1).clip(1), 0)
