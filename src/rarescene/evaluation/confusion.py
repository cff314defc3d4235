"""Confusion matrices and the two scores that come from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarescene.evaluation.bootstrap import Floats, divide
from rarescene.foundation.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Confusion = NDArray[np.int64]


def confusion_matrices(
    predictions: Tensor | ArrayLike, masks: Tensor | ArrayLike, classes: int, ignore_index: int
) -> Confusion:
    """Return one confusion matrix a frame, int64 `(B, C, C)`, rows by reference, columns by prediction.

    Args:
        predictions: class ids `(B, H, W)`.
        masks: reference ids `(B, H, W)`; pixels with `ignore_index` are left out, whatever is predicted.

    Raises:
        DataError: shapes differ, ids are no integers, or a counted id is not one of 0 to C-1.
    """
    import torch

    predicted, reference = (
        # Copied, since masks out of a memory-mapped cache are read-only, which torch warns about.
        given if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given))
        for given in (predictions, masks)
    )
    if predicted.shape != reference.shape or reference.ndim != 3 or predicted.is_floating_point():
        what = f"predictions are {predicted.dtype} {tuple(predicted.shape)}, masks {tuple(reference.shape)}"
        raise DataError(what, "Both must be class ids, (B, H, W), of equal size.")
    counted = reference != ignore_index
    frame = torch.arange(len(reference), device=reference.device)[:, None, None].expand_as(reference)[counted]
    rows, columns = reference[counted].long(), predicted.to(reference.device)[counted].long()
    for ids, kind in ((rows, "reference"), (columns, "prediction")):
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < classes:
            what = f"the {kind} holds id {int(ids.max() if ids.max() >= classes else ids.min())}"
            remedy = f"The ids of {classes} classes are 0 to {classes - 1}; is this the right class table?"
            raise DataError(what, remedy)
    cells = (frame * classes + rows) * classes + columns
    counts = torch.bincount(cells, minlength=len(reference) * classes * classes)
    return counts.reshape(len(reference), classes, classes).cpu().numpy()


def hits_and_totals(confusion: Confusion) -> tuple[Confusion, Confusion, Confusion]:
    """Return the pixels that agree, of the reference, and predicted, each `(..., C)`, from `(..., C, C)`."""
    return np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)


def scores_of(hits: Confusion, reference: Confusion, predicted: Confusion) -> Floats:
    """Return IoU and Dice of pixel counts `(..., C)` as `(2, ..., C)`; NaN for a class in neither mask.

    IoU = hits / (reference + predicted - hits), Dice = 2 hits / (reference + predicted).
    """
    both = (reference + predicted).astype(np.float64)
    iou = divide(hits.astype(np.float64), both - hits.astype(np.float64))
    return np.stack([iou, divide(2.0 * hits.astype(np.float64), both)])


def scores_in_reference(hits: Confusion, reference: Confusion, predicted: Confusion) -> Floats:
    """Return `scores_of` for the classes that the reference shows, NaN for all others, `(2, ..., C)`."""
    return np.where(reference > 0, scores_of(hits, reference, predicted), np.nan)
