"""Options of the augmentation strategies. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


RankedBy = Literal["agreement", "rare_agreement", "context_agreement", "confidence", "random"]


@dataclass(frozen=True)
class CurationConfig:
    """Which synthetic pairs stay.

    A real-trained segmenter knows rare classes least, so low agreement there may mean a good, hard scene as
    well as a bad one. Pairs of a rare class are therefore ranked among themselves, and of each rare class the
    same share is kept, whatever its agreement.

    Attributes:
        keep: the share of the pairs that is kept, of each rare class and of the others; above 0, at most 1.
            It is taken of those that no other option drops.
        by: what pairs are ranked by: "agreement" over all classes of the mask, "rare_agreement" over its
            rare classes, "context_agreement" over its other classes, "confidence" of the map generator, or
            "random", which is what a curation has to beat.
        min_agreement: pairs whose agreement is lower are dropped, however many there are.
        min_confidence: likewise their mean confidence.
        drop_copies: drop copies of training frames.
        require_request: drop pairs whose mask lacks a class that was asked for ("present"), or has it in
            another number or place ("kept").
        seed: decides the order of "random".
    """

    keep: float = 0.8
    by: RankedBy = "agreement"
    min_agreement: float | None = None
    min_confidence: float | None = None
    drop_copies: bool = False
    require_request: Literal["no", "present", "kept"] = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ConfigError(f"keep is {self.keep}", "Give a share above 0 and at most 1, such as 0.8.")
        for name in ("min_agreement", "min_confidence"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}", "Give a number from 0 to 1, or leave it out.")


def _check_count(count: int | None) -> None:
    if count is not None and count < 0:
        raise ConfigError(f"count is {count}", "Give a whole number from 0, or leave it out.")
