"""RO, SO, copies and distances of synthetic sets on a terminal, as Markdown and as a chart.

Scores and shares are fractions from 0 to 1 here and are shown in per cent, with 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.reports.charts import Chart, Line, charts_picture
from rarescene.reports.formatting import SCORES, number, percent, with_interval
from rarescene.reports.realism import Measure
from rarescene.reports.tables import markdown_table, plain_table

if TYPE_CHECKING:
    import numpy as np

    from rarescene.evaluation import CoherenceScores, CopyRate, Interval, Share

MEANS = ("label mean", "sample mean", "rare mean")
HEADLINE = "label mean"
NONE = "–"

COPIED = (
    "More pairs lie as near to a training frame as copies do than real frames of other recordings do. Copies "
    "raise RO and SO without adding anything: do not read these two as coherence."
)


@dataclass(frozen=True)
class SetCoherence:
    """What was measured of one synthetic set.

    Attributes:
        guidance: its guidance scale; None where it was sampled without.
        copies: by measure, the one that decides first.
        realism: distances to real images.
    """

    name: str
    guidance: float | None
    scores: CoherenceScores
    copies: tuple[CopyRate, ...]
    realism: tuple[Measure, ...]

    @property
    def copied(self) -> bool:
        """Whether the measure that decides calls the set a copy of its training frames."""
        return bool(self.copies) and self.copies[0].copied

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"copied": self.copied}


@dataclass(frozen=True)
class CoherenceReport:
    """RO and SO of one set or more.

    Attributes:
        settings: what segmenter, trained how, on which data, in words.
        swept: whether the sets differ in their guidance scale alone.
        warnings: what a reader must know before any number.
    """

    title: str
    settings: tuple[str, ...]
    sets: tuple[SetCoherence, ...]
    swept: bool
    command: str
    warnings: tuple[str, ...] = ()

    @property
    def score(self) -> str:
        """`IoU` or `Dice`."""
        return SCORES[self.sets[0].scores.score]

    def notes(self) -> tuple[str, ...]:
        """Return what must be read beside the numbers, each sentence once."""
        found: dict[str, list[str]] = {}
        for one in self.sets:
            for note in (*one.scores.notes, *([COPIED] if one.copied else [])):
                found.setdefault(note, []).append(one.name)
        return tuple(
            note if len(names) == len(self.sets) else f"{', '.join(names)}: {note}"
            for note, names in found.items()
        )

    def headlines(self) -> dict[str, float]:
        """Return RO, SO and the rate of copies of each set, where they are known."""
        known: dict[str, float] = {}
        for one in self.sets:
            line = one.scores.of(HEADLINE)
            values = {
                "RO": line.ro.value, "SO": None if line.so is None else line.so.value,
                "copies": one.copies[0].pairs if one.copies else None,
            }  # fmt: skip
            known |= {f"{name} {one.name}": value for name, value in values.items() if value is not None}
        return known

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        plain = {name: getattr(self, name) for name in ("title", "settings", "warnings", "swept")}
        return plain | {"sets": [one.to_dict() for one in self.sets]}


def coherence_table(report: CoherenceReport) -> RenderableType:
    """Return all of it for a terminal: every class of a single set, or a row for each of several."""
    scores = _classes(report, report.sets[0]) if len(report.sets) == 1 else _overview(report)
    notes = [Text(line, style="dim") for line in (*report.settings, *report.notes())]
    return Group(
        *(Text(word, style="bold yellow") for word in report.warnings), scores, _beside(report), *notes
    )


def coherence_markdown(report: CoherenceReport, picture: str | None = None) -> str:
    """Return the page: the overview, then every class of every set. `picture` is the chart's file."""
    parts = [f"# {report.title}", f"`{report.command}`", *(f"**{word}**" for word in report.warnings)]
    parts += [f"![RO and SO over the guidance scale]({picture})"] if picture else []
    heads = ("set", "pairs", "RO", "of real on real", "SO", "of real on real")
    rows = [
        (one.name, f"{one.scores.pairs:,}", *_full(line.ro), *_full(line.so))
        for one, line in ((one, one.scores.of(HEADLINE)) for one in report.sets)
    ]
    parts.append(f"**{report.score} in per cent, {HEADLINE}**\n\n{markdown_table(heads, rows)}")
    parts.append(f"**Copies and distances**\n\n{markdown_table(*_nearness(report))}")
    heads = ("", "real on real", "RO", "share", "SO", "share")
    for one in report.sets:
        rows = [
            (
                line.measure,
                with_interval(line.real, line.real_interval, NONE),
                *_full(line.ro),
                *_full(line.so),
            )
            for line in one.scores.lines
        ]
        parts.append(f"**{one.name}: {report.score} in per cent**\n\n{markdown_table(heads, rows)}")
    parts.append("\n".join(f"- {line}" for line in (*report.settings, *report.notes())))
    return "\n\n".join(parts) + "\n"


def coherence_chart(report: CoherenceReport) -> np.ndarray | None:
    """Return RO and SO over the guidance scale, uint8 `(H, W, 3)`; None where more than that differs."""
    if not report.swept:
        return None
    sets = sorted(report.sets, key=lambda one: one.guidance or 0.0)
    scales = [float(one.guidance or 0.0) for one in sets]
    means = [one.scores.of(HEADLINE) for one in sets]
    lines = [share_line("RO", scales, [line.ro for line in means])]
    if any(line.so is not None for line in means):
        lines.append(share_line("SO", scales, [line.so for line in means]))
    real = [sets[0].scores.of(HEADLINE).real or float("nan")] * len(sets)
    lines.append(Line("real on real", scales, real, series=7, dashed=True))
    near = [one.copies[0].pairs if one.copies else None for one in sets]
    usual = [one.copies[0].held_out if one.copies else None for one in sets]
    rates = [
        Line("pairs", scales, _known(near), series=2),
        Line("real frames never trained on", scales, _known(usual), series=7, dashed=True),
    ]
    return charts_picture(
        [
            Chart(
                f"{report.score}, {HEADLINE}", tuple(lines),
                x_label="guidance scale", y_label=report.score, y_limits=(0.0, 1.0),
            ),
            Chart(
                "Copies of training frames", tuple(rates), x_label="guidance scale", y_label="share",
                y_limits=(0.0, 0.1),
            ),
        ],
        columns=2,
    )  # fmt: skip


def share_line(name: str, x: Sequence[float], shares: Sequence[Share | None]) -> Line:
    """Return scores over `x` with their intervals as a line of a chart."""
    bounds = [None if share is None else share.interval for share in shares]
    low = _known([None if one is None else one.low for one in bounds])
    high = _known([None if one is None else one.high for one in bounds])
    return Line(name, x, _known([None if one is None else one.value for one in shares]), low, high)


def _classes(report: CoherenceReport, one: SetCoherence) -> RenderableType:
    title = f"{one.name}, {one.scores.pairs:,} pairs: {report.score} in per cent, real is real on real"
    table = plain_table(title, "", "real", "RO", "of real", "SO", "of real")
    for line in one.scores.lines:
        mean = line.measure in MEANS
        real = _cell(line.real, line.real_interval, mean)
        cells = (real, *_pair(line.ro, mean), *_pair(line.so, mean))
        table.add_row(Text(line.measure), *cells, style="bold" if mean else "")
    return table


def _overview(report: CoherenceReport) -> RenderableType:
    real = report.sets[0].scores.of(HEADLINE)
    known = with_interval(real.real, real.real_interval, NONE)
    title = f"{report.score} in per cent, {HEADLINE}; real on real {known}"
    table = plain_table(title, "set", "pairs", "RO", "of real", "SO", "of real")
    for one in report.sets:
        line = one.scores.of(HEADLINE)
        table.add_row(Text(one.name), f"{one.scores.pairs:,}", *_pair(line.ro, True), *_pair(line.so, True))
    return table


def _beside(report: CoherenceReport) -> RenderableType:
    heads, rows = _nearness(report)
    table = plain_table("Copies of training frames, and distances to real test frames", heads[0])
    for head in heads[1:]:
        table.add_column(Text(head), justify="right", overflow="fold")
    styles = [*("bold red" if one.copied else "" for one in report.sets), "dim"]
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*(Text(cell) for cell in row), style=style)
    return table


def _nearness(report: CoherenceReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heads and rows of the copy check and the distances; the last row is of real frames."""
    names = tuple(dict.fromkeys(measure.name for one in report.sets for measure in one.realism))
    rows = []
    real: dict[str, float | None] = {}
    for one in report.sets:
        values = {measure.name: measure.value for measure in one.realism}
        real |= {measure.name: measure.reference for measure in one.realism}
        rate = one.copies[0].pairs if one.copies else None
        rows.append((one.name, percent(rate, missing=NONE), *(number(values.get(name)) for name in names)))
    usual = next((one.copies[0].held_out for one in report.sets if one.copies), None)
    rows.append(("real frames", percent(usual, missing=NONE), *(number(real[name]) for name in names)))
    return ("", "copies, %", *names), rows


def _full(share: Share | None) -> tuple[str, str]:
    """Return score and share with their intervals."""
    if share is None:
        return NONE, NONE
    return (
        with_interval(share.value, share.interval, NONE),
        with_interval(share.share, share.share_interval, NONE),
    )


def _pair(share: Share | None, intervals: bool) -> tuple[Text, Text]:
    if share is None:
        return Text(NONE, style="dim"), Text(NONE, style="dim")
    return (
        _cell(share.value, share.interval, intervals),
        _cell(share.share, share.share_interval, intervals),
    )


def _cell(value: float | None, interval: Interval | None, shown: bool) -> Text:
    """Return a score, its interval on a second line, without brackets to be narrow."""
    text = Text(percent(value, missing=NONE))
    if shown and interval is not None:
        text.append(f"\n{percent(interval.low)}–{percent(interval.high)}", style="dim not bold")
    return text


def _known(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]
