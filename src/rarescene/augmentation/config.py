"""Options of the augmentation strategies. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from rarescene.foundation.errors import ConfigError


@dataclass(frozen=True)
class DuplicateConfig:
    """The naive baseline of CASDM: identical copies of the frames that show a rare class.

    Attributes:
        count: how many copies join the real scenes; None for as many as there are real scenes, which doubles
            the set as the paper does (6868 and 6868).
        seed: decides which frames are copied once more where `count` is no multiple of theirs.
    """

    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_count(self.count)


@dataclass(frozen=True)
class OfflineConfig:
    """Synthetic scenes made before the training, as CASDM adds them.

    Attributes:
        count: how many of them join the real scenes; None for all. A larger count contains a smaller one's.
        probability: chance that a drawn scene is synthetic; None for the plain union of the paper, where
            every scene, real or synthetic, is drawn alike.
        seed: decides which are taken.
    """

    count: int | None = None
    probability: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_count(self.count)
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ConfigError(
                f"probability is {self.probability}", "Give a probability from 0 to 1, or leave it out."
            )


def _check_count(count: int | None) -> None:
    if count is not None and count < 0:
        raise ConfigError(f"count is {count}", "Give a whole number from 0, or leave it out.")
