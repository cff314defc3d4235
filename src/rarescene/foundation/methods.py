"""What a method says of itself: one declaration each, which is all that the rest of the house reads.

The command line, the loaders of weights, the cards, the recipes and the tests know a method by its
declaration alone, ours and anybody's (`plugins`). A declaration is made in a module that imports no torch:
what is costly is imported by the functions that it names, when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.foundation.protocols import Meter, Segmenter, Strategy
    from rarescene.scenes import ClassTable, SceneCache
    from rarescene.scenes.datasets import Listing
    from rarescene.scenes.split import SplitRule
    from rarescene.training import Learner, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Method:
    """What methods of every family say.

    Attributes:
        name: as in run records and in the description beside the weights, such as "unet_ensemble".
        summary: one line for the overview, without a full stop.
        command: the word on the command line; by default the name with hyphens.
        example: a command that works, for the help.
        package: the installed distribution that brings the method; filled in when it is found.
    """

    name: str
    summary: str
    command: str = ""
    example: str = ""
    package: str = ""

    def __post_init__(self) -> None:
        if not self.command:
            object.__setattr__(self, "command", self.name.replace("_", "-"))


@dataclass(frozen=True, kw_only=True)
class DatasetMethod(Method):
    """A layout of scenes on disk, opened as `NAME:PATH`.

    Attributes:
        list: gives, of a path and its options, the scenes that lie there and the faults that show without
            decoding.
        options: names of the options that it takes in YAML beside `group_by`, or behind the path, as in
            `NAME:PATH,option=value`.
        splits: rules of `--split` that the data set brings, by name.
    """

    list: Callable[[str, Mapping[str, Any]], Listing]
    options: tuple[str, ...] = ()
    splits: Mapping[str, SplitRule] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SegmenterMethod(Method):
    """A learned p(mask | image); `rarescene segment NAME` trains it.

    Attributes:
        config: the frozen dataclass of its options; all have defaults.
        build: gives, of a configuration, the number of classes and the ignore index, the network, a
            `SegmentationNetwork` whose weights come from torch's global random generator.
        training: gives the training from scratch that suits a configuration.
        cell: gives the side of an output cell in pixels of the image; tables give targets in cells.
        bayesian: whether it has posterior samples, so that its uncertainty may lead a strategy.
        members: gives the number of networks that learn side by side, each in an order of its own.
        note: what else the help says, as whole sentences.
    """

    config: type
    build: Callable[[Any, int, int], Any]
    training: Callable[[Any], TrainingConfig]
    cell: Callable[[Any], float] = lambda config: 1.0
    bayesian: bool = False
    members: Callable[[Any], int] = lambda config: 1
    note: str = ""


Draws = Literal["images", "maps", "pairs", "latents"]


@dataclass(frozen=True, kw_only=True)
class GeneratorMethod(Method):
    """A learned p(image | mask), p(mask | request) or p(image, mask | request), or an autoencoder before one.

    `rarescene train NAME` trains it.

    Attributes:
        draws: images for masks, maps for requests, pairs for requests, or latents of images or of masks.
        title: how cards and pages call it, such as "Joint latent diffusion".
        config: the frozen dataclass of its options: `height`, `width`, `training`, `augment` and its own.
        learner: gives, of a configuration, the decoded training scenes and a seed, what the loop trains; its
            `generator(network)` is the trained generator, which can `save` itself to a folder.
        load: reads from a folder what the generator's `save` wrote.
        needs_images: whether it is trained on images; else masks alone will do.
        weights: gives the sampling weights of the training scenes, or None to take all alike.
        train: the function behind `rarescene train NAME`, as `module:function`.
    """

    draws: Draws
    title: str
    config: type
    load: Callable[[Path], Any]
    learner: Callable[[Any, SceneCache, int], Learner] | None = None
    needs_images: bool = True
    weights: Callable[[Any, SceneCache], Sequence[float] | None] = lambda config, scenes: None
    train: str = "rarescene.commands.train:train"


Needs = Literal["", "synthetic", "generator"]


@dataclass(frozen=True, kw_only=True)
class StrategyMethod(Method):
    """How synthetic or real scenes join the training of a segmenter; `--strategy NAME`, with `--NAME.*`.

    Attributes:
        config: the frozen dataclass of its options; all have defaults.
        build: gives, of a configuration and of what is at hand, the strategy.
        needs: what the command line must bring: synthetic sets (`--synthetic`), a generator (`--generator`),
            or nothing.
        online: whether it decides at validations.
        uncertain: gives whether it is led by a segmenter's uncertainty.
        weighs: gives whether it weighs the scenes that are drawn from; one strategy of a run may.
        extends: whether it adds scenes to those that are drawn from.
    """

    config: type
    build: Callable[[Any, Surroundings], Strategy]
    needs: Needs = ""
    online: bool = False
    uncertain: Callable[[Any], bool] = lambda config: False
    weighs: Callable[[Any], bool] = lambda config: False
    extends: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What a strategy may be made from.

    Attributes:
        table: the classes.
        scenes: all scenes that may be drawn from, the real ones first.
        real: how many are real.
        train: indices of the real training scenes.
        seed: of the run; what a strategy draws at random follows it.
        pairs: the source of fresh pairs, where a generator was given.
        predict: class probabilities `(B, C, H, W)` of images by the segmenter under training.
        agree: gives on every rank the value that rank 0 passes.
    """

    table: ClassTable
    scenes: Any
    real: int
    train: Sequence[int]
    seed: int
    pairs: Any = None
    predict: Callable[[Tensor], Tensor] | None = None
    agree: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Column:
    """One column of a table of a metric's scores.

    Attributes:
        heading: over the column.
        classes: the cell of each class, in the order of the ids.
        means: the cells of "label mean", "sample mean", "sample median" and "all pixels", where there are
            such.
    """

    heading: str
    classes: Sequence[str]
    means: Mapping[str, str] = field(default_factory=dict)


def in_per_cent(fraction: float | None) -> str:
    """Return a fraction as a cell: 0.3125 becomes `31.2`, and None a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


@dataclass(frozen=True, kw_only=True)
class MetricMethod(Method):
    """What `rarescene evaluate` measures beside IoU and Dice; `metrics.json` has it under its name.

    Attributes:
        build: gives, of the classes and of the segmenter, a meter; None where the metric says nothing of
            such a segmenter.
        columns: gives, of the JSON values that the meter's result wrote, what tables and pages show.
    """

    build: Callable[[ClassTable, Segmenter], Meter | None]
    columns: Callable[[Mapping[str, Any]], Sequence[Column]]
