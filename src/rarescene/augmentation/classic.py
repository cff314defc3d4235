"""Classic augmentation (GAUDA, section 5): crops, mirror images, rotations and recolouring of scenes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from rarescene.augmentation.base import FixedStrategy
from rarescene.foundation.configs import Range, Share
from rarescene.foundation.methods import StrategyMethod
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.config import AugmentConfig


@dataclass(frozen=True)
class ClassicConfig(AugmentConfig, section="classic"):
    """Classic augmentation as in section 5 of GAUDA: crop, mirror image, rotation, each now and then.

    The paper crops away 10 % of the image, which is read as 10 % of each side, and keeps the colours. The
    attributes are those of `AugmentConfig`, with other defaults.
    """

    horizontal_flip: Share = 0.2
    vertical_flip: Share = 0.0
    rotation: Share = 0.2
    degrees: Annotated[float, Range(0, 180)] = 45.0
    crop: Share = 0.2


class Classic(FixedStrategy):
    """Changes image and mask of a scene together, sampled from that scene's seed alone.

    Masks are sampled by nearest neighbour; what comes from outside the frame is black in the image and
    ignored in the mask.

    Args:
        config: what may happen, and how often.
        ignore_index: the id of what is not labelled.
    """

    def __init__(self, config: ClassicConfig, ignore_index: int = 255) -> None:
        super().__init__(strategy="classic", **asdict(config))
        self.config, self.ignore_index = config, ignore_index

    def mix(self, batch: Batch) -> Batch:
        """Return the batch with some of its scenes cropped, mirrored or rotated, or all recoloured."""
        from rarescene.scenes import augment

        # Seeds of its own, or a loop that augments as well would have the same scenes changed twice.
        seeds = [derive_seed(seed, "classic") for seed in batch.seeds]
        images, masks = augment(batch.images, batch.masks, seeds, self.config, self.ignore_index)
        return Batch(images, masks, batch.seeds)


CLASSIC = StrategyMethod(
    name="classic",
    summary="crops, mirror images and rotations of the real scenes",
    config=ClassicConfig,
    build=lambda config, around: Classic(config, around.table.ignore_index),
)
