"""The map as the network sees it: one channel a class, and one for what nobody labelled."""

from __future__ import annotations

import torch
from torch import Tensor

from rarescene.foundation.errors import DataError


def one_hot_layout(masks: Tensor, classes: int, ignore_index: int = 255) -> Tensor:
    """Return the one-hot layout of `masks`.

    Args:
        masks: int64 `(B, H, W)` of class ids in [0, classes), or `ignore_index` where unlabelled.
        classes: length of the class table.
        ignore_index: the id of unlabelled pixels.

    Returns:
        float32 `(B, classes + 1, H, W)` of zeros and ones; the last channel marks the unlabelled pixels.

    Raises:
        DataError: a mask holds an id that is neither a class nor `ignore_index`.
    """
    ignored = masks == ignore_index
    stray = masks[~ignored & ((masks < 0) | (masks >= classes))]
    if stray.numel():
        what = f"a mask holds the id {int(stray[0])}, but the class table has ids 0 to {classes - 1}"
        raise DataError(what, f"Relabel it, or mark such pixels with the ignore id {ignore_index}.")
    batch, height, width = masks.shape
    layout = torch.zeros(batch, classes + 1, height, width, device=masks.device)
    return layout.scatter_(1, masks.long().masked_fill(ignored, classes).unsqueeze(1), 1.0)
