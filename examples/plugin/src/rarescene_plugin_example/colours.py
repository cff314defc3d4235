"""A segmenter that looks at the colour of a pixel alone."""

from __future__ import annotations

from dataclasses import dataclass

from rarescene.foundation.methods import SegmenterMethod
from rarescene.training import TrainingConfig


@dataclass(frozen=True)
class ColoursConfig:
    """Its option is `width`, the hidden units of each pixel."""

    width: int = 32


def colours(config: ColoursConfig, classes: int, ignore_index: int) -> object:
    """Return the network. torch is imported here, so that `rarescene --help` need not wait for it."""
    from torch import Tensor, nn

    from rarescene.segmenters import SegmentationNetwork

    class Colours(SegmentationNetwork):
        stride = 1

        def __init__(self) -> None:
            super().__init__(config, classes, ignore_index)
            self.hidden, self.head = nn.Conv2d(3, config.width, 1), nn.Conv2d(config.width, classes, 1)

        def logits(self, images: Tensor) -> Tensor:
            return self.head(nn.functional.silu(self.hidden(images)))

    return Colours()


COLOURS = SegmenterMethod(
    name="colours", summary="train a segmenter of colours", config=ColoursConfig, build=colours,
    training=lambda config: TrainingConfig(steps=300, batch_size=8, learning_rate=1e-2),
)  # fmt: skip
