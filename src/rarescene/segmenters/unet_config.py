"""The compact U-Net: what it is made of, and the training that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rarescene.foundation.configs import Channels, Settings, ShareBelowOne, Weight
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import Later, SegmenterMethod
from rarescene.segmenters.schedules import FROM_SCRATCH


@dataclass(frozen=True)
class UNetConfig(Settings):
    """A compact U-Net that answers at full resolution, for the smallest targets.

    Attributes:
        widths: channels of each level; each level halves the resolution of the one before.
        dice: weight of the soft Dice term beside the cross entropy.
        dropout: rate at the lowest level.
        encoder: the way down. "scratch" is the two convolutions a level of the papers' U-Nets;
            "efficientnet-lite0" is a network that has seen ImageNet, whose weights come with an installed
            package. It halves the resolution five times; `widths` then are those of the way up, at most five,
            and the last one serves the levels below it too.
    """

    widths: tuple[Channels, ...] = (24, 48, 64, 96)
    dice: Weight = 1.0
    dropout: ShareBelowOne = 0.0
    encoder: Literal["scratch", "efficientnet-lite0"] = "scratch"

    def __post_init__(self) -> None:
        super().__post_init__()
        most = 10 if self.encoder == "scratch" else 5
        if not 1 <= len(self.widths) <= most or any(width % 8 for width in self.widths):
            raise ConfigError(f"widths are {self.widths}", f"Give one to {most} multiples of 8.")


UNET = SegmenterMethod(
    name="unet",
    summary="train the compact U-Net, with or without synthetic pairs",
    example="rarescene segment unet --data folder:scenes --strategy offline --synthetic pairs "
    "--out runs/with",
    note="It answers at full resolution, and so sees the smallest targets. It starts from scratch; with "
    "--model.encoder efficientnet-lite0 half of it starts from ImageNet.",
    config=UNetConfig,
    build=Later("rarescene.segmenters.unet:UNet"),
    training=lambda config: replace(FROM_SCRATCH, learning_rate=3e-3, batch_size=16),
)
