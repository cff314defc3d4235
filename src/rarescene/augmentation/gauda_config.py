"""GAUDA: what it is told, and what it says of itself. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rarescene.evaluation.uncertainty import Measure
from rarescene.foundation.configs import Block, Positive, Range, Seed, Settings, Share, Steps
from rarescene.foundation.methods import Later, StrategyMethod


@dataclass(frozen=True)
class DrawingConfig(Settings, section="gauda.drawing"):
    """When a synthetic batch is generated.

    Attributes:
        when: "at_refresh" generates all of it before training goes on. "between_steps" generates a part
            between two training steps, in a thread that rests while a step runs: for one device that does
            both. "beside" generates while the training runs, on another device.
        budget: seconds that a training step may be held up by denoising, for "between_steps". From it
            follows, once in a run, how many denoising steps are made between two training steps.
        ticks: their number itself, which makes a run independent of how fast its machine is.
        join_after: training steps after which a batch generated "beside" is waited for and taken up.
        block: pairs that are generated together. A pair depends on it as on any batch size: within 2/255.
            Smaller blocks make shorter denoising steps, which is the least that a training step can be held
            up; and held to an agreement, a block a training step is judged.
    """

    when: Literal["at_refresh", "between_steps", "beside"] = "at_refresh"
    budget: Positive = 0.1
    ticks: Steps | None = None
    join_after: Steps = 50
    block: Block = 16


@dataclass(frozen=True)
class SievingConfig(Settings, section="gauda.sieving"):
    """Which of the pairs generated in the course of a training enter it. By default, as in the paper, all.

    Attributes:
        request: what the mask of a pair must show: nothing in particular ("no"), the class that the pair
            was generated for ("target"), each class of its request ("present"), or each in the number and at
            the place asked for ("kept").
        min_agreement: the least agreement of the segmenter under training with the pair, as IoU; None for
            any. Of what is generated at a refresh the segmenter of the validation judges, whose weights are
            averaged in `segment`; of what is generated in the background the one whose weights are being
            trained.
        agreement_of: the classes that it is the mean over: all "others" than the one that the pair was
            generated for, which is what the segmenter is to learn; or that "target" alone, for a real frame
            into which it was drawn: of the others that frame shows what it always showed.
        candidates: how many pairs are generated at most, in multiples of the batch, to replace those that are
            dropped.
    """

    request: Literal["no", "target", "present", "kept"] = "no"
    min_agreement: Share | None = None
    agreement_of: Literal["others", "target"] = "others"
    candidates: Annotated[float, Range(1, 1000)] = 2.0


@dataclass(frozen=True)
class GaudaConfig(Settings, section="gauda"):
    """Online augmentation led by uncertainty (GAUDA, section 3.3).

    Attributes:
        probability: chance that a scene of a training batch is replaced by a synthetic one.
        classes: k, how many of the most uncertain classes are asked for; never more than pairs are generated.
        size: pairs in a synthetic batch; the paper's training batches hold 100 scenes.
        samples: posterior samples of each validation scene; two at least, or none could disagree.
        measure: what their disagreement is measured by; the paper takes the variance.
        patience: P; a class gains 1/P of the largest uncertainty with each refresh that it waits. Every class
            has its turn within P + ⌈number of classes / k⌉ refreshes, again and again. With few refreshes in
            a run, take fewer.
        exclude: ids of classes that are never chosen, such as those that no training scene shows. A request
            for another class may name them beside it.
        drawing: when a batch is generated.
        sieving: which pairs of it are kept.
        seed: of requests and pairs.
    """

    probability: Share = 0.25
    classes: Annotated[int, Range(1, 255)] = 5
    size: Annotated[int, Range(1, 65_536)] = 100
    samples: Annotated[int, Range(2, 10_000)] = 10
    measure: Measure = "variance"
    patience: Steps = 10
    exclude: tuple[Annotated[int, Range(0, 255)], ...] = ()
    drawing: DrawingConfig = DrawingConfig()
    sieving: SievingConfig = SievingConfig()
    seed: Seed = 0


GAUDA = StrategyMethod(
    name="gauda",
    summary="pairs of the classes that the segmenter is most uncertain of, generated while it trains",
    config=GaudaConfig,
    build=Later("rarescene.augmentation.gauda:gauda_of"),
    needs="generator",
    online=True,
    uncertain=lambda config: True,
    beside=lambda config: config.drawing.when == "beside",
    block=lambda config: min(config.drawing.block, config.size),
)
