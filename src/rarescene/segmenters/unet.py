"""A compact U-Net (Ronneberger et al., 2015) that answers at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.networks.features import DEVIATION, MEAN, STAGES, EffNetLite0Stages
from rarescene.segmenters.base import SegmentationNetwork
from rarescene.segmenters.unet_config import UNetConfig


class UNet(SegmentationNetwork):
    """Two convolutions a level, group norm, skip connections; every input pixel has an answer of its own.

    The way down is such convolutions too, or a network that has seen ImageNet.
    """

    def __init__(self, config: UNetConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index, config.dice)
        widths = config.widths
        self.down = Levels(widths) if config.encoder == "scratch" else ImageNetLevels(widths[0])
        skips = self.down.widths
        self.stride = 2 ** (len(skips) - 1)
        upper = [widths[min(level, len(widths) - 1)] for level in range(len(skips) - 1)]
        self.up = nn.ModuleList(
            convolutions(below + skip, width)
            for skip, (width, below) in zip(skips[:-1], pairwise((*upper, skips[-1])), strict=True)
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(widths[0], classes, 1)
        if isinstance(self.down, ImageNetLevels):
            self.mean.fill_(MEAN)
            self.deviation.fill_(DEVIATION)

    @property
    def backbone(self) -> nn.Module | None:
        """The encoder, if it has seen ImageNet."""
        return self.down.network if isinstance(self.down, ImageNetLevels) else None

    def take_pretrained(self) -> None:
        """Give the encoder its ImageNet weights, if it is to have such.

        Raises:
            CheckpointError: the weights are missing or are not those of the encoder.
        """
        if isinstance(self.down, ImageNetLevels):
            self.down.network.take_imagenet()

    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(B, C, H, W)` of normalised images `(B, 3, H, W)`."""
        skips = self.down(images.contiguous(memory_format=torch.channels_last))
        features = self.dropout(skips.pop())
        for block in reversed(self.up):
            above = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([above, skips.pop()], dim=1))  # (B, widths[l], H/2^l, W/2^l)
        return self.head(features)


class Levels(nn.ModuleList):
    """The way down from scratch: two convolutions a level, each at half the resolution of the one before."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(convolutions(before, width) for before, width in pairwise((3, *widths)))
        self.widths = tuple(widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return a map `(B, widths[l], H/2^l, W/2^l)` of each level l."""
        maps = []
        features = images
        for level, block in enumerate(self):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            maps.append(features)
        return maps


class ImageNetLevels(nn.Module):
    """The way down through EfficientNet-Lite0, whose weights have seen ImageNet.

    Its finest map is at half the resolution, where a vessel of two pixels is one. Beside it a stem of two
    convolutions from scratch looks at the image as it is.

    The batch norms keep the running statistics of ImageNet (`FrozenNorm`): batches here are small, and their
    scenes near-copies of one another, so that statistics taken of them would be noise in training and another
    network afterwards; and an average of weights over steps would not fit to an average of statistics.
    """

    DEEPEST = (0, 1, 2, 4, 6)
    """The last stage at each of the strides 2, 4, 8, 16 and 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = convolutions(3, width)
        self.network = EffNetLite0Stages()
        found = [STAGES[stage][-1] for stage in self.DEEPEST]
        self.widths = (width, *found)
        # Its maps have a deviation of about 10, and would drown what comes up from below, of less than 1.
        self.norms = nn.ModuleList(nn.Sequential(nn.GroupNorm(8, c), nn.SiLU()) for c in found)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return a map `(B, widths[l], H/2^l, W/2^l)` of each level l, the image's own resolution first."""
        maps = self.network.stages(images)
        found = [norm(maps[stage]) for norm, stage in zip(self.norms, self.DEEPEST, strict=True)]
        return [self.stem(images), *found]


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
