"""Joint latent diffusion: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from rarescene.diffusion.config import DiffusionConfig
from rarescene.foundation.configs import Guidance, RareScenes, Settings, Share, Side, Specks, Weight
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.generators.prompted_maps_config import PromptConfig
from rarescene.networks.config import PromptUNetConfig
from rarescene.training.config import TrainingConfig

ConditionKind = Literal["labels", "text"]


@dataclass(frozen=True)
class JointLatentConfig(Settings):
    """Everything that makes a joint latent generator, beside its data, its VQ-GANs and its seed.

    The defaults are GAUDA's sizes (section 4.2.2). Its text has lost the image size, the guidance scale and
    the learning rate; those here are ours.

    Attributes:
        height: of the generated pairs, in pixels; that of the VQ-GANs' training.
        width: likewise. What the strides of VQ-GANs and network do not divide is padded and cut back.
        condition: `labels`, the multi-hot vector of the classes shown, as in the paper; or `text`, a prompt a
            class with number and place, as CASDM's map generator takes it.
        condition_dropout: chance that a training scene's condition is dropped, for classifier-free guidance.
        guidance: s in ε_∅ + s (ε_c − ε_∅), used unless a call says otherwise; 1 is no guidance.
        text_encoder: of the prompts: all-MiniLM-L6-v2, which needs no network, or the folder or hub name of a
            CLIP text encoder.
        prompts: what prompts leave unsaid in training; `nothing` is set to `condition_dropout`.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 samples all scenes alike, as the paper does.
        horizontal_flip: chance that a training scene is mirrored; 0 spares the encoding of mirror images.
        image_weight: factor on the loss of z_image in Eq. 5.
        mask_weight: factor on the loss of z_mask.
        network: sizes of the U-Net, in latent pixels; `prompt_channels` counts for `text` alone.
        diffusion: noise schedule and prediction.
        specks: pieces below this share of a generated mask are given to the class around them, except the
            largest of a class that was asked for; 0 keeps masks as they are decoded.
        training: the training loop.
    """

    height: Side = 128
    width: Side = 128
    condition: ConditionKind = "labels"
    condition_dropout: Share = 0.1
    guidance: Guidance = 2.0
    text_encoder: str = "all-MiniLM-L6-v2"
    prompts: PromptConfig = field(default_factory=PromptConfig)
    rare_scenes: RareScenes = 0.0
    horizontal_flip: Share = 0.5
    image_weight: Weight = 1.0
    mask_weight: Weight = 1.0
    network: PromptUNetConfig = field(
        default_factory=lambda: PromptUNetConfig(
            channels=(224, 448, 896, 1344), attention_strides=(2, 4, 8), blocks_per_level=2
        )
    )
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    specks: Specks = 0.0
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.condition == "text":
            object.__setattr__(self, "prompts", replace(self.prompts, nothing=self.condition_dropout))
        if self.guidance != 1 and not self.condition_dropout:
            raise ConfigError(
                f"guidance is {self.guidance}, but no condition is ever dropped in training",
                "Set guidance to 1, or condition_dropout above 0.",
            )
        if not self.image_weight + self.mask_weight:
            raise ConfigError(
                f"image_weight is {self.image_weight} and mask_weight {self.mask_weight}",
                "Take one of them above 0.",
            )


JOINT_LATENT = GeneratorMethod(
    name="joint_latent",
    command="joint",
    generates="pairs",
    title="Joint latent diffusion",
    summary="train a generator of images and their masks at once (GAUDA)",
    example="rarescene train joint --images runs/image-vqgan --masks runs/mask-vqgan --data folder:scenes "
    "--out runs/joint --config joint-tiny",
    train=Later("rarescene.commands.train_joint:train_joint"),
    config=JointLatentConfig,
    load=Later("rarescene.generators.joint_latent:JointLatent.load"),
)
