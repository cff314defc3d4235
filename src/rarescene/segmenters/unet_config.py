"""The compact U-Net: what it is made of, and the training that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """

    widths: tuple[Channels, ...] = (24, 48, 64, 96)
    dice: Weight = 1.0
    dropout: ShareBelowOne = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.widths) <= 10 or any(width % 8 for width in self.widths):
            raise ConfigError(f"widths are {self.widths}", "Give one to ten multiples of 8.")


UNET = SegmenterMethod(
    name="unet",
    summary="train the compact U-Net, with or without synthetic pairs",
    example="rarescene segment unet --data folder:scenes --strategy offline --synthetic pairs "
    "--out runs/with",
    note="It answers at full resolution, and so sees the smallest targets.",
    config=UNetConfig,
    build=Later("rarescene.segmenters.unet:UNet"),
    training=lambda config: replace(FROM_SCRATCH, learning_rate=3e-3, batch_size=16),
)
