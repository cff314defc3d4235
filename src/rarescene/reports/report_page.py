"""`report.html`: one file with everything inside. It asks no other host for anything and runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

from rarescene.foundation.files import write_text
from rarescene.foundation.methods import Column
from rarescene.reports import formatting, svg
from rarescene.reports.cards import Origins
from rarescene.reports.charts import Chart
from rarescene.reports.gallery import ERROR_LEGEND, ERRORS, GalleryRow
from rarescene.reports.realism import Measure
from rarescene.reports.tables import MEANS, RunScores, rare_first
from rarescene.reports.verdict import ENOUGH_SEEDS, Verdict, verdict_on

if TYPE_CHECKING:
    from rarescene.evaluation import ComparisonTable
    from rarescene.scenes import ClassTable, SceneStatistics


@dataclass(frozen=True)
class Report:
    """Everything on the page. An empty field leaves its section out.

    Attributes:
        summary: what this is, in one or two sentences.
        rare: names of the rare classes; they are listed first.
        warnings: what a reader must know before any number, such as `PHANTOM_WARNING`.
        compared: what was compared, one line a run: name and words.
        statistics: how often and how large each class is.
        confidence: what each run's probabilities are worth, by its name.
        equal_steps: whether all of them had the same steps, batch size and image size.
        realism: what is known of the images of each synthetic set, by its name.
        gallery_rule: how the pictures were chosen, in a sentence.
        curves: of the trainings.
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
    curves: tuple[Chart, ...] = ()
    provenance: Origins = field(default_factory=Origins)

    def verdicts(self) -> dict[str, Verdict]:
        """Return what each strategy but the first shows, by its name."""
        table = self.comparison
        names = () if table is None else table.strategies[1:]
        return {name: verdict_on(table, name, equal_steps=self.equal_steps) for name in names if table}


class Mistaken(NamedTuple):
    """What the pixels of one class were predicted as: the share `right`, then the likeliest others."""

    name: str
    right: float
    others: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        called = [f"{formatting.percent(part)} % called {name}" for name, part in self.others]
        others = formatting.listing(called)
        return f"{formatting.percent(self.right)} % right" + (f", {others}" if others else "")


def mistakes(run: RunScores, rare: tuple[str, ...], *, most: int = 3) -> tuple[Mistaken, ...]:
    """Return, for each rare class that the test labels show, what its pixels were predicted as."""
    if run.confusion is None:
        return ()
    names = [entry.name for entry in run.scores.classes]
    found = []
    for index in [names.index(name) for name in rare if name in names]:
        row = run.confusion[index].tolist()
        if total := sum(row):
            order = sorted(range(len(row)), key=lambda other: (row[other], other), reverse=True)
            others = [other for other in order if other != index and row[other]]
            shares = tuple((names[other], row[other] / total) for other in others[:most])
            found.append(Mistaken(names[index], row[index] / total, shares))
    return tuple(found)


def write_report(report: Report, path: Path) -> Path:
    """Write the report as one HTML file, atomically, and return its path.

    Raises:
        DataError: the file cannot be written.
    """
    write_text(path, render(report))
    return path


def render(report: Report) -> str:
    """Return the report as HTML. Every text of it is escaped."""
    runs, table = report.runs, report.comparison
    seeds = [len(run.seeds) for run in runs if run.seeds] if table is None else [len(table.seeds)]
    names = rare_first(report.classes.names, report.rare) if runs else ()
    means = ("label_mean", "sample_mean", "sample_median") if runs else ()
    absent = {entry.name for run in runs for entry in run.scores.classes if entry.iou is None}
    measures = [one.name for measures in report.realism.values() for one in measures]
    return template("report.html.j2").render(
        report=report,
        chips=class_colours(report.classes),
        series=[svg.colour(index) for index in range(len(svg.SERIES))],
        score=None if table is None else formatting.SCORES[table.score],
        class_lines={name: [run.scores.of(name) for run in runs] for name in names},
        mean_lines={name.replace("_", " "): [getattr(run.scores, name) for run in runs] for name in means},
        mean_names=MEANS,
        mistaken={run.name: mistakes(run, report.rare) for run in runs},
        notes=list(dict.fromkeys(note for run in runs for note in run.scores.notes)),
        few_seeds=min(seeds) if seeds and min(seeds) < ENOUGH_SEEDS else 0,
        enough_seeds=ENOUGH_SEEDS,
        absent=sorted(absent),
        coarse=any(run.cell > 1 for run in runs),
        effnet=any("EffNet" in name for name in measures),
        has_errors=has_errors(report.gallery),
        error_legend=error_colours(),
    )


def template(name: str) -> Template:
    """Return a page's template; it escapes every text, and knows how to put numbers into words and charts."""
    environment = Environment(
        loader=PackageLoader("rarescene.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(formatting, name)
        for name in (
            "effect", "interval", "listing", "number", "p_value", "percent", "share", "short", "signed",
            "signed_interval",
        )
    }  # fmt: skip
    environment.filters |= {"counted": formatting.count, "picture": picture_uri}
    environment.globals |= {"svg": svg}
    return environment.get_template(name)


def picture_uri(picture: np.ndarray) -> str:
    """Return a uint8 picture `(H, W, 3)` as a `data:` address of a lossless PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def class_colours(classes: ClassTable) -> dict[str, str]:
    """Return the CSS colour of each class, by name."""
    return {entry.name: _hex(entry.colour) for entry in classes.classes}


def error_colours() -> list[tuple[str, str]]:
    """Return what the colours of an error map mean: name and CSS colour."""
    return [(name, _hex(shade)) for name, shade in ERROR_LEGEND]


def has_errors(rows: Sequence[GalleryRow]) -> bool:
    """Return whether any picture is an error map, whose colours the page must explain."""
    return any(cell.label.startswith(ERRORS) for row in rows for cell in row.cells)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
