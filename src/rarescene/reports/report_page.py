"""`report.html`: one file with everything inside. It asks no other host for anything and runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from rarescene.foundation.files import write_text
from rarescene.reports import formatting as wording
from rarescene.reports import svg as plots
from rarescene.reports.caveats import mistakes, remarks
from rarescene.reports.content import Comparison, Report, RunScores
from rarescene.reports.gallery import ERROR_LEGEND, ERRORS
from rarescene.reports.tables import rare_first
from rarescene.reports.verdict import Verdict, verdict_on

if TYPE_CHECKING:
    from rarescene.scenes import ClassTable


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
    """A comparison with its verdict and the drawn differences."""

    comparison: Comparison
    verdict: Verdict
    axis: Markup
    marks: tuple[Markup, ...]


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
        "percent": wording.percent,
        "share": wording.share,
        "signed": wording.signed,
        "signed_interval": wording.signed_interval,
        "effect": wording.effect,
        "p_value": wording.p_value,
        "figure": wording.figure,
        "short": wording.short,
        "counted": wording.count,
        "listing": wording.listing,
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
    limit = plots.difference_limit([one for pair in report.comparisons for one in pair.differences])
    return {
        "report": report,
        "chips": chips,
        "series": [plots.colour(index) for index in range(len(plots.SERIES))],
        "judged": [_judged(comparison, limit) for comparison in report.comparisons],
        "axis": Markup(plots.bar_axis()),
        "class_lines": _class_lines(report, chips),
        "mean_lines": _mean_lines(report.runs),
        "mistaken": {run.name: mistakes(run, report.rare) for run in report.runs},
        "curves": [(plot, Markup(plots.line_plot(plot))) for plot in report.curves],
        "notes": list(dict.fromkeys(note for run in report.runs for note in run.notes)),
        "comparison_notes": list(dict.fromkeys(note for one in report.comparisons for note in one.notes)),
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


def _judged(comparison: Comparison, limit: float) -> Judged:
    marks = tuple(Markup(plots.difference_mark(one, limit)) for one in comparison.differences)
    return Judged(comparison, verdict_on(comparison), Markup(plots.difference_axis(limit)), marks)


def _class_lines(report: Report, chips: Mapping[str, str]) -> list[ScoreLine]:
    names = [run.name for run in report.runs]
    by_run = [{entry.name: entry for entry in run.classes} for run in report.runs]
    lines = []
    for name in rare_first(report.classes.names, report.rare) if report.runs else ():
        scores = [known[name] for known in by_run]
        lines.append(
            ScoreLine(
                name=name,
                rare=name in report.rare,
                chip=chips[name],
                bars=Markup(plots.interval_bars([one.iou for one in scores], names)),
                iou=tuple(wording.percent(one.iou.value) for one in scores),
                intervals=tuple(wording.interval(one.iou) for one in scores),
                dice=tuple(wording.percent(one.dice.value) for one in scores),
                support=_support(report.runs[0], name),
            )
        )
    return lines


def _mean_lines(runs: tuple[RunScores, ...]) -> list[ScoreLine]:
    lines = []
    for head, field in (
        ("label mean", "label_mean"),
        ("sample mean", "sample_mean"),
        ("sample median", "sample_median"),
    ):
        scores = [getattr(run, field) for run in runs]
        lines.append(
            ScoreLine(
                name=head,
                rare=False,
                chip="",
                bars=Markup(plots.interval_bars([score.iou for score in scores], [run.name for run in runs])),
                iou=tuple(wording.percent(score.iou.value) for score in scores),
                intervals=tuple(wording.interval(score.iou) for score in scores),
                dice=tuple(wording.percent(score.dice.value) for score in scores),
                support="",
            )
        )
    return lines if runs else []


def _support(run: RunScores, name: str) -> str:
    """Say how much of a class the test shows, and its size in output cells where these are coarse."""
    entry = next(entry for entry in run.classes if entry.name == name)
    if entry.pixels == 0:
        return "not in the test recordings"
    text = f"{wording.count(entry.frames, 'frame')}, {wording.count(entry.recordings, 'recording')}"
    if run.stride > 1 and entry.frames:
        cells = entry.pixels / entry.frames / run.stride**2
        text += f", {cells:.2g} output cells a frame"
    return text
