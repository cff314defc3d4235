"""What a segmenter is made of, and the training that suits it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from rarescene.foundation.errors import ConfigError
from rarescene.training.config import TrainingConfig

SegFormerSize = Literal["tiny", "b0", "b1", "b2"]
Mask2FormerSize = Literal["tiny", "swin-t"]


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
        _check_enlarge(self.enlarge)
        _check_dice(self.dice)
        _check_rate("drop_path", self.drop_path)
        _check_rate("dropout", self.dropout)


@dataclass(frozen=True)
class MaskTransformer:
    """One Mask2Former: its Swin backbone (four fields), its two decoders, and the points of its loss.

    Attributes:
        depths: blocks of the four stages.
        width: channels of the first stage; each further stage doubles them.
        heads: attention heads of the four stages.
        window: side of the attention's windows.
        hidden: channels of both decoders, a multiple of 32, which is a head.
        pixel_layers: layers of deformable attention in the pixel decoder.
        decoder_layers: layers of masked attention in the transformer decoder.
        queries: masks it can draw.
        points: points a mask in the loss.
    """

    depths: tuple[int, int, int, int]
    width: int
    heads: tuple[int, int, int, int]
    window: int
    hidden: int
    pixel_layers: int
    decoder_layers: int
    queries: int
    points: int


MASK2FORMER_SIZES: Mapping[Mask2FormerSize, MaskTransformer] = MappingProxyType(
    {
        # Ours, for processors without a GPU; the other is section 4.1 of the Mask2Former paper.
        "tiny": MaskTransformer((1, 1, 1, 1), 32, (1, 2, 4, 8), 4, 64, 1, 3, 40, 1024),
        "swin-t": MaskTransformer((2, 2, 6, 2), 96, (3, 6, 12, 24), 7, 256, 6, 9, 100, 112**2),
    }
)


@dataclass(frozen=True)
class Mask2FormerConfig:
    """Mask2Former, trained from scratch. The weights of its loss are the paper's.

    Attributes:
        size: `tiny` (ours), or `swin-t` of the paper.
        enlarge: the image is enlarged so many times before the network, which answers at a quarter of what it
            sees: 2 for scenes of 64², where a thin vessel is smaller than an output cell.
        class_weight: weight of the cross entropy over classes.
        mask_weight: weight of the cross entropy over the points of a mask.
        dice_weight: weight of the soft Dice term over the points of a mask.
        no_object: weight of a query that shall say "no object", against 1 of one that shall name a class.
        drop_path: largest rate of stochastic depth in the backbone, in its deepest block (0.3 in the paper,
            whose backbone is pretrained).
    """

    size: Mask2FormerSize = "swin-t"
    enlarge: int = 1
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object: float = 0.1
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        if self.size not in MASK2FORMER_SIZES:
            raise ConfigError(
                f"no Mask2Former has size {self.size!r}", f"Choose from {', '.join(MASK2FORMER_SIZES)}."
            )
        _check_enlarge(self.enlarge)
        for name in ("class_weight", "mask_weight", "dice_weight", "no_object"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", "Give a positive weight.")
        _check_rate("drop_path", self.drop_path)


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
        _check_rate("dropout", self.dropout)


@dataclass(frozen=True)
class UNetEnsembleConfig:
    """A deep ensemble of U-Nets that answer at full resolution. The defaults are those of the GAUDA paper.

    Attributes:
        members: how many U-Nets.
        widths: channels of each level of a member; each level halves the resolution of the one before.
        dice: weight of the soft Dice term beside the cross entropy. By default there is none, so that a
            member's loss is a likelihood, as deep ensembles ask for.
        dropout: rate at the lowest level.
    """

    members: int = 10
    widths: tuple[int, ...] = (32, 64, 128, 192, 192, 192, 192)
    dice: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.members < 2:
            raise ConfigError(
                f"an ensemble of {self.members} has no disagreement", "Give two members or more."
            )
        _ = self.member

    @property
    def member(self) -> UNetConfig:
        """The configuration of each member."""
        return UNetConfig(self.widths, self.dice, self.dropout)


@dataclass(frozen=True)
class PHiSegConfig:
    """PHiSeg, which answers at full resolution. The defaults are those of the GAUDA paper.

    Attributes:
        widths: channels of each level of the encoders; each level halves the resolution of the one before.
        latent_levels: levels with a latent, the coarsest ones.
        latent_channels: channels of each latent.
        convolutions: convolutions a level of the encoders.
        kl_weight: factor on all divergences.
        kl_growth: factor on the divergence from one level to the next coarser one. 4 is the paper's, since a
            level has a quarter of the places of the one before. With 1 the sum is the evidence lower bound,
            and what is decided for a scene as a whole can be left to the coarsest latents.
        samples: posterior samples in a prediction.
    """

    widths: tuple[int, ...] = (32, 64, 128, 192, 192, 192, 192)
    latent_levels: int = 5
    latent_channels: int = 2
    convolutions: int = 3
    kl_weight: float = 1.0
    kl_growth: float = 4.0
    samples: int = 16

    def __post_init__(self) -> None:
        # Two channels a group, at least: where a level is one pixel, one has nothing to be normalised by.
        if not self.widths or any(width < 16 or width % 8 for width in self.widths):
            raise ConfigError(f"widths are {self.widths}", "Give one or more multiples of 8, from 16.")
        if not 1 <= self.latent_levels <= len(self.widths):
            remedy = f"Give a number from 1 to {len(self.widths)}, the number of levels."
            raise ConfigError(f"latent_levels is {self.latent_levels}", remedy)
        for name in ("latent_channels", "convolutions", "samples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", "Give a whole number from 1.")
        if not self.kl_weight > 0:
            raise ConfigError(f"kl_weight is {self.kl_weight}", "Give a positive weight; 1 is the paper's.")
        if not self.kl_growth >= 1:
            raise ConfigError(f"kl_growth is {self.kl_growth}", "Give a factor from 1; 4 is the paper's.")


SegmenterConfig = SegFormerConfig | Mask2FormerConfig | UNetConfig | UNetEnsembleConfig | PHiSegConfig

SEGMENTERS: Mapping[str, type[SegmenterConfig]] = MappingProxyType(
    {
        "segformer": SegFormerConfig,
        "mask2former": Mask2FormerConfig,
        "unet": UNetConfig,
        "unet_ensemble": UNetEnsembleConfig,
        "phiseg": PHiSegConfig,
    }
)


def output_cell(config: SegmenterConfig) -> float:
    """Return the side of an output cell in pixels of the original image; tables give targets in cells."""
    match config:
        case SegFormerConfig() | Mask2FormerConfig():
            return 4 / config.enlarge
        case UNetConfig() | UNetEnsembleConfig() | PHiSegConfig():
            return 1.0


def training_defaults(config: SegmenterConfig) -> TrainingConfig:
    """Return the training from scratch to start from.

    A linear warm-up, then a cosine to zero, or, for the Bayesian segmenters, the constant rate of their
    paper. The batch of an ensemble is that of each member.
    """
    usual = TrainingConfig(
        steps=1500, weight_decay=0.01, warmup_steps=40, decay="cosine", ema_decay=0.99, validate_every=250
    )
    # Section 4.2 of the GAUDA paper, whose text has lost the rate; 1e-3 is that of PHiSeg's authors.
    paper = TrainingConfig(batch_size=100, learning_rate=1e-3, ema_decay=0.99, validate_every=200)
    # The rates of SegFormer-B0 and of the tiny Mask2Former were chosen by label-mean IoU on two validation
    # recordings of phantom scenes of 64², enlarged twofold, with one seed.
    match config:
        case SegFormerConfig(size="tiny"):
            return replace(usual, learning_rate=2e-3, batch_size=8)
        case SegFormerConfig(size="b0"):  # after 200 steps 0.59 at 5e-4, 0.63 at 1e-3
            return replace(usual, learning_rate=1e-3, batch_size=8)
        case SegFormerConfig():
            return replace(usual, learning_rate=5e-4, batch_size=8)
        case Mask2FormerConfig(size="tiny"):
            # after 600 steps 0.54 at 1e-3, 0.59 at 2e-3, 0.55 at 3e-3
            return replace(
                usual, steps=600, learning_rate=2e-3, weight_decay=0.05, batch_size=8, validate_every=200
            )
        case Mask2FormerConfig():
            return replace(usual, learning_rate=1e-4, weight_decay=0.05, batch_size=8)
        case UNetConfig():
            return replace(usual, learning_rate=3e-3, batch_size=16)
        case UNetEnsembleConfig():
            return replace(paper, steps=15_000)
        case PHiSegConfig():
            return replace(paper, steps=50_000)


def _check_enlarge(factor: int) -> None:
    if factor < 1:
        raise ConfigError(f"enlarge is {factor}", "Give a whole number from 1.")


def _check_rate(name: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise ConfigError(f"{name} is {rate}", "Give a rate from 0 to below 1.")


def _check_dice(weight: float) -> None:
    if weight < 0:
        raise ConfigError(
            f"the weight of the Dice term is {weight}", "Give 0 to leave it out, or a positive weight."
        )
