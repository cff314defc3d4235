"""`refreshes.html`: what an online strategy asked for and got, refresh by refresh, from its log and pictures.

Scores (IoU) are fractions from 0 to 1 here and are shown in per cent; `None` means that there is nothing to
score. Uncertainties are shown as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rarescene.foundation.files import write_text
from rarescene.foundation.run_folder import refresh_picture
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.cards import PHANTOM_WARNING, Origins, origins_of
from rarescene.reports.charts import Chart, Line
from rarescene.reports.report_page import class_colours, template
from rarescene.reports.tables import rare_first
from rarescene.scenes import ClassTable

PAGE = "refreshes.html"

SHOWN = 8
"""Refreshes that are shown one by one; of more, these many are taken evenly, with the first and the last."""


@dataclass(frozen=True)
class GeneratedPair:
    """One generated pair: image and mask in class colours, uint8 `(H, W, 3)`, and the classes in it."""

    image: np.ndarray
    mask: np.ndarray
    words: str = ""


@dataclass(frozen=True)
class Refresh:
    """One refresh of an online strategy.

    Attributes:
        mean: label-mean IoU of the validation at which it happened, or None.
        iou: of each class there; None for a class that its labels do not show.
        lead: by what the strategy decided, of each class; None for a class that was neither predicted nor
            labelled.
        chosen: the classes that it turned to, the most urgent first.
        staleness: how many refreshes each class has waited.
        why: of each of them, whether it was "uncertain" or had "waited" long enough.
        requests: what was asked for, in words, each with how often.
        waiting: whether the pairs of a refresh before were still being generated, and nothing was asked for.
        drawn: pairs that were generated for it.
        kept: pairs of them that were let through.
        dropped: the others, by reason.
        weights: by class, how much likelier than before any refresh a scene that shows it is taken.
        seconds: what generating took.
        pause: the longest that a training step was held up by it in the background.
        stood: how long the training stood still here, the validation included.
        pairs: those of the generated pairs that are shown.
        next_step: that of the next validation, or None.
        after_mean: label-mean IoU there, or None.
        after: IoU of each class there.
    """

    step: int
    mean: float | None = None
    iou: Mapping[str, float | None] = field(default_factory=dict)
    lead: Mapping[str, float | None] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    staleness: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    waiting: bool = False
    drawn: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    pause: float = 0.0
    stood: float = 0.0
    pairs: tuple[GeneratedPair, ...] = ()
    next_step: int | None = None
    after_mean: float | None = None
    after: Mapping[str, float | None] = field(default_factory=dict)

    def asks(self, name: str) -> bool:
        """Return whether a class may be asked for; one of which there are no pairs may not."""
        return not self.staleness or name in self.staleness

    def change(self, name: str) -> float | None:
        """Return by how much the IoU of a class changed up to the next validation, or None."""
        before, after = self.iou.get(name), self.after.get(name)
        return None if before is None or after is None else after - before

    def highest(self) -> float:
        """Return the largest value that led, for the scale of its bars."""
        return max((value for value in self.lead.values() if value is not None), default=1.0) or 1.0

    def by_lead(self, names: Sequence[str]) -> list[str]:
        """Return class names, the one that leads most first, and those without a value at the end."""
        known = {name: value for name in names if (value := self.lead.get(name)) is not None}
        return [*sorted(known, key=lambda name: -known[name]), *(name for name in names if name not in known)]


@dataclass(frozen=True)
class RefreshesReport:
    """Everything on the page of an online strategy.

    Attributes:
        summary: what was trained, and how the strategy decides, in one or two sentences.
        lead: what the strategy decides by, such as "uncertainty".
        training_seconds: what the whole training took, or None.
        warnings: what a reader must know before any number.
    """

    title: str
    summary: str
    classes: ClassTable
    lead: str = "uncertainty"
    refreshes: tuple[Refresh, ...] = ()
    rare: tuple[str, ...] = ()
    training_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    phantom: bool = False
    provenance: Origins = field(default_factory=Origins)

    def over_time(self, name: str) -> tuple[list[float | None], list[float | None], list[bool]]:
        """Return of a class, refresh by refresh, what led, its IoU (and that after the last), if chosen."""
        last = [one.after.get(name) for one in self.refreshes[-1:] if one.next_step is not None]
        return (
            [one.lead.get(name) for one in self.refreshes],
            [*(one.iou.get(name) for one in self.refreshes), *last],
            [name in one.chosen for one in self.refreshes],
        )


def read_refreshes(
    lines: Sequence[Mapping[str, Any]],
    pairs: Mapping[int, tuple[GeneratedPair, ...]] | None = None,
    *,
    later: bool = False,
) -> tuple[Refresh, ...]:
    """Return the refreshes of a log.

    Args:
        lines: those of `refreshes.jsonl`, in order; one without a decision is a validation alone.
        pairs: by step, the pairs that are to be shown.
        later: whether pairs were generated in the background, so that lines after a refresh count them, up to
            that of the next refresh that asks for any.
    """
    found = []
    for place, line in enumerate(lines):
        if not line.get("lead"):
            continue
        following = lines[place + 1] if place + 1 < len(lines) else {}
        if "stood" not in following:  # no validation: it counts what was generated after the last one
            following = {}
        made = _lines_of(lines, place) if later else [line]
        told = ("iou", "why", "staleness", "requests", "waiting", "weights")
        found.append(
            Refresh(
                step=line["step"],
                mean=line.get("validation"),
                lead=line["lead"],
                chosen=tuple(line.get("classes", ())),
                **{name: line[name] for name in told if name in line},
                drawn=sum(one.get("drawn", 0) for one in made),
                kept=sum(one.get("kept", 0) for one in made),
                dropped=dict(sum((Counter(one.get("dropped", {})) for one in made), Counter[str]())),
                seconds=sum(one.get("seconds", 0.0) for one in made),
                pause=max((one.get("pause", 0.0) for one in made), default=0.0),
                stood=line["stood"],
                pairs=(pairs or {}).get(line["step"], ()),
                next_step=following.get("step"),
                after_mean=following.get("validation"),
                after=following.get("iou", {}),
            )
        )
    return tuple(found)


def _lines_of(lines: Sequence[Mapping[str, Any]], place: int) -> list[Mapping[str, Any]]:
    """Return the lines that count what the refresh at `place` asked for; none if it waited."""
    if lines[place].get("waiting"):
        return []
    counting = []
    for line in lines[place + 1 :]:
        counting.append(line)
        if not line.get("waiting"):
            break
    return counting


def shown_in_full(refreshes: Sequence[Refresh]) -> list[Refresh]:
    """Return the refreshes that are shown one by one: all, or `SHOWN` taken evenly with both ends."""
    if len(refreshes) <= SHOWN:
        return list(refreshes)
    last = len(refreshes) - 1
    return [refreshes[round(place * last / (SHOWN - 1))] for place in range(SHOWN)]


def refresh_charts(report: RefreshesReport, colours: Mapping[str, str]) -> tuple[Chart, ...]:
    """Return charts over the steps: what led, by class and in its colour, and the validation."""
    steps = [float(one.step) for one in report.refreshes]
    leads = {name: report.over_time(name)[0] for name in report.classes.names}
    known = {
        name: [float("nan") if value is None else value for value in values]
        for name, values in leads.items()
        if any(value is not None for value in values)
    }
    lines = [Line(name, steps, values, colour=colours[name]) for name, values in known.items()]
    over = "optimiser step"
    lead = Chart(f"{report.lead} by class", tuple(lines), (), over, report.lead, logarithmic=True)
    last = report.refreshes[-1]
    ends = [(one.step, one.mean) for one in report.refreshes] + [(last.next_step, last.after_mean)]
    means = [(float(step), 100 * mean) for step, mean in ends if step is not None and mean is not None]
    if not means:
        return (lead,)
    line = Line("label mean", [step for step, _ in means], [mean for _, mean in means])
    return (lead, Chart("validation, label mean", (line,), (), over, "IoU, %"))


def render_refreshes(report: RefreshesReport) -> str:
    """Return the page as HTML. Every text of it is escaped."""
    chips, refreshes = class_colours(report.classes), report.refreshes
    leads = (value for one in refreshes for value in one.lead.values() if value is not None)
    stood = sum(one.stood for one in refreshes)
    return template("refreshes.html.j2").render(
        report=report,
        chips=chips,
        names=rare_first(report.classes.names, report.rare),
        highest=max(leads, default=1.0),
        curves=[one for one in refresh_charts(report, chips) if one.lines] if len(refreshes) > 1 else [],
        full=shown_in_full(refreshes),
        drawn=sum(one.drawn for one in refreshes),
        kept=sum(one.kept for one in refreshes),
        seconds=sum(one.seconds for one in refreshes),
        stood=stood,
        part=stood / report.training_seconds if report.training_seconds else None,
        pause=max((one.pause for one in refreshes), default=0.0),
    )


LEADS = {"uncertainty": "uncertainty", "score": "1 − IoU"}
"""What the page calls what a strategy goes by."""


def write_page(
    folder: Path, record: RunRecord, lines: Sequence[Mapping[str, Any]], rare: Sequence[str] = ()
) -> Path:
    """Write the page about all refreshes of a finished run; it lists the rare classes first."""
    config, phantom = record.config, record.provenance.phantom
    table = ClassTable.from_dict(record.class_table)
    gauda = config["strategies"].get("gauda")
    later = gauda is not None and gauda["drawing"]["when"] != "at_refresh"
    pairs = {
        line["step"]: read_pictures(refresh_picture(folder, line["step"]), config["width"], table)
        for line in lines
    }
    report = RefreshesReport(
        title=f"{config['strategy'].replace(',', ' with ')}: {config['segmenter'].replace('_', ' ')}",
        summary=_summary(config, lines, table),
        classes=table,
        lead=LEADS[lines[0]["by"]] if lines else "",
        refreshes=read_refreshes(lines, pairs, later=later),
        rare=tuple(rare),
        training_seconds=record.seconds,
        warnings=(PHANTOM_WARNING,) if phantom else (),
        phantom=phantom,
        provenance=origins_of([record]),
    )
    write_text(folder / PAGE, render_refreshes(report))
    return folder / PAGE


def read_pictures(path: Path, width: int, table: ClassTable) -> tuple[GeneratedPair, ...]:
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
        found.append(GeneratedPair(image, mask, ", ".join(names)))
    return tuple(found)


def _summary(config: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], table: ClassTable) -> str:
    strategies, every = config["strategies"], config["training"]["validate_every"]
    said = [f"Every {every} steps the segmenter is asked what it does not know."]
    if "gauda" in strategies:
        gauda = strategies["gauda"]
        between = any(line.get("step_ticks") for line in lines)  # "beside" as well, where no GPU was left
        when = {
            "at_refresh": "at once",
            "between_steps": "between the training steps",
            "beside": "between the training steps" if between else "beside the training",
        }[gauda["drawing"]["when"]]
        drawn, most = config["drawn"], gauda["classes"]
        if config.get("compose"):
            inserted = table.ids_in(drawn["classes"])
            names = ", ".join(table.names[class_id] for class_id in inserted)
            made, of, most = (
                "real training frames get a region each",
                f" of {names}",
                min(most, len(inserted)),
            )
        else:
            made, of = "pairs are generated", ""
        said.append(
            f"{gauda['size']} {made} for the {most} most uncertain classes{of}, {when}, by "
            f"{drawn['generator']}; until the next batch a training scene is replaced by one of them with "
            f"probability {gauda['probability']:g}."
        )
    if "adaptive" in strategies:
        lead = {"score": "those with the lowest IoU", "uncertainty": "the most uncertain ones"}
        by = lead[strategies["adaptive"]["by"]]
        said.append(f"Scenes that show needy classes, {by}, are taken more often.")
    if "classic" in strategies:
        said.append("Scenes are cropped, mirrored and rotated at random.")
    return " ".join(said)
