"""Options of this room. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rarescene.foundation.configs import Range, Settings, Share, ShareBelowOne


@dataclass(frozen=True)
class AugmentConfig(Settings, section="augment"):
    """Random changes of image and mask together, each with a probability of its own; 0 switches it off.

    `colour` changes the image alone, each scene's by another amount.

    The defaults are CASDM's, which gives probabilities and no angle. GAUDA's classic augmentation is
    `AugmentConfig(0.2, 0.0, 0.2, 45.0, 0.2)`.

    Attributes:
        horizontal_flip: probability of a mirror image, left and right exchanged.
        vertical_flip: probability of an image upside down.
        rotation: probability of a rotation about the centre.
        degrees: the largest angle, in degrees; drawn uniformly from -degrees to degrees.
        crop: probability of a crop, which is enlarged to the full frame.
        crop_share: how much of each side a crop cuts off, 0 to below 1.
        colour: how far colour and light vary (ours), 0 to 1: brightness, contrast and saturation by a factor
            from 1 − colour to 1 + colour, hue by an angle up to colour · 45°. So what an organ looks like in
            the training recordings is not tied to where it lies.
    """

    horizontal_flip: Share = 0.5
    vertical_flip: Share = 0.5
    rotation: Share = 0.5
    degrees: Annotated[float, Range(0, 180)] = 30.0
    crop: Share = 0.0
    crop_share: ShareBelowOne = 0.1
    colour: Share = 0.0

    @property
    def active(self) -> bool:
        """Whether anything may change at all."""
        return max(self.horizontal_flip, self.vertical_flip, self.rotation, self.crop, self.colour) > 0


NO_AUGMENTATION = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, rotation=0.0)
