"""What a curation says: which pairs stayed, which went, and why. The workflow fills it and decides.

Scores are fractions from 0 to 1 here and are shown in per cent; `None` means that there is nothing to score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.reports.caveats import Remark
from rarescene.reports.content import GalleryRow, Provenance
from rarescene.reports.formatting import count, figure, percent, share
from rarescene.reports.tables import class_name, plain_table

if TYPE_CHECKING:
    from rarescene.scenes import ClassTable

BLIND = 0.1
"""A segmenter that reaches less IoU than this on real frames does not know the class."""


@dataclass(frozen=True)
class CuratedClass:
    """What became of the pairs that show a class.

    Attributes:
        name: the class.
        rare: whether its pairs were ranked among themselves (those that show a rarer class apart).
        pairs: how many showed it.
        kept: how many of those stayed.
        synthetic: mean IoU of the segmenter's prediction, over the pairs that show it; None without one.
        real: the same on real validation frames, or None.
    """

    name: str
    rare: bool
    pairs: int
    kept: int
    synthetic: float | None = None
    real: float | None = None


@dataclass(frozen=True)
class DistanceRow:
    """Distances to the nearest training frame: of whom, how many, how near, and the share of copies."""

    who: str
    number: int
    low: float | None = None
    median: float | None = None
    copies: float | None = None


@dataclass(frozen=True)
class Copies:
    """One measure of nearness: the synthetic images first, then real frames to read them against.

    Attributes:
        measure: what the distances are of.
        threshold: at and below it an image counts as a copy; None where nothing tells it.
        decides: whether copies were told by this measure.
        rows: synthetic images, training frames within and between recordings, validation frames.
    """

    measure: str
    threshold: float | None
    decides: bool
    rows: tuple[DistanceRow, ...]


@dataclass(frozen=True)
class Histogram:
    """The values of one score, of pairs that stayed and of those that went.

    Attributes:
        name: of the score.
        kept: values of the pairs that stayed.
        dropped: values of the others.
        limits: lines to draw: label and value.
        note: what the score is, in a sentence.
    """

    name: str
    kept: tuple[float, ...]
    dropped: tuple[float, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CurationReport:
    """Everything on the page of a curation. An empty field leaves its section out.

    Attributes:
        title: heading of the page.
        summary: what was kept, and how it was chosen, in one or two sentences.
        classes: the class table.
        pairs: how many there were.
        reasons: number of pairs by what became of them, in words; "kept" first.
        by_class: what became of each class.
        copies: one entry a measure.
        histograms: one a score.
        dropped: pairs that went, with the reason in the note of each.
        borderline: pairs right above and below the limit.
        warnings: what a reader must know before any figure.
        notes: what must be read beside the figures.
        phantom: whether the scenes are phantom ones.
        provenance: where the figures come from.
    """

    title: str
    summary: str
    classes: ClassTable
    pairs: int
    reasons: Mapping[str, int]
    by_class: tuple[CuratedClass, ...] = ()
    copies: tuple[Copies, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    dropped: tuple[GalleryRow, ...] = ()
    borderline: tuple[GalleryRow, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phantom: bool = False
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def kept(self) -> int:
        """How many pairs stayed."""
        return self.reasons.get("kept", 0)


def curation_table(report: CurationReport) -> RenderableType:
    """Return what was kept of each class, why pairs went, and how near they come to training frames."""
    table = plain_table(f"{report.kept:,} of {count(report.pairs, 'pair')} kept")
    table.add_column("class", overflow="fold", ratio=1)
    for head in ("pairs", "kept", "share", "IoU in pairs", "on real"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for entry in report.by_class:
        scores = (percent(entry.synthetic, missing="–"), percent(entry.real, missing="–"))
        part = share(entry.kept / entry.pairs) if entry.pairs else "–"
        cells = (f"{entry.pairs:,}", f"{entry.kept:,}", part, *scores, "rare" if entry.rare else "")
        table.add_row(class_name(entry.name, report.classes), *cells, style="bold" if entry.rare else "")
    parts: list[RenderableType] = [table]
    for one in report.copies:
        near = plain_table(f"Nearest training frame: {one.measure}")
        near.add_column("of", overflow="fold", ratio=1)
        for head in ("number", "nearest 5 %", "median", "as near as a copy"):
            near.add_column(head, justify="right", no_wrap=True)
        for row in one.rows:
            near.add_row(row.who, f"{row.number:,}", figure(row.low), figure(row.median), share(row.copies))
        parts.append(near)
    gone = "; ".join(f"{words}: {number:,}" for words, number in report.reasons.items() if words != "kept")
    parts += [Text(f"dropped: {gone}")] if gone else []
    return Group(*parts, *(Text(note, style="dim") for note in report.notes))


def curation_remarks(report: CurationReport) -> tuple[Remark, ...]:
    """Return what the figures of this page mean and do not mean."""
    chosen = []
    if report.phantom:
        text = (
            "Phantom scenes are drawn by a program. What a curation does to them says nothing about surgery."
        )
        chosen.append(Remark("Phantoms are not patients", text))
    if any(entry.synthetic is not None for entry in report.by_class):
        text = (
            "Agreement is the IoU between a pair's mask and what a segmenter trained on real scenes sees in "
            "its image. It is low where the image does not show what the mask says. It is low as well where "
            "the segmenter does not know the class, and that is why synthetic pairs are wanted. So a rare "
            "class is never compared with a common one: its pairs are ranked among themselves. Even so, a "
            "scene that is easy to segment wins over a hard one. Where the masks are those of training "
            "frames, the segmenter has seen them, and agreement can be higher than on new real frames."
        )
        chosen.append(Remark("Low agreement need not be a bad pair", text))
    if report.copies:
        text = (
            "A copy lies as near to a training frame as hardly any frame of another recording does. "
            "Distances of features hardly change with a mirror image or a shift; they do grow with the flaws "
            "that generators leave, which can hide a copy. Thumbnails do not see such flaws, but two images "
            "of one mask are near by their layout alone. Compare with the rows of real frames, not with 0."
        )
        chosen.append(Remark("What a copy is", text))
    text = (
        "Whether fewer, better pairs help more than all of them is to be measured: train with both, and with "
        "as many pairs drawn at random (--by random), at equal steps."
    )
    chosen.append(Remark("Filtering is a hypothesis", text))
    return tuple(chosen)
