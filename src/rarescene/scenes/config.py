"""Options of this room. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rarescene.foundation.configs import Range, Settings, Share, ShareBelowOne


@dataclass(frozen=True)
class AugmentConfig(Settings, section="augment"):
    """Random changes of image and mask together, each with a probability of its own; 0 switches it off.

    The defaults are CASDM's, which gives probabilities and no angle. GAUDA's classic augmentation is
    `AugmentConfig(0.2, 0.0, 0.2, 45.0, 0.2)`.

    Attributes:
        horizontal_flip: probability of a mirror image, left and right exchanged.
        vertical_flip: probability of an image upside down.
        rotation: probability of a rotation about the centre.
        degrees: the largest angle, in degrees; drawn uniformly from -degrees to degrees.
        crop: probability of a crop, which is enlarged to the full frame.
        crop_share: how much of each side a crop cuts off, 0 to below 1.
    """

    horizontal_flip: Share = 0.5
    vertical_flip: Share = 0.5
    rotation: Share = 0.5
    degrees: Annotated[float, Range(0, 180)] = 30.0
    crop: Share = 0.0
    crop_share: ShareBelowOne = 0.1

    @property
    def active(self) -> bool:
        """Whether anything may change at all."""
        return max(self.horizontal_flip, self.vertical_flip, self.rotation, self.crop) > 0


NO_AUGMENTATION = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, rotation=0.0)
