"""The ensemble of U-Nets: what it is made of, and the training that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from rarescene.foundation.configs import Channels, Range, Settings, ShareBelowOne, Weight
from rarescene.foundation.methods import Later, SegmenterMethod
from rarescene.segmenters.schedules import AS_IN_GAUDA
from rarescene.segmenters.unet_config import UNetConfig


@dataclass(frozen=True)
class UNetEnsembleConfig(Settings):
    """A deep ensemble of U-Nets that answer at full resolution. The defaults are those of the GAUDA paper.

    Attributes:
        members: how many U-Nets.
        widths: channels of each level of a member; each level halves the resolution of the one before.
        dice: weight of the soft Dice term beside the cross entropy. By default there is none, so that a
            member's loss is a likelihood, as deep ensembles ask for.
        dropout: rate at the lowest level.
    """

    members: Annotated[int, Range(2, 1000)] = 10
    widths: tuple[Channels, ...] = (32, 64, 128, 192, 192, 192, 192)
    dice: Weight = 0.0
    dropout: ShareBelowOne = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.member

    @property
    def member(self) -> UNetConfig:
        """The configuration of each member."""
        return UNetConfig(self.widths, self.dice, self.dropout)


UNET_ENSEMBLE = SegmenterMethod(
    name="unet_ensemble",
    summary="train an ensemble of U-Nets, whose disagreement is its uncertainty",
    example="rarescene segment unet-ensemble --data folder:scenes --out runs/ensemble "
    "--config unet-ensemble-tiny",
    note="The batch of its training is that of each member.",
    config=UNetEnsembleConfig,
    build=Later("rarescene.segmenters.unet_ensemble:UNetEnsemble"),
    training=lambda config: replace(AS_IN_GAUDA, steps=15_000),
    bayesian=True,
    members=lambda config: config.members,
)
