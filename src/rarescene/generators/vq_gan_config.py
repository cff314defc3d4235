"""The VQ-GANs of images and of masks: what each is told and says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from rarescene.diffusion.config import ClassAwareConfig
from rarescene.foundation.configs import (
    Channels,
    FeatureSize,
    Range,
    RareScenes,
    Settings,
    Steps,
    StepsOrNone,
    Weight,
)
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.networks.config import VqAutoencoderConfig
from rarescene.scenes.config import NO_AUGMENTATION, AugmentConfig
from rarescene.training.config import TrainingConfig


@dataclass(frozen=True)
class AdversarialConfig(Settings, section="adversarial"):
    """The discriminator of a VQ-GAN (GAUDA section 4.2.1), and how much the autoencoder listens to it.

    Attributes:
        weight: factor on λ, which makes adversarial and reconstruction loss pull alike at the decoder's last
            layer; 0 trains without a discriminator. 0.8 is that of Esser et al.
        from_step: the first step in which the autoencoder listens.
        cap: the largest λ.
        widths: channels of the discriminator's levels.
    """

    weight: Weight = 0.8
    from_step: StepsOrNone = 10000
    cap: Annotated[float, Range(above=0, most=1e12)] = 1e4
    widths: tuple[Channels, ...] = (64, 128, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths:
            raise ConfigError(
                f"adversarial.widths is {self.widths}", "Give a width a level, such as [64, 128, 256]."
            )


@dataclass(frozen=True)
class VqGanConfig(Settings):
    """What both VQ-GANs are told, beside their data and their seed.

    The defaults are GAUDA's sizes (section 4.2.1); its text has lost the image size, which is inferred.

    Attributes:
        height: of the pictures in training, in pixels.
        width: likewise. What the factor does not divide is padded and cut back.
        network: sizes of the autoencoder.
        revive_every: steps without use after which a code is replaced.
        adversarial: the discriminator.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 samples all scenes alike, as the paper does.
        augment: flips and rotations of the training scenes; none, as in the paper.
        training: the training loop.
    """

    height: Annotated[int, Range(1, 16_384)] = 128
    width: Annotated[int, Range(1, 16_384)] = 128
    network: VqAutoencoderConfig = field(default_factory=VqAutoencoderConfig)
    revive_every: Steps = 200
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    rare_scenes: RareScenes = 0.0
    augment: AugmentConfig = NO_AUGMENTATION
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        least = max(self.network.factor, 2 ** (len(self.adversarial.widths) + 1))
        if min(self.height, self.width) < least:
            raise ConfigError(
                f"pictures of {self.width}×{self.height} are too small",
                f"Set height and width to {least} or more, or take fewer levels.",
            )


@dataclass(frozen=True)
class ImageVqGanConfig(VqGanConfig):
    """Everything that makes a VQ-GAN of images, beside its data and its seed.

    Attributes:
        perceptual_weight: factor on the perceptual distance beside L1.
        perceptual_size: side in pixels at which the feature network looks at the images, a multiple of 32.
    """

    perceptual_weight: Weight = 1.0
    perceptual_size: FeatureSize = 128


@dataclass(frozen=True)
class MaskVqGanConfig(VqGanConfig):
    """Everything that makes a VQ-GAN of masks, beside its data and its seed.

    Attributes:
        class_aware: weights of the classes in the cross entropy; `plain` is the paper.
    """

    class_aware: ClassAwareConfig = field(default_factory=lambda: ClassAwareConfig(mode="plain"))


IMAGE_VQGAN = GeneratorMethod(
    name="image_vqgan",
    generates="latents",
    title="VQ-GAN of images",
    summary="train the autoencoder of images in front of the joint generator",
    example="rarescene train image-vqgan --data folder:scenes --out runs/image-vqgan "
    "--config image-vqgan-tiny",
    config=ImageVqGanConfig,
    learner=Later("rarescene.generators.vq_gan:ImageVqGanLearner"),
)


MASK_VQGAN = GeneratorMethod(
    name="mask_vqgan",
    generates="latents",
    title="VQ-GAN of masks",
    summary="train the autoencoder of masks in front of the joint generator",
    example="rarescene train mask-vqgan --data folder:scenes --out runs/mask-vqgan --config mask-vqgan-tiny",
    needs_images=False,
    config=MaskVqGanConfig,
    learner=Later("rarescene.generators.vq_gan:MaskVqGanLearner"),
)
