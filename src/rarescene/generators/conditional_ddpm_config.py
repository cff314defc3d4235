"""The conditional DDPM: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.generators.image_diffusion_config import ImageDiffusionConfig


@dataclass(frozen=True)
class ConditionalDdpmConfig(ImageDiffusionConfig):
    """Everything that makes a conditional DDPM, beside its data and its seed.

    The map joins the noisy image at the stem; `network.map_at` is set so, and `network.spade_hidden` counts
    for nothing.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "network", replace(self.network, map_at="stem"))


CONDITIONAL_DDPM = GeneratorMethod(
    name="conditional_ddpm",
    generates="images",
    title="Conditional DDPM",
    summary="train the baseline that sees the map beside the noisy image",
    example="rarescene train conditional-ddpm --data folder:scenes --out runs/ddpm "
    "--config conditional-ddpm-tiny",
    config=ConditionalDdpmConfig,
    learner=Later("rarescene.generators.conditional_ddpm:ConditionalDdpmLearner"),
)
