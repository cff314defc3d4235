"""What a method says of itself: one declaration each, which is all that the rest of the house reads.

The command line, the loaders of weights, the cards, the recipes and the tests know a method by its
declaration alone, ours and anybody's (`plugins`). A declaration is made in a module that imports no torch:
what is costly is imported by the functions that it names, when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.foundation.protocols import Meter, Segmenter, Strategy
    from rarescene.scenes import ClassTable, Request
    from rarescene.scenes.faults import Listing
    from rarescene.scenes.pool import ScenePool
    from rarescene.scenes.split import SplitRule
    from rarescene.sources.pair_source import PairSource
    from rarescene.training import TrainingConfig


@dataclass(frozen=True)
class Later:
    """A function or class that is imported when it is wanted: a declaration costs nothing.

    Attributes:
        reference: `module:name`, as entry points have it; the name may have dots.
    """

    reference: str

    def load(self) -> Any:
        """Import it."""
        return EntryPoint("", self.reference, "").load()

    def __call__(self, *values: Any, **options: Any) -> Any:
        """Import and call it."""
        return self.load()(*values, **options)


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
    """A layout of scenes on disk, opened as `COMMAND:PATH`.

    Attributes:
        list: gives, of the path, the scenes that lie there and the faults that show without decoding; each
            scene in the recording that its place or name says, which `--group-by` may replace. Options that
            are given come by name, as text. What it raises as a `DataError` becomes a fault.
        options: names of the options that it takes, behind the path, as in `COMMAND:PATH,option=value`, or in
            YAML.
        folder: whether the path must be a folder, which is looked for before `list` is called, with a `Path`.
            Otherwise `list` is called with what is written behind the colon, a text that may be empty.
        splits: rules of `--split` that the data set brings, by name. They serve for any scenes; a name that
            an earlier data set has stays with that one.
    """

    list: Callable[..., Listing]
    options: Sequence[str] = ()
    folder: bool = True
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


Generated = Literal["images", "maps", "pairs", "latents"]


@dataclass(frozen=True, kw_only=True)
class GeneratorMethod(Method):
    """A learned p(image | mask), p(mask | request) or p(image, mask | request), or an autoencoder before one.

    `rarescene train NAME` trains it.

    Attributes:
        generates: images for masks, maps for requests, pairs for requests, or latents of images or of masks.
        title: how cards and pages call it, such as "Joint latent diffusion".
        config: the frozen dataclass of its options: `height`, `width`, `training`, `augment` and its own; a
            `rare_scenes` among them makes scenes of rare classes more frequent.
        learner: the class of what the loop trains, whose `of_scenes` makes one of a configuration, the
            decoded training scenes and a seed; its `generator(network)` is the trained generator, which can
            `save` itself to a folder and has a `summary` of one sentence for its card. None where `train` is
            a function of its own.
        load: reads from a folder what the generator's `save` wrote; by default that of the generator that the
            learner `trains`.
        needs_images: whether it is trained on images; else masks alone will do.
        train: the function behind `rarescene train NAME`.
    """

    generates: Generated
    title: str
    config: type
    learner: Later | None = None
    load: Callable[[Path], Any] = None  # type: ignore[assignment]  # filled in
    needs_images: bool = True
    train: Later = Later("rarescene.commands.train:train")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.load is None and self.learner is not None:
            object.__setattr__(self, "load", Later(f"{self.learner.reference}.trains.load"))

    @property
    def thing(self) -> str:
        """What cards and pages call what it trained."""
        kinds = {"images": " image generator", "pairs": " pair generator"}
        return self.title + kinds.get(self.generates, "")


Needs = Literal["", "synthetic", "generator"]


def never(config: Any) -> bool:
    """Say no, whatever the options are."""
    return False


@dataclass(frozen=True, kw_only=True)
class StrategyMethod(Method):
    """How real or synthetic scenes join the training of a segmenter; `--strategy NAME`, with `--NAME.*`.

    Attributes:
        config: the frozen dataclass of its options, which have defaults; None for a strategy without any.
        build: gives, of a configuration and of what is at hand, the strategy.
        needs: what the command line must bring: synthetic sets (`--synthetic`), a generator (`--generator`),
            or nothing.
        check: refuses, by a `ConfigError`, options that make no sense within a run.
        online: whether it decides at validations.
        extends: whether it adds scenes to those that are sampled from.
        weighs: whether, with these options, it weighs the scenes that are sampled from; one of a run may.
        uncertain: whether, with these options, a segmenter's uncertainty leads it.
        beside: whether, with these options, it generates on a device of its own while the training runs.
        block: how many pairs it generates at once at most, with these options, or None.
    """

    config: type | None = None
    build: Callable[[Any, Surroundings], Strategy]
    needs: Needs = ""
    check: Callable[[Any], None] = lambda config: None
    online: bool = False
    extends: bool = False
    weighs: Callable[[Any], bool] = never
    uncertain: Callable[[Any], bool] = never
    beside: Callable[[Any], bool] = never
    block: Callable[[Any], int | None] = lambda config: None


@dataclass(frozen=True)
class Surroundings:
    """What a strategy may be made from.

    Attributes:
        scenes: all scenes that may be sampled from, the real ones first.
        train: indices of the real training scenes.
        seed: of the run; what is random in a strategy follows it.
        pairs: the source of fresh pairs, where a generator was given.
        spare: a device that nothing trains on, where a strategy asked for one and there is one.
        predict: class probabilities `(B, C, H, W)` of images by the segmenter under training.
        agree: gives on every rank the value that rank 0 passes.
    """

    scenes: ScenePool
    train: Sequence[int]
    seed: int
    pairs: PairSource[Request] | None = None
    spare: Any = None
    predict: Callable[[Tensor], Tensor] | None = None
    agree: Callable[[Any], Any] = lambda value: value

    @property
    def table(self) -> ClassTable:
        """The classes."""
        return self.scenes.caches[0].classes


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
