"""No augmentation: the baseline of every comparison."""

from __future__ import annotations

from rarescene.augmentation.fixed import FixedStrategy


class NoAugmentation(FixedStrategy):
    """Draws the real scenes, each alike."""

    def __init__(self) -> None:
        super().__init__(strategy="none")
