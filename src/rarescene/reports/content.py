"""What a report says, as plain data. The workflows fill it; tables, pages and cards only show it.

Shares and scores (IoU, Dice) are fractions from 0 to 1 here and are shown in per cent. `None` means that
there is nothing to score, which is neither 0 nor 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    from rarescene.scenes import ClassTable, SceneStatistics

PHANTOM_WARNING = "Phantom scenes: procedural pictures. No figure here is a surgical one."


@dataclass(frozen=True)
class Estimate:
    """A score with its interval over recordings; the bounds are None where too few recordings give one."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def has_interval(self) -> bool:
        """Whether both bounds are known."""
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class ClassScore:
    """How well one class is segmented on the test recordings.

    Attributes:
        name: the class.
        iou: intersection over union, from the confusion matrix of the whole test set.
        dice: Dice coefficient, likewise.
        pixels: labelled test pixels of the class.
        frames: test frames that show it.
        recordings: test recordings that show it.
        false_pixels: test pixels predicted as the class where the labels say another.
    """

    name: str
    iou: Estimate
    dice: Estimate
    pixels: int
    frames: int
    recordings: int
    false_pixels: int = 0


@dataclass(frozen=True)
class MeanScore:
    """A mean over classes or frames, of both scores."""

    iou: Estimate
    dice: Estimate


@dataclass(frozen=True)
class RunScores:
    """The overlap scores of one run, or of one strategy over several seeds.

    Attributes:
        name: short; it heads a column.
        classes: one score a class, in the order of the class table.
        label_mean: mean over the classes that the test labels show.
        sample_mean: mean over frames of the frame's own mean over classes.
        sample_median: median over frames, likewise.
        seeds: training seeds behind the scores.
        stride: pixels of the picture that one output cell of the segmenter spans along a side.
        confusion: rows are labelled classes, columns predicted ones, in pixels; None where not kept.
        notes: what must be read beside the scores.
    """

    name: str
    classes: tuple[ClassScore, ...]
    label_mean: MeanScore
    sample_mean: MeanScore
    sample_median: MeanScore
    seeds: tuple[int, ...] = ()
    stride: float = 1
    confusion: tuple[tuple[int, ...], ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confidence:
    """What the probabilities of one run are worth, in words: a column a measure.

    Attributes:
        headings: the measures.
        classes: the cells of each class, by name.
        means: the cells of each mean, by name; empty where a measure has none.
    """

    headings: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    means: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Difference:
    """One paired difference, candidate minus baseline, over the test recordings.

    Attributes:
        of: what was compared: `label mean`, `sample mean`, `rare mean`, or a class.
        mean: the difference as a fraction; None where neither run could be scored, or only one.
        low: lower bound of its bootstrap interval; None where there is none.
        high: upper bound, likewise.
        effect: Cohen's d of the paired differences, or None.
        p: Holm-corrected p-value of the sign-flip test, or None.
        reason: why a figure is missing, in words.
        before: the baseline's score, or None.
        after: the candidate's score, or None.
    """

    of: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    effect: float | None = None
    p: float | None = None
    reason: str = ""
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A strategy against the baseline, at equal optimiser steps and equal batches.

    Attributes:
        baseline: name of the run that is subtracted.
        candidate: name of the run under test.
        headline: the difference that the verdict is about, usually the rare classes' mean IoU.
        differences: all differences, the headline's included if it is to be listed.
        seeds: number of training seeds of each side.
        recordings: number of test recordings.
        equal_steps: whether both sides had the same steps and batch size.
        score: `IoU` or `Dice`, which the differences are of.
        conclusion: what intervals and tests together allow to say, in a sentence.
        notes: what must be read beside the figures.
    """

    baseline: str
    candidate: str
    headline: Difference
    differences: tuple[Difference, ...]
    seeds: int
    recordings: int
    equal_steps: bool = True
    score: str = "IoU"
    conclusion: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    """One figure about the synthetic pictures, such as a Fréchet distance.

    Attributes:
        name: what is measured, with the extractor's name where there is one.
        value: the figure, or None.
        better: which way is better.
        reference: the same figure between two halves of the real frames, to read the other against; or None.
        note: what it is computed on, or why it is missing.
    """

    name: str
    value: float | None
    better: Literal["lower", "higher", "neither"]
    reference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """One picture of the gallery: uint8 `(H, W, 3)`, a label, and words for those who cannot see it.

    `flat` pictures are drawn from class ids and are enlarged without smoothing.
    """

    label: str
    picture: np.ndarray
    alt: str
    flat: bool = False


@dataclass(frozen=True)
class GalleryRow:
    """One scene of the gallery, cell by cell."""

    title: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """One line of a plot. `steps` and `values` are equally long; values that are not finite leave a gap.

    `colour` is a CSS colour, for instance that of a class; by default a line has that of its place.
    """

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    colour: str = ""


@dataclass(frozen=True)
class CurvePlot:
    """A plot of curves over optimiser steps."""

    title: str
    curves: tuple[Curve, ...]
    y_label: str = "loss"
    x_label: str = "optimiser step"
    logarithmic: bool = False


@dataclass(frozen=True)
class Provenance:
    """Where the figures come from.

    Attributes:
        commands: the commands that made them, in order.
        data: name of the data set.
        licence: its licence.
        split: how recordings were split, in words.
        train: recordings trained on.
        validation: recordings of the validation.
        test: recordings that the figures are measured on.
        seeds: the seeds.
        commit: the commit of the code, `+` appended where files were changed.
        machine: processor, accelerator, memory, in words.
        versions: package names and versions.
        more: anything else worth a line: label and text.
    """

    commands: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    split: str = ""
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    commit: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Everything on the page. An empty field leaves its section out.

    Attributes:
        title: heading of the page.
        summary: what this is, in one or two sentences.
        classes: the class table; it gives the legend.
        rare: names of the rare classes; they are listed first.
        warnings: what a reader must know before any figure, such as `PHANTOM_WARNING`.
        phantom: whether the scenes are phantom ones.
        compared: what was compared, one line a run: name and words.
        confidence: what each run's probabilities are worth, by its name.
    """

    title: str
    summary: str
    classes: ClassTable
    rare: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    phantom: bool = False
    compared: Mapping[str, str] = field(default_factory=dict)
    statistics: SceneStatistics | None = None
    runs: tuple[RunScores, ...] = ()
    confidence: Mapping[str, Confidence] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    realism: Mapping[str, tuple[Measure, ...]] = field(default_factory=dict)
    gallery: tuple[GalleryRow, ...] = ()
    gallery_rule: str = ""
    curves: tuple[CurvePlot, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
