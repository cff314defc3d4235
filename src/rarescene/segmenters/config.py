"""What a segmenter is made of, and the training that suits it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from rarescene.foundation.errors import ConfigError
from rarescene.training.config import TrainingConfig

SegFormerSize = Literal["tiny", "b0", "b1", "b2"]


@dataclass(frozen=True)
class MixTransformer:
    """One SegFormer: blocks, channels and heads of its four stages, and the width of its decoder."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    decoder: int


SEGFORMER_SIZES: Mapping[SegFormerSize, MixTransformer] = MappingProxyType(
    {
        # Ours, for processors without a GPU; the others are Table 6 of the SegFormer paper.
        "tiny": MixTransformer((1, 1, 1, 1), (32, 64, 96, 128), (1, 2, 3, 4), 96),
        "b0": MixTransformer((2, 2, 2, 2), (32, 64, 160, 256), (1, 2, 5, 8), 256),
        "b1": MixTransformer((2, 2, 2, 2), (64, 128, 320, 512), (1, 2, 5, 8), 256),
        "b2": MixTransformer((3, 4, 6, 3), (64, 128, 320, 512), (1, 2, 5, 8), 768),
    }
)


@dataclass(frozen=True)
class SegFormerConfig:
    """SegFormer, trained from scratch.

    Attributes:
        size: `tiny` (ours), or `b0`, `b1`, `b2` of the paper.
        enlarge: the image is enlarged so many times before the network, which answers at a quarter of what it
            sees: 2 for scenes of 64², where a thin vessel is smaller than an output cell.
        dice: weight of the soft Dice term beside the cross entropy.
        drop_path: largest rate of stochastic depth, in the deepest block.
        dropout: rate before the last layer.
    """

    size: SegFormerSize = "b0"
    enlarge: int = 1
    dice: float = 0.0
    drop_path: float = 0.1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.size not in SEGFORMER_SIZES:
            raise ConfigError(
                f"no SegFormer has size {self.size!r}", f"Choose from {', '.join(SEGFORMER_SIZES)}."
            )
        if self.enlarge < 1:
            raise ConfigError(f"enlarge is {self.enlarge}", "Give a whole number from 1.")
        _check_dice(self.dice)
        for name, rate in (("drop_path", self.drop_path), ("dropout", self.dropout)):
            if not 0 <= rate < 1:
                raise ConfigError(f"{name} is {rate}", "Give a rate from 0 to below 1.")


@dataclass(frozen=True)
class UNetConfig:
    """A compact U-Net that answers at full resolution, for the smallest targets.

    Attributes:
        widths: channels of each level; each level halves the resolution of the one before.
        dice: weight of the soft Dice term beside the cross entropy.
        dropout: rate at the lowest level.
    """

    widths: tuple[int, ...] = (24, 48, 64, 96)
    dice: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.widths or any(width < 8 or width % 8 for width in self.widths):
            raise ConfigError(f"widths are {self.widths}", "Give one or more multiples of 8.")
        _check_dice(self.dice)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}", "Give a rate from 0 to below 1.")


SegmenterConfig = SegFormerConfig | UNetConfig

SEGMENTERS: Mapping[str, type[SegmenterConfig]] = MappingProxyType(
    {"segformer": SegFormerConfig, "unet": UNetConfig}
)


def output_cell(config: SegmenterConfig) -> float:
    """Return the side of an output cell in pixels of the original image; tables give targets in cells."""
    match config:
        case SegFormerConfig():
            return 4 / config.enlarge
        case UNetConfig():
            return 1.0


def training_defaults(config: SegmenterConfig) -> TrainingConfig:
    """Return the training from scratch to start from: AdamW, a linear warm-up, then a cosine to zero."""
    usual = TrainingConfig(
        steps=1500, weight_decay=0.01, warmup_steps=40, decay="cosine", ema_decay=0.99, validate_every=250
    )
    match config:
        case SegFormerConfig(size="tiny"):
            return replace(usual, learning_rate=2e-3, batch_size=8)
        case SegFormerConfig():
            return replace(usual, learning_rate=5e-4, batch_size=8)
        case UNetConfig():
            return replace(usual, learning_rate=3e-3, batch_size=16)


def _check_dice(weight: float) -> None:
    if weight < 0:
        raise ConfigError(
            f"the weight of the Dice term is {weight}", "Give 0 to leave it out, or a positive weight."
        )
