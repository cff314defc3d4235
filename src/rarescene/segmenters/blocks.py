"""The convolutions that U-Net and PHiSeg are made of."""

from __future__ import annotations

from torch import nn


def convolutions(channels_in: int, channels: int, count: int = 2) -> nn.Sequential:
    """Return `count` convolutions of 3×3, each with group norm over 8 groups and SiLU; the size stays."""
    layers: list[nn.Module] = []
    for before in (channels_in, *[channels] * (count - 1)):
        layers += [
            nn.Conv2d(before, channels, 3, padding=1, bias=False),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers)
