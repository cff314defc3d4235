"""Scenes as batches of tensors, and sizes that a network's strides divide."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.errors import DataError


def to_tensors(images: np.ndarray, masks: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return images float32 `(B, 3, H, W)` in [-1, 1] and masks int64 `(B, H, W)`.

    Args:
        images: uint8 `(B, H, W, 3)`.
        masks: uint8 `(B, H, W)`.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    return pixels.div_(127.5).sub_(1).contiguous(), torch.from_numpy(np.ascontiguousarray(masks)).long()


def to_arrays(images: Tensor, masks: Tensor | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return uint8 `(B, H, W, 3)` and uint8 `(B, H, W)`, the inverse of `to_tensors`, clamped to [-1, 1].

    Raises:
        DataError: an image holds NaN or infinite values.
    """
    if not torch.isfinite(images).all():
        raise DataError(
            "an image holds NaN or infinite values", "Train again with a lower learning rate, or in fp32."
        )
    pixels = images.detach().float().add(1).mul(127.5).round().clamp(0, 255).byte()
    ids = None if masks is None else masks.detach().byte().cpu().numpy()
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy(), ids


def pad_to_multiple(
    images: Tensor | None, masks: Tensor | None, multiple: int, ignore_index: int = 255
) -> tuple[Tensor | None, Tensor | None]:
    """Pad a batch at the right and at the bottom until `multiple` divides both sides.

    Images `(B, C, H, W)` are continued by reflection, or by their last row and column where they are smaller
    than the padding; masks `(B, H, W)` by the ignore index. `cut_back` undoes it.
    """
    if images is not None:
        down, right = -images.shape[-2] % multiple, -images.shape[-1] % multiple
        if down or right:
            enough = down < images.shape[-2] and right < images.shape[-1]
            images = F.pad(images, (0, right, 0, down), mode="reflect" if enough else "replicate")
    if masks is not None:
        down, right = -masks.shape[-2] % multiple, -masks.shape[-1] % multiple
        masks = F.pad(masks, (0, right, 0, down), value=ignore_index)
    return images, masks


def cut_back(batch: Tensor, height: int, width: int) -> Tensor:
    """Return the batch `(…, H, W)` without what `pad_to_multiple` added."""
    return batch[..., :height, :width]
