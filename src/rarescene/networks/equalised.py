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
