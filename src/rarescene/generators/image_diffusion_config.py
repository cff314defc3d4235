"""What every diffusion model p(image | mask) is told. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from rarescene.diffusion.config import DiffusionConfig
from rarescene.foundation.configs import Settings, Side
from rarescene.networks.config import SpadeUNetConfig
from rarescene.scenes.config import AugmentConfig
from rarescene.training.config import TrainingConfig


@dataclass(frozen=True)
class ImageDiffusionConfig(Settings):
    """What every diffusion model p(image | mask) is told, beside its data and its seed.

    Attributes:
        height: of the generated images, in pixels.
        width: likewise. What the network's strides do not divide is padded and cut back.
        network: sizes of the SPADE U-Net; its `classes` are taken from the data.
        diffusion: noise schedule and prediction.
        augment: flips, rotations and colours of the training scenes.
        training: the training loop.
    """

    height: Side = 256
    width: Side = 256
    network: SpadeUNetConfig = field(default_factory=SpadeUNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
