"""`curation.html`: what was dropped from a synthetic set, and why, as one file with everything inside."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from rarescene.foundation.files import write_text
from rarescene.reports import plots
from rarescene.reports.curation import CurationReport, curation_remarks
from rarescene.reports.gallery import ERRORS
from rarescene.reports.html import class_colours, error_colours, template


def write_curation(report: CurationReport, path: Path) -> Path:
    """Write the page as one HTML file, atomically, and return its path.

    Raises:
        DataError: the file cannot be written.
    """
    write_text(path, render_curation(report))
    return path


def render_curation(report: CurationReport) -> str:
    """Return the page as HTML. Every text of it is escaped."""
    rows = (*report.dropped, *report.borderline)
    return template("curation.html.j2").render(
        report=report,
        chips=class_colours(report.classes),
        histograms=[
            (one, Markup(plots.histogram(one.kept, one.dropped, tuple(one.limits.values()), label=one.name)))
            for one in report.histograms
        ],
        galleries=[
            (name, lead, part)
            for name, lead, part in (
                (
                    "Dropped",
                    "The worst of each reason and of each rare class in turn, by the score and not by eye.",
                    report.dropped,
                ),
                (
                    "Borderline",
                    "The last that stayed and the first that went, of each rare class in turn.",
                    report.borderline,
                ),
            )
            if part
        ],
        has_errors=any(cell.label.startswith(ERRORS) for row in rows for cell in row.cells),
        error_legend=error_colours(),
        remarks=curation_remarks(report),
    )
