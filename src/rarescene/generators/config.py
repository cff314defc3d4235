"""Settings of the generators. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from rarescene.diffusion.config import ClassAwareConfig, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import ConfigError
from rarescene.networks.config import PromptUNetConfig, SpadeUNetConfig, VqAutoencoderConfig
from rarescene.scenes.config import NO_AUGMENTATION, AugmentConfig
from rarescene.training.config import TrainingConfig

Representation = Literal["colours", "bits", "one_hot"]
ConditionKind = Literal["labels", "text"]


@dataclass(frozen=True)
class ImageDiffusionConfig:
    """What every diffusion model p(image | mask) is told, beside its data and its seed.

    Attributes:
        height: of the images drawn, in pixels.
        width: likewise. What the network's strides do not divide is padded and cut back.
        network: sizes of the SPADE U-Net; its `classes` are taken from the data.
        diffusion: noise schedule and prediction.
        augment: flips and rotations of the training scenes.
        training: the training loop.
    """

    height: int = 256
    width: int = 256
    network: SpadeUNetConfig = field(default_factory=SpadeUNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(
                f"images of {self.width}×{self.height} are too small", "Set height and width to 16 or more."
            )


@dataclass(frozen=True)
class CasdmConfig(ImageDiffusionConfig):
    """Everything that makes a CASDM image generator, beside its data and its seed.

    Attributes:
        class_aware: weights of the classes in both losses, Eq. 6 and 7.
        pixel_loss: `class_aware`, Eq. 6; or `plain`, the MSE of Eq. 5, for the rows of Table 5 without it.
        self_perceptual: the loss in the network's own features, Eq. 8.
    """

    class_aware: ClassAwareConfig = field(default_factory=ClassAwareConfig)
    pixel_loss: Literal["class_aware", "plain"] = "class_aware"
    self_perceptual: SelfPerceptualConfig = field(default_factory=SelfPerceptualConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixel_loss not in ("class_aware", "plain"):
            raise ConfigError(f"pixel_loss is {self.pixel_loss!r}", "Choose class_aware or plain.")
        if self.self_perceptual.weight and self.network.map_at == "stem":
            raise ConfigError(
                "the self-perceptual loss needs an encoder that sees the image alone",
                "Set network.map_at to decoder, or self_perceptual.weight to 0.",
            )


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

    variance_weight: float = 0.001
    finetune_share: float = 0.2
    finetune_rate: float = 0.2
    map_dropout: float = 0.2
    guidance: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = replace(self.network, out_channels=2 * self.network.image_channels)
        object.__setattr__(self, "network", twice)
        if self.variance_weight <= 0:
            raise ConfigError(
                f"variance_weight is {self.variance_weight}", "Take a positive weight; the paper takes 0.001."
            )
        for name in ("finetune_share", "map_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"Set {name} to a share from 0 to 1.")
        if self.finetune_rate <= 0:
            raise ConfigError(
                f"finetune_rate is {self.finetune_rate}", "Take a positive factor on the learning rate."
            )
        if self.guidance < 0:
            raise ConfigError(f"guidance is {self.guidance}", "Take 0 or more; 1 is no guidance.")
        if self.guidance != 1 and not self.finetune_share * self.map_dropout:
            raise ConfigError(
                f"guidance is {self.guidance}, but no map is ever dropped in training",
                "Set guidance to 1, or finetune_share and map_dropout above 0.",
            )

    @property
    def finetune_from(self) -> int:
        """The first step in which maps are dropped."""
        return round(self.training.steps * (1 - self.finetune_share))


@dataclass(frozen=True)
class ConditionalDdpmConfig(ImageDiffusionConfig):
    """Everything that makes a conditional DDPM, beside its data and its seed.

    The map joins the noisy image at the stem; `network.map_at` is set so, and `network.spade_hidden` counts
    for nothing.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "network", replace(self.network, map_at="stem"))


@dataclass(frozen=True)
class PromptConfig:
    """What a training scene's prompts leave unsaid, so that requests may leave it unsaid too.

    Attributes:
        nothing: chance that nothing is asked, for classifier-free guidance.
        single: chance that one class alone is asked for; a rare one more often than a common one.
        some: chance that each class is asked for with probability one half.
        without_place: chance that a class's place is not said.
        without_count: chance that a class's number of pieces is not said.
    """

    nothing: float = 0.1
    single: float = 0.3
    some: float = 0.2
    without_place: float = 0.15
    without_count: float = 0.15

    def __post_init__(self) -> None:
        shares = (self.nothing, self.single, self.some, self.without_place, self.without_count)
        if not all(0 <= share <= 1 for share in shares) or sum(shares[:3]) > 1:
            remedy = "Choose each from 0 to 1, and nothing, single and some of at most 1 together."
            raise ConfigError(f"the chances of prompts are {shares}", remedy)


@dataclass(frozen=True)
class PromptedMapsConfig:
    """Everything that makes a map generator, beside its data and its seed.

    Attributes:
        height: of the maps drawn, in pixels.
        width: likewise. What the network's strides do not divide is padded and cut back.
        representation: `colours`, a well-separated colour a class, as in the paper; `bits`, the binary digits
            of the id (analog bits), ours; or `one_hot`, a channel a class, ours: where two classes meet, it
            cannot show a third between them.
        text_encoder: all-MiniLM-L6-v2, which needs no network, or the folder or hub name of a CLIP text
            encoder; the paper has CLIP and does not say which.
        prompts: what training leaves unsaid.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 draws all scenes alike, as the paper does.
        network: sizes of the U-Net.
        diffusion: noise schedule and prediction.
        class_aware: weights of the classes in the loss; `plain`, the paper's pixel-wise MSE, by default.
        specks: pieces below this share of a drawn map are given to the class around them, except the largest
            of a class that was asked for.
        augment: flips and rotations of the training maps.
        training: the training loop.
    """

    height: int = 256
    width: int = 256
    representation: Representation = "colours"
    text_encoder: str = "all-MiniLM-L6-v2"
    prompts: PromptConfig = field(default_factory=PromptConfig)
    rare_scenes: float = 0.0
    network: PromptUNetConfig = field(default_factory=PromptUNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    class_aware: ClassAwareConfig = field(default_factory=lambda: ClassAwareConfig(mode="plain"))
    specks: float = 0.001
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(
                f"maps of {self.width}×{self.height} are too small", "Set height and width to 16 or more."
            )
        if self.representation not in get_args(Representation):
            known = ", ".join(get_args(Representation))
            raise ConfigError(f"representation is {self.representation!r}", f"Choose one of: {known}.")
        if self.rare_scenes < 0:
            raise ConfigError(
                f"rare_scenes is {self.rare_scenes}", "Take 0 (all alike) or more; 0.5 is mild."
            )
        if not 0 <= self.specks < 0.1:
            raise ConfigError(f"specks is {self.specks}", "Take a share of the frame from 0 to below 0.1.")


@dataclass(frozen=True)
class JointLatentConfig:
    """Everything that makes a joint latent generator, beside its data, its VQ-GANs and its seed.

    The defaults are GAUDA's sizes (section 4.2.2). Its text has lost the image size, the guidance scale and
    the learning rate; those here are ours.

    Attributes:
        height: of the pairs drawn, in pixels; that of the VQ-GANs' training.
        width: likewise. What the strides of VQ-GANs and network do not divide is padded and cut back.
        condition: `labels`, the multi-hot vector of the classes shown, as in the paper; or `text`, a prompt a
            class with number and place, as CASDM's map generator takes it.
        condition_dropout: chance that a training scene's condition is dropped, for classifier-free guidance.
        guidance: s in ε_∅ + s (ε_c − ε_∅), used unless a call says otherwise; 1 is no guidance.
        text_encoder: of the prompts: all-MiniLM-L6-v2, which needs no network, or the folder or hub name of a
            CLIP text encoder.
        prompts: what prompts leave unsaid in training; `nothing` is set to `condition_dropout`.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 draws all scenes alike, as the paper does.
        horizontal_flip: chance that a training scene is mirrored; 0 spares the encoding of mirror images.
        image_weight: factor on the loss of z_image in Eq. 5.
        mask_weight: factor on the loss of z_mask.
        network: sizes of the U-Net, in latent pixels; `prompt_channels` counts for `text` alone.
        diffusion: noise schedule and prediction.
        specks: pieces below this share of a drawn mask are given to the class around them, except the largest
            of a class that was asked for; 0 keeps masks as they are decoded.
        training: the training loop.
    """

    height: int = 128
    width: int = 128
    condition: ConditionKind = "labels"
    condition_dropout: float = 0.1
    guidance: float = 2.0
    text_encoder: str = "all-MiniLM-L6-v2"
    prompts: PromptConfig = field(default_factory=PromptConfig)
    rare_scenes: float = 0.0
    horizontal_flip: float = 0.5
    image_weight: float = 1.0
    mask_weight: float = 1.0
    network: PromptUNetConfig = field(
        default_factory=lambda: PromptUNetConfig(
            channels=(224, 448, 896, 1344), attention_strides=(2, 4, 8), blocks_per_level=2
        )
    )
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    specks: float = 0.0
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise ConfigError(
                f"pairs of {self.width}×{self.height} are too small", "Set height and width to 16 or more."
            )
        if self.condition not in get_args(ConditionKind):
            raise ConfigError(f"condition is {self.condition!r}", "Choose labels or text.")
        for name in ("condition_dropout", "horizontal_flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"Set {name} to a share from 0 to 1.")
        if self.condition == "text":
            object.__setattr__(self, "prompts", replace(self.prompts, nothing=self.condition_dropout))
        if self.guidance < 0:
            raise ConfigError(f"guidance is {self.guidance}", "Take 0 or more; 1 is no guidance.")
        if self.guidance != 1 and not self.condition_dropout:
            raise ConfigError(
                f"guidance is {self.guidance}, but no condition is ever dropped in training",
                "Set guidance to 1, or condition_dropout above 0.",
            )
        if self.rare_scenes < 0:
            raise ConfigError(
                f"rare_scenes is {self.rare_scenes}", "Take 0 (all alike) or more; 0.5 is mild."
            )
        if min(self.image_weight, self.mask_weight) < 0 or not self.image_weight + self.mask_weight:
            raise ConfigError(
                f"image_weight is {self.image_weight} and mask_weight {self.mask_weight}",
                "Take factors of 0 or more, one of them above 0.",
            )
        if not 0 <= self.specks < 0.1:
            raise ConfigError(f"specks is {self.specks}", "Take a share of the frame from 0 to below 0.1.")


@dataclass(frozen=True)
class AdversarialConfig:
    """The discriminator of a VQ-GAN (GAUDA section 4.2.1), and how much the autoencoder listens to it.

    Attributes:
        weight: factor on λ, which makes adversarial and reconstruction loss pull alike at the decoder's last
            layer; 0 trains without a discriminator. 0.8 is that of Esser et al.
        from_step: the first step in which the autoencoder listens.
        cap: the largest λ.
        widths: channels of the discriminator's levels.
    """

    weight: float = 0.8
    from_step: int = 10000
    cap: float = 1e4
    widths: tuple[int, ...] = (64, 128, 256)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.weight < 0 or self.from_step < 0 or self.cap <= 0:
            what = f"adversarial.weight is {self.weight}, from_step {self.from_step}, cap {self.cap}"
            raise ConfigError(what, "Take weight and from_step of at least 0, and cap above 0.")
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(
                f"adversarial.widths is {self.widths}", "Give a width a level, such as [64, 128, 256]."
            )


@dataclass(frozen=True)
class VqGanConfig:
    """What both VQ-GANs are told, beside their data and their seed.

    The defaults are GAUDA's sizes (section 4.2.1); its text has lost the image size, which is inferred.

    Attributes:
        height: of the pictures in training, in pixels.
        width: likewise. What the factor does not divide is padded and cut back.
        network: sizes of the autoencoder.
        revive_every: steps without use after which a code is replaced.
        adversarial: the discriminator.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 draws all scenes alike, as the paper does.
        augment: flips and rotations of the training scenes; none, as in the paper.
        training: the training loop.
    """

    height: int = 128
    width: int = 128
    network: VqAutoencoderConfig = field(default_factory=VqAutoencoderConfig)
    revive_every: int = 200
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    rare_scenes: float = 0.0
    augment: AugmentConfig = NO_AUGMENTATION
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        least = max(self.network.factor, 2 ** (len(self.adversarial.widths) + 1))
        if min(self.height, self.width) < least:
            raise ConfigError(
                f"pictures of {self.width}×{self.height} are too small",
                f"Set height and width to {least} or more, or take fewer levels.",
            )
        if self.revive_every < 1:
            raise ConfigError(f"revive_every is {self.revive_every}", "Set it to 1 or more.")
        if self.rare_scenes < 0:
            raise ConfigError(
                f"rare_scenes is {self.rare_scenes}", "Take 0 (all alike) or more; 0.5 is mild."
            )


@dataclass(frozen=True)
class ImageVqGanConfig(VqGanConfig):
    """Everything that makes a VQ-GAN of images, beside its data and its seed.

    Attributes:
        perceptual_weight: factor on the perceptual distance beside L1.
        perceptual_size: side in pixels at which the feature network looks at the images, a multiple of 32.
    """

    perceptual_weight: float = 1.0
    perceptual_size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.perceptual_weight < 0:
            raise ConfigError(f"perceptual_weight is {self.perceptual_weight}", "Take 0 or more.")


@dataclass(frozen=True)
class MaskVqGanConfig(VqGanConfig):
    """Everything that makes a VQ-GAN of masks, beside its data and its seed.

    Attributes:
        class_aware: weights of the classes in the cross entropy; `plain` is the paper.
    """

    class_aware: ClassAwareConfig = field(default_factory=lambda: ClassAwareConfig(mode="plain"))
