"""Settings of DatasetGAN and of its parts. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from rarescene.foundation.configs import (
    Block,
    Channels,
    Count,
    FeatureSize,
    Members,
    Positive,
    Range,
    Settings,
    Share,
    ShareBelowOne,
    Side,
    Steps,
    StepsOrNone,
    Weight,
)
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.networks.config import StyleGan2Config
from rarescene.scenes.config import AugmentConfig
from rarescene.training.config import TrainingConfig


def _stylegan2_training() -> TrainingConfig:
    # The half-life of the average is 10,000 images, as in the published program. Clipping would tie the steps
    # of the generator to the gradients of the discriminator.
    return TrainingConfig(
        steps=100_000, batch_size=32, learning_rate=0.002, betas=(0.0, 0.99), gradient_clip=0.0,
        ema_decay=0.9978, mixed_precision="no", save_every=2000,
    )  # fmt: skip


def _encoder_training() -> TrainingConfig:
    return TrainingConfig(
        steps=50_000, batch_size=16, learning_rate=1e-3, mixed_precision="no", save_every=2000
    )


def _label_training() -> TrainingConfig:
    return TrainingConfig(steps=10_000, batch_size=8, learning_rate=1e-3, ema_decay=0.0, mixed_precision="no")


@dataclass(frozen=True)
class StyleGan2LossConfig(Settings, section="adversarial"):
    """The losses of StyleGAN2. The defaults are its own; `shift` and `colour` are ours, for few images.

    Attributes:
        r1_weight: γ of the gradient penalty R1, γ/2 · E‖∇D(x)‖² over real images.
        r1_every: steps between two such penalties, each then as many times as heavy.
        path_weight: of the path length regularisation; 0 leaves it out.
        path_every: steps between two of these.
        mixing: chance that the layers from a random one on take another latent.
        shift: every image that the discriminator sees, real or generated, is shifted by up to this share of
            its sides (Zhao et al. 2020); 0 shows it as it is.
        colour: strength, 0 to 1, of random changes of its brightness, saturation and contrast.
    """

    r1_weight: Weight = 10.0
    r1_every: Steps = 16
    path_weight: Weight = 2.0
    path_every: Steps = 4
    mixing: Share = 0.9
    shift: ShareBelowOne = 0.0
    colour: Share = 0.0


@dataclass(frozen=True)
class LatentEncoderConfig(Settings, section="encoder"):
    """How the encoder learns, which finds latents for images. The paper names it and no more.

    Attributes:
        latents: weight of the error of the latents of generated images, which are known.
        perceptual: weight of the distance between an image and its reconstruction in frozen features, beside
            their mean squared error.
        feature_size: side in pixels at which the feature network looks at them, a multiple of 32.
        training: the training loop; a batch has as many generated images as real ones.
    """

    latents: Weight = 0.1
    perceptual: Weight = 1.0
    feature_size: FeatureSize = 128
    training: TrainingConfig = field(default_factory=_encoder_training)


@dataclass(frozen=True)
class RefinementConfig(Settings, section="refinement"):
    """How the latents of the labelled frames are refined, from those that the encoder finds.

    Attributes:
        frames: labelled training frames that are used; the paper has 50.
        steps: of gradient descent, by Adam, on each frame's latents.
        learning_rate: its step width, in units of the latents' own spread.
        perceptual: weight of the distance in frozen features, beside the mean squared error.
        nearness: weight of the squared distance from the encoder's latents, in units of their spread. Far
            from them an image is met by latents that no generated image has, and what is learned there holds
            for none.
        block: frames refined at once, and kept when a run is killed.
    """

    frames: Count = 50
    steps: StepsOrNone = 500
    learning_rate: Positive = 0.05
    perceptual: Weight = 1.0
    nearness: Weight = 0.01
    block: Block = 10


@dataclass(frozen=True)
class LabelBranchConfig(Settings, section="labels"):
    """The interpreter: an ensemble of pixel classifiers on the generator's features. DatasetGAN's sizes.

    Attributes:
        members: classifiers, each with weights and pixels of its own.
        hidden: widths of the two hidden layers of each.
        pixels: labelled pixels of a frame that each member sees in a step.
        check_every: steps between two looks at the loss.
        patience: looks without a new lowest loss until training stops.
        gain: share by which a loss must be lower to count as lower.
        training: the training loop; `steps` is the most that is trained, and a batch counts frames.
    """

    members: Members = 10
    hidden: tuple[Channels, Channels] = (128, 32)
    pixels: Count = 64
    check_every: Steps = 100
    patience: Steps = 5
    gain: ShareBelowOne = 0.01
    training: TrainingConfig = field(default_factory=_label_training)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training.decay != "none":
            remedy = "Set it to none: nobody knows beforehand at which step training stops."
            raise ConfigError(f"labels.training.decay is {self.training.decay!r}", remedy)


@dataclass(frozen=True)
class DatasetGanConfig(Settings):
    """Everything that makes a DatasetGAN, beside its data and its seed.

    The defaults are GAUDA's (section 8.6): StyleGAN2 "config-f", 50 annotated pairs, early stopping. The
    paper names neither steps nor learning rates; rates and losses of StyleGAN2 are Karras et al.'s, the sizes
    of the label branch DatasetGAN's, the others ours.

    Attributes:
        height: of the generated pairs, in pixels.
        width: likewise. What the network's stride does not divide is padded and cut back.
        network: sizes of StyleGAN2.
        adversarial: its losses.
        encoder: the training of the encoder, which has the discriminator's sizes.
        refinement: of the labelled frames' latents.
        labels: the label branch.
        truncation: ψ in w̄ + ψ (w - w̄), by which generated latents are moved towards the mean; 1 leaves
            them.
        tries: candidates generated for a request at most, until one shows the classes asked for.
        augment: flips and rotations of the real images that StyleGAN2 and the encoder see.
        training: the loop of StyleGAN2.
    """

    height: Side = 128
    width: Side = 128
    network: StyleGan2Config = field(default_factory=StyleGan2Config)
    adversarial: StyleGan2LossConfig = field(default_factory=StyleGan2LossConfig)
    encoder: LatentEncoderConfig = field(default_factory=LatentEncoderConfig)
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    labels: LabelBranchConfig = field(default_factory=LabelBranchConfig)
    truncation: Annotated[float, Range(above=0, most=1)] = 1.0
    tries: Annotated[int, Range(1, 10_000)] = 8
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(horizontal_flip=0.5, vertical_flip=0.0, rotation=0.0)
    )
    training: TrainingConfig = field(default_factory=_stylegan2_training)

    def __post_init__(self) -> None:
        super().__post_init__()
        loops = {"": self.training, "encoder.": self.encoder.training, "labels.": self.labels.training}
        for part, loop in loops.items():
            if loop.mixed_precision != "no":
                raise ConfigError(
                    f"{part}training.mixed_precision is {loop.mixed_precision!r}",
                    "Set it to no: the penalties of StyleGAN2 are second derivatives, which need float32.",
                )


DATASETGAN = GeneratorMethod(
    name="datasetgan",
    generates="pairs",
    title="DatasetGAN",
    summary="train the baseline, a GAN that labels what it generates (DatasetGAN)",
    example="rarescene train datasetgan --data folder:scenes --out runs/datasetgan --config datasetgan-tiny",
    train=Later("rarescene.commands.train_datasetgan:train_datasetgan"),
    config=DatasetGanConfig,
    load=Later("rarescene.generators.datasetgan:DatasetGan.load"),
)
