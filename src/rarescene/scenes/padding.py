"""Sizes that a network's strides divide: batches are padded at the right and below, and cut back after."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_images(images: Tensor, multiple: int) -> Tensor:
    """Return images `(B, C, H, W)` continued by reflection until `multiple` divides both sides.

    Where an image is smaller than the padding, its last row and column are repeated instead.
    """
    height, width = images.shape[-2:]
    down, right = -height % multiple, -width % multiple
    enough = down < height and right < width
    return F.pad(images, (0, right, 0, down), mode="reflect" if enough else "replicate")


def pad_masks(masks: Tensor, multiple: int, ignore_index: int = 255) -> Tensor:
    """Return masks `(B, H, W)` continued by the ignore index until `multiple` divides both sides."""
    height, width = masks.shape[-2:]
    return F.pad(masks, (0, -width % multiple, 0, -height % multiple), value=ignore_index)


def cut_back(batch: Tensor, height: int, width: int) -> Tensor:
    """Return the batch `(…, H, W)` without its padding."""
    return batch[..., :height, :width]
