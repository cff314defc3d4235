"""What a network is made of: frozen, checked when made, and free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rarescene.foundation.configs import Channels, Positive, Range, Settings, Weight
from rarescene.foundation.errors import ConfigError

MapAt = Literal["decoder", "stem"]
Patch = Literal[1, 2, 4]
Blocks = Annotated[int, Range(1, 64)]


def _need_levels(config: Any, name: str) -> None:
    """Refuse a network without levels, or with more than any picture can be halved."""
    if not 1 <= len(getattr(config, name)) <= 10:
        raise ConfigError(
            f"network.{name} is {getattr(config, name)}", "Give a number a level, for 1 to 10 levels."
        )


@dataclass(frozen=True)
class SpadeUNetConfig(Settings, section="network"):
    """The U-Net of Dhariwal and Nichol (2021) with the map in its decoder (Wang et al. 2022).

    The defaults are the scale of CASDM (256² images). Strides count from the full resolution of the image,
    whatever the patch of the stem.

    Attributes:
        classes: classes of the class table, by default as many as CholecSeg8k has; a training command takes
            them from its data. The map has one channel more, for ignored pixels.
        image_channels: channels of the noisy image.
        out_channels: channels that are predicted; twice those of the image if the variance is learned too.
        base_channels: channels of the first level, a multiple of 8.
        multipliers: channels of each level, in units of `base_channels`; each level halves height and width.
        blocks_per_level: residual blocks of a level in the encoder; the decoder has one more.
        attention_strides: strides of the levels that attend; the middle block always does.
        head_channels: channels of one attention head.
        spade_hidden: hidden channels between the map and γ, β.
        patch: 1, 2 or 4; the stem folds patch × patch pixels of image and one-hot map into channels.
        map_at: where the map enters: `decoder`, by SPADE in every norm of the middle and decoder blocks; or
            `stem`, as further channels of the noisy image, with plain norms throughout.

    Raises:
        ConfigError: the values do not fit each other.
    """

    classes: Annotated[int, Range(1, 255)] = 13
    image_channels: Channels = 3
    out_channels: Channels = 3
    base_channels: Annotated[int, Range(8, 65_536)] = 256
    multipliers: tuple[Annotated[int, Range(1, 1024)], ...] = (1, 1, 2, 2, 4, 4)
    blocks_per_level: Blocks = 2
    attention_strides: tuple[Channels, ...] = (8, 16, 32)
    head_channels: Channels = 64
    spade_hidden: Channels = 128
    patch: Patch = 1
    map_at: MapAt = "decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_channels % 8:
            raise ConfigError(
                f"base_channels is {self.base_channels}", "Set base_channels to a multiple of 8."
            )
        _need_levels(self, "multipliers")
        if stray := sorted(set(self.attention_strides) - set(self.strides)):
            remedy = f"Set attention_strides to some of {self.strides}: the levels of this network."
            raise ConfigError(f"no level of the network has the attention stride {stray[0]}", remedy)
        for stride, channels in zip(self.strides, self.channels, strict=True):
            attends = stride in self.attention_strides or stride == self.stride
            if attends and channels % self.head_channels:
                what = (
                    f"{channels} channels at stride {stride} cannot be cut into heads of {self.head_channels}"
                )
                raise ConfigError(what, "Set head_channels to a number that divides them.")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, from the finest to the coarsest."""
        return tuple(self.base_channels * factor for factor in self.multipliers)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image that one feature of each level spans, from the finest to the coarsest."""
        return tuple(self.patch * 2**level for level in range(len(self.multipliers)))

    @property
    def stride(self) -> int:
        """What height and width must divide by."""
        return self.strides[-1]


@dataclass(frozen=True)
class PromptUNetConfig(Settings, section="network"):
    """The U-Nets of the map generator and the joint latent generator: diffusers' own, behind a folding stem.

    The defaults are the scale of CASDM (256² maps). What is said of maps and pixels holds for latents too.

    Attributes:
        channels: channels of each level, from the finest to the coarsest; each level halves height and width.
        attention_strides: strides of the levels that attend to the prompts and to themselves; the middle
            block always does.
        blocks_per_level: residual blocks of a level in the encoder; the decoder has one more.
        head_channels: channels of one attention head.
        prompt_channels: channels of an encoded prompt after the learned projection.
        patch: 1, 2 or 4; the stem folds patch × patch pixels into channels.

    Raises:
        ConfigError: the values do not fit each other.
    """

    channels: tuple[Annotated[int, Range(8, 65_536)], ...] = (128, 128, 256, 256, 512, 512)
    attention_strides: tuple[Channels, ...] = (8, 16, 32)
    blocks_per_level: Blocks = 2
    head_channels: Channels = 64
    prompt_channels: Channels = 256
    patch: Patch = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_levels(self, "channels")
        if any(width % 8 for width in self.channels):
            raise ConfigError(f"channels are {self.channels}", "Give a multiple of 8 for each level.")
        if stray := sorted(set(self.attention_strides) - set(self.strides)):
            remedy = f"Set attention_strides to some of {self.strides}: the levels of this network."
            raise ConfigError(f"no level of the network has the attention stride {stray[0]}", remedy)
        for stride, width in zip(self.strides, self.channels, strict=True):
            attends = stride in self.attention_strides or stride == self.stride
            if attends and width % self.head_channels:
                what = f"{width} channels at stride {stride} cannot be cut into heads of {self.head_channels}"
                raise ConfigError(what, "Set head_channels to a number that divides them.")

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the map that one feature of each level spans, from the finest to the coarsest."""
        return tuple(self.patch * 2**level for level in range(len(self.channels)))

    @property
    def stride(self) -> int:
        """What height and width must divide by."""
        return self.strides[-1]


@dataclass(frozen=True)
class VqAutoencoderConfig(Settings, section="network"):
    """The autoencoder of a VQ-GAN. The defaults are GAUDA's sizes (section 4.2.1).

    Attributes:
        levels: channels of each level, best multiples of 32, the groups of a norm; each level but the last
            halves height and width.
        blocks_per_level: residual blocks of a level in the encoder; the decoder has one more.
        patch: 1, 2 or 4; the first level sees patch × patch pixels folded into channels, and the last unfolds
            them. 1 is the paper; 2 saves the level of full resolution, which costs a processor the most.
        channels: of a latent, and of a code. The paper's text has lost its number; ours.
        codes: length of the codebook.
        commitment: β, the share of the commitment loss, which pulls latents to their codes.
        attention: whether the coarsest level attends to itself, in encoder and decoder.

    Raises:
        ConfigError: the values do not fit each other.
    """

    levels: tuple[Channels, ...] = (128, 256, 1024)
    blocks_per_level: Blocks = 2
    patch: Patch = 1
    channels: Channels = 4
    codes: Annotated[int, Range(2, 1_000_000)] = 8192
    commitment: Weight = 0.25
    attention: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_levels(self, "levels")

    @property
    def factor(self) -> int:
        """Image pixels, along a side, to one latent pixel; what height and width must divide by."""
        return int(self.patch * 2 ** (len(self.levels) - 1))


@dataclass(frozen=True)
class StyleGan2Config(Settings, section="network"):
    """Generator and discriminator of StyleGAN2. The defaults are its "config-f" for images of 128².

    Attributes:
        channels: channels of each level, from the finest to the coarsest; each level halves height and width.
            Config-f has min(512, 32768 / side) at a level of that side, and a coarsest level of 4 × 4; for
            256², put 128 before the default.
        latent: width of z and w.
        mapping_layers: layers of the mapping network.
        mapping_rate: factor on their learning rate.
        patch: 1, 2 or 4; the finest level makes patch × patch pixels at each place. 1 is the paper; 2 saves
            the level of full resolution, which costs a processor the most.

    Raises:
        ConfigError: the values do not fit each other.
    """

    channels: tuple[Channels, ...] = (256, 512, 512, 512, 512, 512)
    latent: Channels = 512
    mapping_layers: Blocks = 8
    mapping_rate: Positive = 0.01
    patch: Patch = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_levels(self, "channels")

    @property
    def stride(self) -> int:
        """Image pixels, along a side, to one of the coarsest level; what height and width must divide by."""
        return int(self.patch * 2 ** (len(self.channels) - 1))
