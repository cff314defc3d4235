"""Settings of the generators. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from rarescene.diffusion.config import ClassAwareConfig, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import ConfigError
from rarescene.networks.config import SpadeUNetConfig
from rarescene.scenes.config import AugmentConfig
from rarescene.training.config import TrainingConfig


@dataclass(frozen=True)
class CasdmConfig:
    """Everything that makes a CASDM image generator, beside its data and its seed.

    Attributes:
        height: of the images drawn, in pixels.
        width: likewise. What the network's strides do not divide is padded and cut back.
        network: sizes of the SPADE U-Net; its `classes` are taken from the data.
        diffusion: noise schedule and prediction.
        class_aware: weights of the classes in the loss, Eq. 6 and 7.
        self_perceptual: the loss in the network's own features, Eq. 8.
        augment: flips and rotations of the training scenes.
        training: the training loop.
    """

    height: int = 256
    width: int = 256
    network: SpadeUNetConfig = field(default_factory=SpadeUNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    class_aware: ClassAwareConfig = field(default_factory=ClassAwareConfig)
    self_perceptual: SelfPerceptualConfig = field(default_factory=SelfPerceptualConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(
                f"images of {self.width}×{self.height} are too small", "Set height and width to 16 or more."
            )
