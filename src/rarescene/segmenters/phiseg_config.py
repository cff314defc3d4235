"""PHiSeg: what it is made of, and the training that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from rarescene.foundation.configs import Channels, Positive, Range, Samples, Settings
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import Later, SegmenterMethod
from rarescene.segmenters.schedules import AS_IN_GAUDA


@dataclass(frozen=True)
class PHiSegConfig(Settings):
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

    widths: tuple[Channels, ...] = (32, 64, 128, 192, 192, 192, 192)
    latent_levels: int = 5
    latent_channels: Channels = 2
    convolutions: Annotated[int, Range(1, 64)] = 3
    kl_weight: Positive = 1.0
    kl_growth: Annotated[float, Range(1, 1000)] = 4.0
    samples: Samples = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        # Two channels a group, at least: where a level is one pixel, one has nothing to be normalised by.
        if not 1 <= len(self.widths) <= 10 or any(width < 16 or width % 8 for width in self.widths):
            raise ConfigError(f"widths are {self.widths}", "Give one to ten multiples of 8, from 16.")
        if not 1 <= self.latent_levels <= len(self.widths):
            remedy = f"Give a number from 1 to {len(self.widths)}, the number of levels."
            raise ConfigError(f"latent_levels is {self.latent_levels}", remedy)


PHISEG = SegmenterMethod(
    name="phiseg",
    summary="train PHiSeg, whose posterior samples show what it is unsure of",
    example="rarescene segment phiseg --data folder:scenes --out runs/phiseg --config phiseg-tiny",
    config=PHiSegConfig,
    build=Later("rarescene.segmenters.phiseg:PHiSeg"),
    training=lambda config: replace(AS_IN_GAUDA, steps=50_000),
    bayesian=True,
)
