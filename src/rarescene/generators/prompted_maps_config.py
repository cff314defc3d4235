"""The generator of maps from prompts: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rarescene.diffusion.config import ClassAwareConfig, DiffusionConfig
from rarescene.foundation.configs import RareScenes, Settings, Share, Side, Specks
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.networks.config import PromptUNetConfig
from rarescene.scenes.config import AugmentConfig
from rarescene.training.config import TrainingConfig

Representation = Literal["colours", "bits", "one_hot"]


@dataclass(frozen=True)
class PromptConfig(Settings, section="prompts"):
    """What a training scene's prompts leave unsaid, so that requests may leave it unsaid too.

    Attributes:
        nothing: chance that nothing is asked, for classifier-free guidance.
        single: chance that one class alone is asked for; a rare one more often than a common one.
        some: chance that each class is asked for with probability one half.
        without_place: chance that a class's place is not said.
        without_count: chance that a class's number of pieces is not said.
    """

    nothing: Share = 0.1
    single: Share = 0.3
    some: Share = 0.2
    without_place: Share = 0.15
    without_count: Share = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.nothing, self.single, self.some)
        if sum(shares) > 1:
            remedy = "Choose nothing, single and some of at most 1 together."
            raise ConfigError(f"the chances of prompts are {shares}", remedy)


@dataclass(frozen=True)
class PromptedMapsConfig(Settings):
    """Everything that makes a map generator, beside its data and its seed.

    Attributes:
        height: of the generated maps, in pixels.
        width: likewise. What the network's strides do not divide is padded and cut back.
        representation: `colours`, a well-separated colour a class, as in the paper; `bits`, the binary digits
            of the id (analog bits), ours; or `one_hot`, a channel a class, ours: where two classes meet, it
            cannot show a third between them.
        text_encoder: all-MiniLM-L6-v2, which needs no network, or the folder or hub name of a CLIP text
            encoder; the paper has CLIP and does not say which.
        prompts: what training leaves unsaid.
        rare_scenes: e in the sampling weight 1/f^e of a training scene, where f is the share of scenes that
            show its rarest class; 0 samples all scenes alike, as the paper does.
        network: sizes of the U-Net.
        diffusion: noise schedule and prediction.
        class_aware: weights of the classes in the loss; `plain`, the paper's pixel-wise MSE, by default.
        specks: pieces below this share of a generated map are given to the class around them, except the
            largest of a class that was asked for.
        augment: flips and rotations of the training maps.
        training: the training loop.
    """

    height: Side = 256
    width: Side = 256
    representation: Representation = "colours"
    text_encoder: str = "all-MiniLM-L6-v2"
    prompts: PromptConfig = field(default_factory=PromptConfig)
    rare_scenes: RareScenes = 0.0
    network: PromptUNetConfig = field(default_factory=PromptUNetConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    class_aware: ClassAwareConfig = field(default_factory=lambda: ClassAwareConfig(mode="plain"))
    specks: Specks = 0.001
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


MAPS = GeneratorMethod(
    name="maps",
    generates="maps",
    title="Map generator",
    summary="train a generator of segmentation maps that follows prompts",
    example="rarescene train maps --data folder:scenes --out runs/maps --config maps-tiny",
    needs_images=False,
    config=PromptedMapsConfig,
    load=Later("rarescene.generators.prompted_maps:PromptedMaps.load"),
    learner=Later("rarescene.generators.prompted_maps:PromptedMapsLearner"),
)
