"""The painter: what it is told, and what it says of itself. Imports no torch."""

from dataclasses import dataclass, field

from rarescene.foundation.methods import GeneratorMethod, Later
from rarescene.scenes import NO_AUGMENTATION, AugmentConfig
from rarescene.training import TrainingConfig


@dataclass(frozen=True)
class PainterConfig:
    """Size of the images in pixels, flips and rotations of the training scenes, and the training loop."""

    height: int = 64
    width: int = 64
    augment: AugmentConfig = NO_AUGMENTATION
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(steps=300, learning_rate=0.02))


PAINTER = GeneratorMethod(
    name="painter", generates="images", title="Painter", summary="train a painter of noisy colours",
    config=PainterConfig, learner=Later("rarescene_plugin_example.painter:PainterLearner"),
)  # fmt: skip
