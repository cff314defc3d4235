"""CASDM: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rarescene.diffusion.config import ClassAwareConfig, SelfPerceptualConfig
from rarescene.foundation.configs import Share
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.generators.image_diffusion_config import ImageDiffusionConfig


@dataclass(frozen=True)
class CasdmConfig(ImageDiffusionConfig):
    """Everything that makes a CASDM image generator, beside its data and its seed.

    Attributes:
        class_aware: weights of the classes in both losses, Eq. 6 and 7.
        pixel_loss: `class_aware`, Eq. 6; or `plain`, the MSE of Eq. 5, for the rows of Table 5 without it.
        self_perceptual: the loss in the network's own features, Eq. 8.
        map_dropout: chance that a scene is shown without its map in a training step (ours); the map is then
            all zero, and the pixels weigh alike. Above 0, sampling can be guided as SDM's is, away from what
            would be generated without a map; it is not, unless a call asks for it.
    """

    class_aware: ClassAwareConfig = field(default_factory=ClassAwareConfig)
    pixel_loss: Literal["class_aware", "plain"] = "class_aware"
    self_perceptual: SelfPerceptualConfig = field(default_factory=SelfPerceptualConfig)
    map_dropout: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.self_perceptual.weight and self.network.map_at == "stem":
            raise ConfigError(
                "the self-perceptual loss needs an encoder that sees the image alone",
                "Set network.map_at to decoder, or self_perceptual.weight to 0.",
            )

    @property
    def perceptual_from(self) -> int:
        """The first step in which the self-perceptual loss is taken."""
        settled = self.self_perceptual.warmup_steps
        return round(0.3 * self.training.steps) if settled is None else settled


CASDM = GeneratorMethod(
    name="casdm",
    generates="images",
    title="CASDM",
    summary="train an image generator that follows masks (CASDM)",
    example="rarescene train casdm --data folder:scenes --out runs/casdm --config tiny",
    config=CasdmConfig,
    learner=Later("rarescene.generators.casdm:CasdmLearner"),
)
