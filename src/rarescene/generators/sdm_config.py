"""SDM: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rarescene.foundation.configs import Guidance, Positive, Share
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.generators.image_diffusion_config import ImageDiffusionConfig


@dataclass(frozen=True)
class SdmConfig(ImageDiffusionConfig):
    """Everything that makes an SDM image generator, beside its data and its seed.

    The network predicts twice the channels of the image; `network.out_channels` is set so.

    Attributes:
        variance_weight: λ in L_simple + λ L_vlb, which trains the learned variance alone.
        finetune_share: share of `training.steps`, at the end, in which maps are dropped.
        finetune_rate: factor on the learning rate there; SDM goes from 1e-4 to 2e-5.
        map_dropout: chance that a scene's map is dropped there; it is then all zero.
        guidance: s in ε_∅ + s (ε_c − ε_∅), used unless a call says otherwise; 1 is no guidance. SDM's program
            computes just that, with 1.5. Its text prints ε_c + s (ε_c − ε_∅), in which 1.5 is our 2.5.
    """

    variance_weight: Positive = 0.001
    finetune_share: Share = 0.2
    finetune_rate: Positive = 0.2
    map_dropout: Share = 0.2
    guidance: Guidance = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = replace(self.network, out_channels=2 * self.network.image_channels)
        object.__setattr__(self, "network", twice)
        if self.guidance != 1 and not self.finetune_share * self.map_dropout:
            raise ConfigError(
                f"guidance is {self.guidance}, but no map is ever dropped in training",
                "Set guidance to 1, or finetune_share and map_dropout above 0.",
            )

    @property
    def finetune_from(self) -> int:
        """The first step in which maps are dropped."""
        return round(self.training.steps * (1 - self.finetune_share))


SDM = GeneratorMethod(
    name="sdm",
    generates="images",
    title="SDM",
    summary="train CASDM's baseline SDM: plain loss, learned variance, guidance",
    example="rarescene train sdm --data folder:scenes --out runs/sdm --config sdm-tiny",
    config=SdmConfig,
    learner=Later("rarescene.generators.sdm:SdmLearner"),
)
