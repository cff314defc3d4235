"""Options of the augmentation strategies. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import AugmentConfig


def _check_count(count: int | None) -> None:
    if count is not None and count < 0:
        raise ConfigError(f"count is {count}", "Give a whole number from 0, or leave it out.")


def _check_least(least: int, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ConfigError(f"{name} is {value}", f"Give a number from {least}.")


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


@dataclass(frozen=True)
class ClassicConfig(AugmentConfig):
    """Classic augmentation as in section 5 of GAUDA: crop, mirror image, rotation, each now and then.

    The paper crops away 10 % of the image, which is read as 10 % of each side. The attributes are those of
    `AugmentConfig`, with other defaults.
    """

    horizontal_flip: float = 0.2
    vertical_flip: float = 0.0
    rotation: float = 0.2
    degrees: float = 45.0
    crop: float = 0.2


Measure = Literal["variance", "mutual_information"]


@dataclass(frozen=True)
class AdaptiveSamplingConfig:
    """Real scenes weighted anew at each validation (GAUDA, section 2.1).

    Attributes:
        by: what a class is drawn for: "score", 1 − IoU, or "uncertainty", as GAUDA measures it.
        floor: the weight of a scene whose classes are all mastered, as a share of the largest weight; above
            0, so that no scene starves, at most 1, which draws all alike.
        samples: posterior samples of each validation scene, for "uncertainty"; two at least.
        measure: what their disagreement is measured by, for "uncertainty".
    """

    by: Literal["score", "uncertainty"] = "score"
    floor: float = 0.1
    samples: int = 10
    measure: Measure = "variance"

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 1:
            raise ConfigError(f"floor is {self.floor}", "Give a share above 0 and at most 1, such as 0.1.")
        _check_least(2 if self.by == "uncertainty" else 1, samples=self.samples)


@dataclass(frozen=True)
class DrawingConfig:
    """When a synthetic batch is drawn.

    Attributes:
        when: "at_refresh" draws all of it before training goes on. "between_steps" draws a part between two
            training steps, in a thread that rests while a step runs: for one device that does both. "beside"
            draws while the training runs, on another device.
        budget: seconds that a training step may be held up by denoising, for "between_steps". From it
            follows, once in a run, how many denoising steps are made between two training steps.
        ticks: their number itself, which makes a run independent of how fast its machine is.
        join_after: training steps after which a batch drawn "beside" is waited for and taken up.
        block: pairs that are drawn together. A pair depends on it as on any batch size: within 2/255. Smaller
            blocks make shorter denoising steps, which is the least that a training step can be held up; and
            held to an agreement, a block a training step is judged.
    """

    when: Literal["at_refresh", "between_steps", "beside"] = "at_refresh"
    budget: float = 0.1
    ticks: int | None = None
    join_after: int = 50
    block: int = 16

    def __post_init__(self) -> None:
        _check_least(1, block=self.block, join_after=self.join_after, ticks=self.ticks)
        if not self.budget > 0:
            raise ConfigError(
                f"budget is {self.budget}", "Give the seconds that a step may wait, such as 0.1."
            )


@dataclass(frozen=True)
class SievingConfig:
    """Which of the pairs drawn in the course of a training enter it. By default, as in the paper, all.

    Attributes:
        request: what the mask of a pair must show: nothing in particular ("no"), the class that the pair
            was drawn for ("target"), each class of its request ("present"), or each in the number and at the
            place asked for ("kept").
        min_agreement: the least agreement of the segmenter under training with the pair, as mean IoU over all
            classes but the one that it was drawn for, which is what the segmenter is to learn; None for any.
            Of what is drawn at a refresh the segmenter of the validation judges, whose weights are averaged
            in `segment`; of what is drawn in the background the one whose weights are being trained.
        candidates: how many pairs are drawn at most, in multiples of the batch, to replace those that are
            dropped.
    """

    request: Literal["no", "target", "present", "kept"] = "no"
    min_agreement: float | None = None
    candidates: float = 2.0

    def __post_init__(self) -> None:
        _check_least(1, candidates=self.candidates)
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            what = f"min_agreement is {self.min_agreement}"
            raise ConfigError(what, "Give a number from 0 to 1, or leave it out.")


@dataclass(frozen=True)
class GaudaConfig:
    """Online augmentation led by uncertainty (GAUDA, section 3.3).

    Attributes:
        probability: chance that a scene of a training batch is replaced by a synthetic one.
        classes: k, how many of the most uncertain classes are asked for; never more than pairs are drawn.
        size: pairs in a synthetic batch; the paper's training batches hold 100 scenes.
        samples: posterior samples of each validation scene; two at least, or none could disagree.
        measure: what their disagreement is measured by; the paper takes the variance.
        patience: P; a class gains 1/P of the largest uncertainty with each refresh that it waits. Every class
            has its turn within P + ⌈number of classes / k⌉ refreshes, again and again. With few refreshes in
            a run, take fewer.
        exclude: ids of classes that are never chosen, such as those that no training scene shows. A request
            for another class may name them beside it.
        drawing: when a batch is drawn.
        sieving: which pairs of it are kept.
        seed: of requests and pairs.
    """

    probability: float = 0.25
    classes: int = 5
    size: int = 100
    samples: int = 10
    measure: Measure = "variance"
    patience: int = 10
    exclude: tuple[int, ...] = ()
    drawing: DrawingConfig = DrawingConfig()
    sieving: SievingConfig = SievingConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        _check_least(1, classes=self.classes, size=self.size, patience=self.patience)
        _check_least(2, samples=self.samples)
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"probability is {self.probability}", "Give a probability from 0 to 1.")
