"""Sizes that a network's strides divide: batches are padded, and what comes out is cut back."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
