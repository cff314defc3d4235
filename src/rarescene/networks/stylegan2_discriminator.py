"""The residual discriminator of StyleGAN2, and the encoder that shares its body.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, Fig. 7c.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.networks.config import StyleGan2Config
from rarescene.networks.equalised import EqualConv, EqualLinear, activate, halve, smooth
from rarescene.networks.stylegan2 import IMAGE_CHANNELS

GROUP = 4
"""Images that are compared with each other by the minibatch standard deviation."""


class ResidualDown(nn.Module):
    """Two convolutions, the second of which halves height and width, beside a skip that does the same."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first = EqualConv(channels, channels, 3)
        self.second = EqualConv(channels, out, 3)
        self.skip = EqualConv(channels, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, out, H/2, W/2)` for `(B, channels, H, W)`."""
        y = activate(self.first(x))
        y = activate(self.second(smooth(y, 2), stride=2, padding=0))  # (B, out, H/2, W/2)
        return (y + self.skip(halve(x))) / math.sqrt(2)


class ResidualBody(nn.Module):
    """Images to the features of the coarsest level."""

    def __init__(self, config: StyleGan2Config) -> None:
        super().__init__()
        self.config = config
        self.stem = EqualConv(IMAGE_CHANNELS * config.patch**2, config.channels[0], 1)
        pairs = zip(config.channels[:-1], config.channels[1:], strict=True)
        self.blocks = nn.Sequential(*(ResidualDown(*pair) for pair in pairs))

    def forward(self, images: Tensor) -> Tensor:
        """Return `(B, C, H/stride, W/stride)` for images `(B, 3, H, W)`."""
        return self.blocks(activate(self.stem(F.pixel_unshuffle(images, self.config.patch))))


class StyleGan2Discriminator(nn.Module):
    """Images to how real they look.

    Args:
        config: sizes, those of the generator.
        height: of the images, in pixels, a multiple of `config.stride`.
        width: likewise.
    """

    def __init__(self, config: StyleGan2Config, height: int, width: int) -> None:
        super().__init__()
        deep, stride = config.channels[-1], config.stride
        self.body = ResidualBody(config)
        self.last = EqualConv(deep + 1, deep, 3)
        self.dense = EqualLinear(deep * (height // stride) * (width // stride), deep)
        self.judge = EqualLinear(deep, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(B,)`, high for real, for images `(B, 3, H, W)`."""
        x = with_batch_deviation(self.body(images))  # (B, C + 1, H/stride, W/stride)
        x = activate(self.dense(activate(self.last(x)).flatten(1)))  # (B, C)
        return self.judge(x).squeeze(1)


class StyleGan2Encoder(nn.Module):
    """Images to latents w+, as offsets from the generator's mean latent.

    Args:
        config: sizes, those of the generator.
        height: of the images, in pixels, a multiple of `config.stride`.
        width: likewise.
        mean_w: `(D,)`.
    """

    mean_w: Tensor

    def __init__(self, config: StyleGan2Config, height: int, width: int, mean_w: Tensor) -> None:
        super().__init__()
        deep, stride, self.latents = config.channels[-1], config.stride, 2 * len(config.channels)
        self.body = ResidualBody(config)
        self.dense = EqualLinear(deep * (height // stride) * (width // stride), config.latent)
        self.head = EqualLinear(config.latent, self.latents * config.latent)
        self.register_buffer("mean_w", mean_w.detach().clone())

    def forward(self, images: Tensor) -> Tensor:
        """Return w+ `(B, 2L, D)` for images `(B, 3, H, W)`."""
        x = activate(self.dense(self.body(images).flatten(1)))  # (B, D)
        return self.mean_w + self.head(x).unflatten(1, (self.latents, -1))


def with_batch_deviation(x: Tensor, group: int = GROUP) -> Tensor:
    """Return `x` `(B, C, H, W)` with one channel more: how much the images of a group differ on average.

    A generator that makes the same image again and again is found out by it. Where `group` does not divide
    the batch, the largest smaller number that does is taken.
    """
    size = next(size for size in range(min(group, len(x)), 0, -1) if len(x) % size == 0)
    grouped = x.unflatten(0, (size, -1))  # (G, B/G, C, H, W)
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # (B/G,)
    channel = deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel], dim=1)
