"""`refreshes.html`: what an online strategy asked for and got, as one file with everything inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from rarescene.foundation.files import write_text
from rarescene.reports import plots
from rarescene.reports.html import class_colours, template
from rarescene.reports.refreshes import (
    Refresh,
    RefreshesReport,
    refresh_curves,
    refresh_remarks,
    shown_in_full,
)
from rarescene.reports.tables import rare_first


@dataclass(frozen=True)
class ClassLine:
    """One class over all refreshes: how often it was chosen, and its two curves."""

    name: str
    chosen: int
    lead: tuple[float | None, float | None]
    lead_curve: Markup
    iou: tuple[float | None, float | None]
    iou_curve: Markup


@dataclass(frozen=True)
class RefreshView:
    """One refresh with its drawn bars, class by class."""

    refresh: Refresh
    bars: tuple[tuple[str, Markup], ...]


def write_refreshes(report: RefreshesReport, path: Path) -> Path:
    """Write the page as one HTML file, atomically, and return its path.

    Raises:
        DataError: the file cannot be written.
    """
    write_text(path, render_refreshes(report))
    return path


def render_refreshes(report: RefreshesReport) -> str:
    """Return the page as HTML. Every text of it is escaped."""
    chips = class_colours(report.classes)
    full = shown_in_full(report.refreshes)
    stood = sum(one.stood for one in report.refreshes)
    return template("refreshes.html.j2").render(
        report=report,
        chips=chips,
        lines=_class_lines(report, chips),
        curves=[
            (plot, Markup(plots.line_plot(plot))) for plot in refresh_curves(report, chips) if plot.curves
        ]
        if len(report.refreshes) > 1
        else [],
        views=[_view(one, report, chips) for one in full],
        drawn=sum(one.drawn for one in report.refreshes),
        kept=sum(one.kept for one in report.refreshes),
        seconds=sum(one.seconds for one in report.refreshes),
        stood=stood,
        part=stood / report.training_seconds if report.training_seconds else None,
        pause=max((one.pause for one in report.refreshes), default=0.0),
        remarks=refresh_remarks(report),
    )


def _class_lines(report: RefreshesReport, chips: Mapping[str, str]) -> list[ClassLine]:
    highest = max(
        (value for one in report.refreshes for value in one.lead.values() if value is not None), default=1.0
    )
    last = [one for one in report.refreshes[-1:] if one.next_step is not None]
    lines = []
    for name in rare_first(report.classes.names, report.rare):
        chosen = [name in one.chosen for one in report.refreshes]
        lead = [one.lead.get(name) for one in report.refreshes]
        iou = [*(one.iou.get(name) for one in report.refreshes), *(one.after.get(name) for one in last)]
        lines.append(
            ClassLine(
                name=name,
                chosen=sum(chosen),
                lead=_ends(lead),
                lead_curve=Markup(
                    plots.sparkline(lead, highest, chips[name], chosen, label=f"{report.lead} of {name}")
                ),
                iou=_ends(iou),
                iou_curve=Markup(
                    plots.sparkline(
                        iou, 1.0, chips[name], [*chosen, *(False for _ in last)], label=f"IoU of {name}"
                    )
                ),
            )
        )
    return lines


def _ends(values: list[float | None]) -> tuple[float | None, float | None]:
    known = [value for value in values if value is not None]
    return (known[0], known[-1]) if known else (None, None)


def _view(refresh: Refresh, report: RefreshesReport, chips: Mapping[str, str]) -> RefreshView:
    highest = max((value for value in refresh.lead.values() if value is not None), default=1.0) or 1.0
    bars = []
    for name in refresh.by_lead(report.classes.names):
        value = refresh.lead.get(name)
        label = f"{report.lead} of {name}"
        bars.append((name, Markup(plots.value_bar(value, highest, chips[name], label=label))))
    return RefreshView(refresh, tuple(bars))
