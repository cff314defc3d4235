"""Layers with an equalised learning rate (Karras et al. 2018): weights of unit variance, scaled in use.

With them, one learning rate of Adam suits all layers of StyleGAN2, whatever their widths.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


def activate(x: Tensor) -> Tensor:
    """Return the leaky rectification of `x`, scaled so that a unit variance is kept."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2)


class EqualLinear(nn.Module):
    """A linear layer.

    Args:
        features: in.
        out: features out.
        bias: the value that the bias starts from.
        rate: factor on the layer's learning rate; the mapping network's is 0.01.
    """

    def __init__(self, features: int, out: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, features) / rate)
        self.bias = nn.Parameter(torch.full((out,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(features), rate

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, out)` for `(B, features)`."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution of an odd kernel.

    Args:
        channels: in.
        out: channels out.
        kernel: its side.
        bias: whether there is a bias; it starts from 0.
    """

    def __init__(self, channels: int, out: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.scale, self.padding = 1 / math.sqrt(channels * kernel**2), kernel // 2

    def forward(self, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
        """Return `(B, out, H, W)` for `(B, channels, H, W)`; another stride or padding gives another size."""
        pad = self.padding if padding is None else padding
        return F.conv2d(x, self.weight * self.scale, self.bias, stride=stride, padding=pad)


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
