"""`refreshes.html`: what an online strategy asked for and got, as one file with everything inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from rarescene.foundation.files import write_text
from rarescene.foundation.run_folder import refresh_picture
from rarescene.foundation.run_record import RunRecord
from rarescene.reports import svg
from rarescene.reports.provenance import PHANTOM_WARNING, provenance_of
from rarescene.reports.refreshes import (
    DrawnPair,
    Refresh,
    RefreshesReport,
    read_refreshes,
    refresh_curves,
    refresh_remarks,
    shown_in_full,
)
from rarescene.reports.report_page import class_colours, template
from rarescene.reports.tables import rare_first
from rarescene.scenes import ClassTable
from rarescene.scenes.data import is_phantom


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
        curves=[(plot, Markup(svg.line_plot(plot))) for plot in refresh_curves(report, chips) if plot.curves]
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
                    svg.sparkline(lead, highest, chips[name], chosen, label=f"{report.lead} of {name}")
                ),
                iou=_ends(iou),
                iou_curve=Markup(
                    svg.sparkline(
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
        bars.append((name, Markup(svg.value_bar(value, highest, chips[name], label=label))))
    return RefreshView(refresh, tuple(bars))


LEADS = {"uncertainty": "uncertainty", "score": "1 − IoU"}
"""What the page calls what a strategy goes by."""


def write_page(
    folder: Path, record: RunRecord, lines: Sequence[Mapping[str, Any]], rare: Sequence[str] = ()
) -> Path:
    """Write the page about all refreshes of a finished run; it lists the rare classes first."""
    config, phantom = record.config, is_phantom(record)
    table = ClassTable.from_dict(record.class_table)
    gauda = config["strategies"].get("gauda")
    later = gauda is not None and gauda["drawing"]["when"] != "at_refresh"
    pairs = {
        line["step"]: read_pictures(refresh_picture(folder, line["step"]), config["width"], table)
        for line in lines
    }
    report = RefreshesReport(
        title=f"{config['strategy'].replace(',', ' with ')}: {config['segmenter'].replace('_', ' ')}",
        summary=_summary(config, lines),
        classes=table,
        lead=LEADS[lines[0]["by"]] if lines else "",
        refreshes=read_refreshes(lines, pairs, later=later),
        rare=tuple(rare),
        training_seconds=record.seconds,
        warnings=(PHANTOM_WARNING,) if phantom else (),
        phantom=phantom,
        provenance=provenance_of([record]),
    )
    return write_refreshes(report, folder / PAGE)


def read_pictures(path: Path, width: int, table: ClassTable) -> tuple[DrawnPair, ...]:
    """Return the pairs of a picture of `RefreshLog`, each `width` pixels wide; none without a file."""
    if not path.is_file():
        return ()
    with Image.open(path) as opened:
        images, masks = np.split(np.asarray(opened.convert("RGB")), 2)
    found = []
    for start in range(0, images.shape[1], width):
        image, mask = (row[:, start : start + width] for row in (images, masks))
        colours = {tuple(colour) for colour in np.unique(mask.reshape(-1, 3), axis=0).tolist()}
        names = [entry.name for entry in table.classes if entry.colour in colours]
        found.append(DrawnPair(image, mask, ", ".join(names)))
    return tuple(found)


def _summary(config: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    said = [
        f"Every {config['training']['validate_every']} steps the segmenter is asked what it does not know."
    ]
    strategies = config["strategies"]
    if "gauda" in strategies:
        gauda = strategies["gauda"]
        between = any(line.get("step_ticks") for line in lines)  # "beside" as well, where no GPU was left
        when = {
            "at_refresh": "at once",
            "between_steps": "between the training steps",
            "beside": "between the training steps" if between else "beside the training",
        }[gauda["drawing"]["when"]]
        said.append(
            f"{gauda['size']} pairs are drawn for the {gauda['classes']} most uncertain classes, {when}, "
            f"by {config['drawn']['generator']}; until the next batch a training scene is replaced by one of "
            f"them with probability {gauda['probability']:g}."
        )
    if "adaptive" in strategies:
        lead = {"score": "those with the lowest IoU", "uncertainty": "the most uncertain ones"}
        said.append(
            f"Scenes that show needy classes, {lead[strategies['adaptive']['by']]}, are drawn more often."
        )
    if "classic" in strategies:
        said.append("Scenes are cropped, mirrored and rotated at random.")
    return " ".join(said)


PAGE = "refreshes.html"
