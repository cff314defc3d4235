"""Options of this room. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from rarescene.foundation.configs import check_numbers


@dataclass(frozen=True)
class AugmentConfig:
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

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    rotation: float = 0.5
    degrees: float = 30.0
    crop: float = 0.0
    crop_share: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(self, "horizontal_flip", "vertical_flip", "rotation", "crop", least=0, most=1)
        check_numbers(self, "crop_share", least=0, below=1)
        check_numbers(self, "degrees", least=0, most=180)

    @property
    def active(self) -> bool:
        """Whether anything may change at all."""
        return max(self.horizontal_flip, self.vertical_flip, self.rotation, self.crop) > 0


NO_AUGMENTATION = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, rotation=0.0)
