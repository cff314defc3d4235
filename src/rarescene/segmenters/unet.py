"""A compact U-Net (Ronneberger et al., 2015) that answers at full resolution."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.segmenters.base import SegmentationNetwork
from rarescene.segmenters.unet_config import UNetConfig


class UNet(SegmentationNetwork):
    """Two convolutions a level, group norm, skip connections; every input pixel has an answer of its own."""

    def __init__(self, config: UNetConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index, config.dice)
        widths = config.widths
        self.stride = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(convolutions(before, width) for before, width in pairwise((3, *widths)))
        self.up = nn.ModuleList(convolutions(below + width, width) for width, below in pairwise(widths))
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(B, C, H, W)` of normalised images `(B, 3, H, W)`."""
        features = images.contiguous(memory_format=torch.channels_last)
        skips = []
        for level, block in enumerate(self.down):
            features = block(
                features if level == 0 else F.max_pool2d(features, 2)
            )  # (B, widths[l], H/2^l, W/2^l)
            skips.append(features)
        features = self.dropout(skips.pop())
        for block in reversed(self.up):
            above = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([above, skips.pop()], dim=1))  # (B, widths[l], H/2^l, W/2^l)
        return self.head(features)


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
