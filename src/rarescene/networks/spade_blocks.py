"""The parts of the SPADE U-Net: group norms with and without the map, the residual block, self-attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.foundation.errors import DataError

Term = tuple[Tensor, Tensor]
Resample = Literal["up", "down", "none"]


@dataclass(frozen=True)
class MapInput:
    """How a block hears of the map: channels of the map, hidden channels behind it, and the block's level."""

    channels: int
    hidden: int
    level: int


@dataclass(frozen=True)
class Modulation:
    """What the map has to say to every SPADE norm: computed once, it serves all denoising steps.

    A modulation of one map (batch 1) serves a batch of any size. It belongs to the network that made it, with
    the weights it had; to any other network, a copy included, it is the bare map.

    Attributes:
        layouts: the map at the size of each level, `(B, K, h, w)`, from the finest to the coarsest.
        terms: norm → `(1 + γ, β)`, each `(B, C, h, w)`. A norm that is missing here computes its own at each
            step.
    """

    layouts: tuple[Tensor, ...]
    terms: Mapping[SpadeNorm, Term] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory that the precomputed γ and β take."""
        return sum(part.numel() * part.element_size() for term in self.terms.values() for part in term)


def group_count(channels: int) -> int:
    """Return the groups of a group norm: 32, fewer where a group would have less than 4 channels.

    A group of one channel would take the mean colour of a small network's features away.
    """
    return math.gcd(32, channels // 4)


def group_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Normalise `(B, C, H, W)` per sample and group, in the dtype of `x`.

    The kernels sum in float32 whatever the dtype; autocast would also write, and pass on, twice the bytes.
    """
    weight, bias = (None if part is None else part.to(x.dtype) for part in (weight, bias))
    with torch.autocast(x.device.type, enabled=False):
        return F.group_norm(x, group_count(x.shape[1]), weight, bias)


def zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """Return `layer` with weight and bias 0, so that its block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class PlainNorm(nn.Module):
    """Group norm with a learned scale and shift per channel. Takes a modulation and leaves it alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Normalise `x (B, C, H, W)`."""
        return group_norm(x, self.weight, self.bias)


class SpadeNorm(nn.Module):
    """Spatially adaptive group norm (Park et al. 2019, section 3; Wang et al. 2022, Eq. 5).

    γ and β come from one convolution, which reads the hidden features once.
    """

    def __init__(self, channels: int, source: MapInput) -> None:
        super().__init__()
        self.level = source.level
        self.hidden = nn.Conv2d(source.channels, source.hidden, 3, padding=1)
        self.gamma_beta = nn.Conv2d(source.hidden, 2 * channels, 3, padding=1)

    def term(self, layout: Tensor) -> Term:
        """Return `(1 + γ, β)`, each `(B, C, h, w)`, of a map `(B, K, h, w)`."""
        gamma, beta = self.gamma_beta(F.relu(self.hidden(layout))).chunk(2, dim=1)
        return 1 + gamma, beta

    def cost(self, layout: Tensor) -> tuple[int, int]:
        """Return the multiply-adds and the bytes of the term of a map `(B, K, h, w)`."""
        pixels = layout.shape[0] * layout.shape[2] * layout.shape[3]
        operations = self.hidden.weight.numel() + self.gamma_beta.weight.numel()
        return pixels * operations, pixels * self.gamma_beta.out_channels * layout.element_size()

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Normalise `x (B, C, h, w)` and let the map scale and shift it."""
        term = modulation.terms.get(self)
        scale, shift = self.term(modulation.layouts[self.level]) if term is None else term
        # norm(x) · (1 + γ) + β
        return torch.addcmul(shift, group_norm(x), scale)


class ResidualBlock(nn.Module):
    """The residual block of Dhariwal and Nichol, BigGAN's when it changes the resolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        time_channels: channels of the time embedding.
        resample: double (`up`) or halve (`down`) height and width, inside the block.
        source: the map, if both norms listen to it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int,
        resample: Resample = "none",
        source: MapInput | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        after = source if source is None or resample != "up" else replace(source, level=source.level - 1)
        self.norm_in = PlainNorm(in_channels) if source is None else SpadeNorm(in_channels, source)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_channels, 2 * out_channels)
        self.norm_out = PlainNorm(out_channels) if after is None else SpadeNorm(out_channels, after)
        self.conv_out = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Return `(B, out, h', w')` of `x (B, in, h, w)` and the activated time embedding `(B, time)`."""
        h = F.silu(self.norm_in(x, modulation))
        h = self.conv_in(self._resampled(h))
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm_out(h, modulation), 1 + scale)
        return self.skip(self._resampled(x)) + self.conv_out(F.silu(h))

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.resample == "down" else x


class SelfAttention(nn.Module):
    """Multi-head self-attention over all pixels of a feature map, with a residual connection."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.norm = PlainNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, h, w)` of `x (B, C, h, w)`."""
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, C)
        qkv = self.qkv(tokens).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, d)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()  # (B, heads, N, d) each
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)  # (B, N, C)
        return x + self.out(attended).transpose(1, 2).reshape(batch, channels, height, width)


class Stage(nn.Module):
    """A residual block, followed by self-attention where the level attends."""

    def __init__(self, block: ResidualBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: Tensor, time: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Return `(B, C', h', w')` of `x (B, C, h, w)`."""
        x = self.block(x, time, modulation)
        return x if self.attention is None else self.attention(x)


def one_hot_layout(masks: Tensor, classes: int, ignore_index: int = 255) -> Tensor:
    """Return the one-hot layout of `masks`.

    Args:
        masks: int64 `(B, H, W)` of class ids in [0, classes), or `ignore_index` where unlabelled.
        classes: length of the class table.
        ignore_index: the id of unlabelled pixels.

    Returns:
        float32 `(B, classes + 1, H, W)` of zeros and ones; the last channel marks the unlabelled pixels.

    Raises:
        DataError: a mask holds an id that is neither a class nor `ignore_index`.
    """
    ignored = masks == ignore_index
    stray = masks[~ignored & ((masks < 0) | (masks >= classes))]
    if stray.numel():
        what = f"a mask holds the id {int(stray[0])}, but the class table has ids 0 to {classes - 1}"
        raise DataError(what, f"Relabel it, or mark such pixels with the ignore id {ignore_index}.")
    batch, height, width = masks.shape
    layout = torch.zeros(batch, classes + 1, height, width, device=masks.device)
    return layout.scatter_(1, masks.long().masked_fill(ignored, classes).unsqueeze(1), 1.0)
