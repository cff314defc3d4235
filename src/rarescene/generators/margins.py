"""The margin of a region that is drawn anew, over which a scene changes from what it was to what is drawn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_margin(regions: Tensor, margin: int) -> Tensor:
    """Return how free each pixel is, float32 `(B, 1, H, W)`: 1 within a region, 0 beyond its margin.

    A pixel k steps away, corners counting as one, is free by 1 − k/(margin + 1).

    Args:
        regions: bool `(B, H, W)`.
        margin: in pixels, 0 or more.
    """
    free = regions[:, None].float()
    grown = free
    for step in range(1, margin + 1):
        grown = F.max_pool2d(grown, 3, stride=1, padding=1)
        free = torch.maximum(free, grown * (1 - step / (margin + 1)))
    return free
