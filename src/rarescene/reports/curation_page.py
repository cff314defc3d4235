"""`curation.html`: which pairs of a synthetic set stayed, which went, and why, in one file.

Scores are fractions from 0 to 1 here and are shown in per cent; `None` means that there is nothing to score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.reports.formatting import count, number, percent, share
from rarescene.reports.gallery import GalleryRow
from rarescene.reports.origins import Origins
from rarescene.reports.report_page import class_colours, error_colours, has_errors, template
from rarescene.reports.tables import class_name, plain_table

if TYPE_CHECKING:
    from rarescene.evaluation import CopyScores
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


def distance_rows(scores: CopyScores) -> tuple[DistanceRow, ...]:
    """Return the synthetic images first, then real frames to read them against."""
    rows = []
    for who, distances in (
        ("synthetic image", scores.synthetic.distance),
        ("training frame, within its recording", scores.own),
        ("training frame, to other recordings", scores.other),
        ("validation frame", scores.held_out),
    ):
        known = distances[np.isfinite(distances)]
        if not len(known):
            rows.append(DistanceRow(who, 0))
            continue
        low, median = (float(value) for value in np.quantile(known, [0.05, 0.5]))
        rate = None if scores.threshold is None else float(scores.copies(known).mean())
        rows.append(DistanceRow(who, len(known), low, median, rate))
    return tuple(rows)


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
        copies: how near pairs come to training frames, by each measure; the first decides.
        histograms: one a score.
        dropped: pairs that went, with the reason in the note of each.
        borderline: pairs right above and below the limit.
        warnings: what a reader must know before any number.
        notes: what must be read beside the numbers.
        phantom: whether the scenes are phantom ones.
        provenance: where the numbers come from.
    """

    title: str
    summary: str
    classes: ClassTable
    pairs: int
    reasons: Mapping[str, int]
    by_class: tuple[CuratedClass, ...] = ()
    copies: tuple[CopyScores, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    dropped: tuple[GalleryRow, ...] = ()
    borderline: tuple[GalleryRow, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phantom: bool = False
    provenance: Origins = field(default_factory=Origins)

    @property
    def kept(self) -> int:
        """How many pairs stayed."""
        return self.reasons.get("kept", 0)


def render_curation(report: CurationReport) -> str:
    """Return the page as HTML. Every text of it is escaped."""
    worst = "The worst of each reason and of each rare class in turn, by the score and not by eye."
    limit = "The last that stayed and the first that went, of each rare class in turn."
    galleries = (("Dropped", worst, report.dropped), ("Borderline", limit, report.borderline))
    return template("curation.html.j2").render(
        report=report,
        chips=class_colours(report.classes),
        distance_rows=distance_rows,
        galleries=[one for one in galleries if one[2]],
        has_errors=has_errors((*report.dropped, *report.borderline)),
        error_legend=error_colours(),
    )


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
        for row in distance_rows(one):
            near.add_row(row.who, f"{row.number:,}", number(row.low), number(row.median), share(row.copies))
        parts.append(near)
    gone = "; ".join(f"{words}: {number:,}" for words, number in report.reasons.items() if words != "kept")
    parts += [Text(f"dropped: {gone}")] if gone else []
    return Group(*parts, *(Text(note, style="dim") for note in report.notes))
