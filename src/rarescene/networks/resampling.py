"""Halving and doubling of feature maps by the bilinear filter [1, 3, 3, 1], as StyleGAN2 does.

Sizes are even, and outside a map lies zero. A pixel of the coarse map lies in the middle of 2 × 2 fine ones,
so nothing is shifted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1.0, 3.0, 3.0, 1.0)


def smooth(x: Tensor, pad: int, *, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Return `x` `(B, C, H, W)` filtered along both sides, each channel alone.

    Args:
        x: the maps.
        pad: zeros put around them first; the result has `(H + 2 pad - 4) // stride + 1` rows.
        gain: factor on the result; with 1, a constant map stays as it is.
        stride: every how manieth row and column is kept.
    """
    return F.conv2d(x, _filter(x, gain), stride=stride, padding=pad, groups=x.shape[1])


def halve(x: Tensor) -> Tensor:
    """Return `(B, C, H/2, W/2)` for `(B, C, H, W)`."""
    return smooth(x, 1, stride=2)


def double(x: Tensor) -> Tensor:
    """Return `(B, C, 2H, 2W)` for `(B, C, H, W)`."""
    return F.conv_transpose2d(x, _filter(x, 4.0), stride=2, padding=1, groups=x.shape[1])


def _filter(x: Tensor, gain: float) -> Tensor:
    taps = torch.tensor(TAPS, device=x.device, dtype=x.dtype)
    kernel = gain * torch.outer(taps, taps) / taps.sum() ** 2
    return kernel.expand(x.shape[1], 1, *kernel.shape)
