"""Does a map survive an autoencoder? Per class, with an eye on what is rare and what is a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from rarescene.evaluation.confusion import confusion_matrices, hits_and_totals, scores_in_reference
from rarescene.evaluation.overlap import mean_of_known
from rarescene.foundation.errors import DataError

THIN = 2
"""Pixels: a region is thin if no square with a side of one more fits into it."""


@dataclass(frozen=True)
class ClassReconstruction:
    """How one class survives.

    Attributes:
        iou: from the confusion matrix of all maps; None where no map shows the class.
        scenes: maps that show it.
        kept: share of them whose reconstruction shows it too; None where there are none.
        thin_pixels: pixels of it in thin regions.
        thin_recall: share of them that are still of the class; None where there are none.
    """

    name: str
    iou: float | None
    scenes: int
    kept: float | None
    thin_pixels: int
    thin_recall: float | None


@dataclass(frozen=True)
class MapReconstruction:
    """How well maps are reconstructed.

    Attributes:
        label_mean: mean IoU of the classes that are shown.
        kept: share of all (map, class shown) whose reconstruction shows the class too.
        thin_pixels: labelled pixels in thin regions, of any class.
        thin_recall: share of them that keep their class; None where there are none.
    """

    classes: tuple[ClassReconstruction, ...]
    label_mean: float
    kept: float
    thin_pixels: int
    thin_recall: float | None
    scenes: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class ReconstructionMeter:
    """Gathers maps and their reconstructions batch by batch."""

    def __init__(self, classes: Sequence[str], ignore_index: int = 255) -> None:
        self.classes, self.ignore_index = tuple(classes), ignore_index
        count = len(self.classes)
        self.confusion = np.zeros((count, count), np.int64)
        self.shown, self.kept, self.thin, self.thin_kept = np.zeros((4, count), np.int64)
        self.scenes = 0

    def update(self, reconstructed: np.ndarray, masks: np.ndarray) -> None:
        """Add maps `(B, H, W)` of class ids and what became of them.

        Raises:
            DataError: shapes differ, or an id is that of no class.
        """
        matrices = confusion_matrices(reconstructed, masks, len(self.classes), self.ignore_index)
        self.confusion += matrices.sum(axis=0)
        _, reference, predicted = hits_and_totals(matrices)
        self.shown += (reference > 0).sum(axis=0)
        self.kept += ((reference > 0) & (predicted > 0)).sum(axis=0)
        self.scenes += len(masks)
        for mask, found in zip(masks, reconstructed, strict=True):
            thin = thin_regions(mask, self.ignore_index)
            kept = thin & (mask == found)
            self.thin += np.bincount(mask[thin], minlength=len(self.classes))
            self.thin_kept += np.bincount(mask[kept], minlength=len(self.classes))

    def result(self) -> MapReconstruction:
        """Return the scores of all that was added. Raises `DataError` if no labelled pixel was."""
        if not self.confusion.any():
            raise DataError("no labelled pixel was reconstructed", "Check that the masks are not ignored.")
        ious = scores_in_reference(*hits_and_totals(self.confusion))[0]
        entries = tuple(
            ClassReconstruction(
                name,
                float(ious[c]) if self.shown[c] else None,
                int(self.shown[c]),
                _share(self.kept[c], self.shown[c]),
                int(self.thin[c]),
                _share(self.thin_kept[c], self.thin[c]),
            )
            for c, name in enumerate(self.classes)
        )
        return MapReconstruction(
            entries,
            float(mean_of_known(ious)),
            float(self.kept.sum() / self.shown.sum()),
            int(self.thin.sum()),
            _share(self.thin_kept.sum(), self.thin.sum()),
            self.scenes,
        )


def thin_regions(mask: np.ndarray, ignore_index: int = 255) -> np.ndarray:
    """Return where a map `(H, W)` has thin regions, bool `(H, W)`.

    A region is a connected piece of one class, corners included; it is thin if it is nowhere wider than two
    pixels: no square of 3×3 pixels fits into it. Ignored pixels belong to none.
    """
    square = np.ones((THIN + 1, THIN + 1), bool)
    thin = np.zeros(mask.shape, bool)
    for class_id in np.unique(mask[mask != ignore_index]):
        shown = mask == class_id
        pieces, count = ndimage.label(shown, structure=np.ones((3, 3), bool))
        wide = np.unique(pieces[ndimage.binary_erosion(shown, square)])
        is_thin = np.ones(count + 1, bool)
        is_thin[wide] = is_thin[0] = False
        thin |= is_thin[pieces]
    return thin


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
