"""`report.html`: one file with everything inside. It asks no other host for anything and runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from rarescene.foundation.files import write_text
from rarescene.foundation.methods import Column
from rarescene.reports import formatting, svg
from rarescene.reports.caveats import mistakes, remarks
from rarescene.reports.gallery import ERROR_LEGEND, ERRORS, GalleryRow
from rarescene.reports.provenance import Provenance
from rarescene.reports.realism import Measure
from rarescene.reports.run_scores import RunScores
from rarescene.reports.tables import MEANS, rare_first
from rarescene.reports.verdict import Verdict, verdict_on

if TYPE_CHECKING:
    from rarescene.evaluation import ClassOverlap, Comparison, ComparisonTable, MeanOverlap
    from rarescene.scenes import ClassTable, SceneStatistics


@dataclass(frozen=True)
class Report:
    """Everything on the page. An empty field leaves its section out.

    Attributes:
        title: heading of the page.
        summary: what this is, in one or two sentences.
        classes: the class table; it gives the legend.
        rare: names of the rare classes; they are listed first.
        warnings: what a reader must know before any number, such as `PHANTOM_WARNING`.
        phantom: whether the scenes are phantom ones.
        compared: what was compared, one line a run: name and words.
        statistics: how often and how large each class is.
        runs: the scores, a column each.
        confidence: what each run's probabilities are worth, by its name.
        comparison: every strategy against the first.
        equal_steps: whether all of them had the same steps, batch size and image size.
        realism: what is known of the images of each synthetic set, by its name.
        gallery: rows of pictures.
        gallery_rule: how they were chosen, in a sentence.
        curves: of the trainings.
        provenance: where all of it comes from.
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
    confidence: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    comparison: ComparisonTable | None = None
    equal_steps: bool = True
    realism: Mapping[str, tuple[Measure, ...]] = field(default_factory=dict)
    gallery: tuple[GalleryRow, ...] = ()
    gallery_rule: str = ""
    curves: tuple[svg.CurvePlot, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def verdicts(self) -> dict[str, Verdict]:
        """Return what each strategy but the first shows, by its name."""
        table = self.comparison
        names = () if table is None else table.strategies[1:]
        return {name: verdict_on(table, name, equal_steps=self.equal_steps) for name in names if table}


@dataclass(frozen=True)
class ScoreLine:
    """One line of the table of scores, of a class or of a mean, with one entry a run."""

    name: str
    rare: bool
    chip: str
    bars: Markup
    iou: tuple[str, ...]
    intervals: tuple[str, ...]
    dice: tuple[str, ...]
    support: str


@dataclass(frozen=True)
class Judged:
    """A strategy against the baseline: the verdict, its headline, and all rows with the drawn differences."""

    strategy: str
    verdict: Verdict
    headline: Comparison
    conclusion: str
    axis: Markup
    rows: tuple[tuple[Comparison, Comparison, Markup], ...]
    """The baseline's row, the strategy's, and the difference."""


def write_report(report: Report, path: Path) -> Path:
    """Write the report as one HTML file, atomically, and return its path.

    Raises:
        DataError: the file cannot be written.
    """
    write_text(path, render(report))
    return path


def render(report: Report) -> str:
    """Return the report as HTML. Every text of it is escaped."""
    return template("report.html.j2").render(**_context(report))


def template(name: str) -> Template:
    """Return a page's template; it escapes every text, and knows how figures are put into words."""
    environment = Environment(
        loader=PackageLoader("rarescene.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": formatting.percent,
        "share": formatting.share,
        "signed": formatting.signed,
        "signed_interval": formatting.signed_interval,
        "effect": formatting.effect,
        "p_value": formatting.p_value,
        "number": formatting.number,
        "short": formatting.short,
        "counted": formatting.count,
        "listing": formatting.listing,
        "picture": picture_uri,
    }
    return environment.get_template(name)


def picture_uri(picture: np.ndarray) -> str:
    """Return a uint8 picture `(H, W, 3)` as a `data:` address of a lossless PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _context(report: Report) -> Mapping[str, Any]:
    chips = class_colours(report.classes)
    return {
        "report": report,
        "chips": chips,
        "series": [svg.colour(index) for index in range(len(svg.SERIES))],
        "judged": _judged(report),
        "score": None if report.comparison is None else formatting.SCORES[report.comparison.score],
        "axis": Markup(svg.bar_axis()),
        "class_lines": _class_lines(report, chips),
        "mean_lines": _mean_lines(report.runs),
        "mean_names": MEANS,
        "mistaken": {run.name: mistakes(run, report.rare) for run in report.runs},
        "curves": [(plot, Markup(svg.line_plot(plot))) for plot in report.curves],
        "notes": list(dict.fromkeys(note for run in report.runs for note in run.scores.notes)),
        "remarks": remarks(report),
        "has_errors": any(cell.label.startswith(ERRORS) for row in report.gallery for cell in row.cells),
        "error_legend": error_colours(),
    }


def class_colours(classes: ClassTable) -> dict[str, str]:
    """Return the CSS colour of each class, by name."""
    return {entry.name: _hex(entry.colour) for entry in classes.classes}


def error_colours() -> list[tuple[str, str]]:
    """Return what the colours of an error map mean: name and CSS colour."""
    return [(name, _hex(shade)) for name, shade in ERROR_LEGEND]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _judged(report: Report) -> list[Judged]:
    if (table := report.comparison) is None:
        return []
    limit = svg.difference_limit(table.rows)
    verdicts = report.verdicts()
    return [
        Judged(
            strategy=name,
            verdict=verdicts[name],
            headline=table.of(name, table.headline),
            conclusion=conclusion,
            axis=Markup(svg.difference_axis(limit)),
            rows=tuple(
                (table.of(table.baseline, row.measure), row, Markup(svg.difference_mark(row, limit)))
                for row in table.rows_of(name)
            ),
        )
        for name, conclusion in zip(verdicts, table.conclusions, strict=True)
    ]


def _class_lines(report: Report, chips: Mapping[str, str]) -> list[ScoreLine]:
    return [
        _line(
            name,
            [run.scores.of(name) for run in report.runs],
            report.runs,
            rare=name in report.rare,
            chip=chips[name],
            support=_support(report.runs[0], name),
        )
        for name in (rare_first(report.classes.names, report.rare) if report.runs else ())
    ]


def _mean_lines(runs: Sequence[RunScores]) -> list[ScoreLine]:
    return [
        _line(mean.replace("_", " "), [getattr(run.scores, mean) for run in runs], runs)
        for mean in (("label_mean", "sample_mean", "sample_median") if runs else ())
    ]


def _line(
    name: str,
    scores: Sequence[ClassOverlap | MeanOverlap],
    runs: Sequence[RunScores],
    *,
    rare: bool = False,
    chip: str = "",
    support: str = "",
) -> ScoreLine:
    return ScoreLine(
        name=name,
        rare=rare,
        chip=chip,
        bars=Markup(svg.interval_bars(scores, [run.name for run in runs])),
        iou=tuple(formatting.percent(score.iou) for score in scores),
        intervals=tuple(formatting.interval(score.iou_interval) for score in scores),
        dice=tuple(formatting.percent(score.dice) for score in scores),
        support=support,
    )


def _support(run: RunScores, name: str) -> str:
    """Say how much of a class the test shows, and its size in output cells where these are coarse."""
    entry = run.scores.of(name)
    if entry.pixels == 0:
        return "not in the test recordings"
    text = f"{formatting.count(entry.frames, 'frame')}, {formatting.count(entry.recordings, 'recording')}"
    if run.cell > 1 and entry.frames:
        cells = entry.pixels / entry.frames / run.cell**2
        text += f", {cells:.2g} output cells a frame"
    return text
