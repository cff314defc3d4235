"""Settings of the generators. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from rarescene.diffusion.config import ClassAwareConfig, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import ConfigError
from rarescene.networks.config import PromptUNetConfig, SpadeUNetConfig
from rarescene.scenes.config import AugmentConfig
from rarescene.training.config import TrainingConfig

Representation = Literal["colours", "bits", "one_hot"]


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
            raise ConfigError(f"guidance is {self.guidance}", "Take 1 (no guidance) or more.")
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
