"""Charts as data, their axes, and their pictures: curves with bands, clouds of points, and bars that lie.

Recipes and Markdown pages show the pictures; `svg` draws the same `Chart` for HTML pages. Pictures are made
at three times the size and reduced, which smooths the lines. Their font is Pillow's own, which has the
letters and signs of Latin-1 alone: a minus is a hyphen here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

if TYPE_CHECKING:
    from rarescene.evaluation import Interval

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D00", "#5C5C5C")


@dataclass(frozen=True)
class Line:
    """A curve, with a mark at each value if there are few.

    Attributes:
        x: ascending.
        y: values that are not finite leave a gap.
        low: lower ends of the values' intervals; `high` has the upper ones.
        series: number of its colour; by default its place in the chart.
        dashed: whether the line is dashed, as a reference is.
        colour: a CSS colour, for instance that of a class, in place of the series'; on pages alone.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    series: int | None = None
    dashed: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Cloud:
    """Points of one colour, `(N, 2)`."""

    name: str
    points: np.ndarray
    series: int | None = None


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        lines: drawn in this order, over the clouds.
        y_limits: values that the axis must hold besides all that is drawn.
        logarithmic: whether the values go by powers of ten; on pages alone.
    """

    title: str
    lines: tuple[Line, ...] = ()
    clouds: tuple[Cloud, ...] = ()
    x_label: str = ""
    y_label: str = ""
    y_limits: tuple[float, ...] = ()
    logarithmic: bool = False


def training_chart(
    title: str, logs: Mapping[str, Sequence[Mapping[str, float]]], value: str = "loss"
) -> Chart:
    """Return one scalar of several training logs over the steps; lines of a log without it are left out.

    `logs` holds the lines of each run's `log.jsonl`, by the run's name.
    """
    lines = []
    for name, log in logs.items():
        known = [line for line in log if value in line]
        x, y = ([float(line[key]) for line in known] for key in ("step", value))
        lines.append(Line(name, x, y))
    return Chart(title, tuple(lines), x_label="optimiser step", y_label=value)


@dataclass(frozen=True)
class Axes:
    """Where values lie in a rectangle of pixels, y downwards: its sides are the first and the last ticks."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    left: float
    right: float
    top: float
    bottom: float

    def x(self, value: float) -> float:
        """Return the pixel of a value of the x axis."""
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return the pixel of a value of the y axis."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return evenly spaced round numbers, the first at or below `low` and the last at or above `high`."""
    if not high > low:
        low, high = low - max(abs(low), 1.0) / 2, high + max(abs(high), 1.0) / 2
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return logarithms (base 10) of round numbers that hold `low` to `high`: decades, or 1, 2, 5 of few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    if last - first > 2:
        return [float(decade) for decade in range(first, last + 1)]
    fine = [decade + math.log10(factor) for decade in range(first, last) for factor in (1, 2, 5)] + [
        float(last)
    ]
    start = max(index for index, tick in enumerate(fine) if tick <= math.log10(low) + 1e-9)
    stop = min(index for index, tick in enumerate(fine) if tick >= math.log10(high) - 1e-9)
    return fine[start : max(stop, start + 1) + 1]


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Return the mean over `window` values around each one, cut at both ends; gaps (NaN) do not count."""
    if window <= 1:
        return list(values)
    half, means = window // 2, []
    for index in range(len(values)):
        near = [value for value in values[max(0, index - half) : index + half + 1] if not math.isnan(value)]
        gap = math.isnan(values[index]) or not near
        means.append(math.nan if gap else sum(near) / len(near))
    return means


FINE = 3
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44
LEGEND = 17
THICK, GAP, NUMBER = 13, 10, 64
INK, GREY, GRID = (30, 30, 30), (95, 95, 95), (225, 225, 225)

FEW = 12
"""Curves of this many values or fewer show a mark at each."""

Colour = tuple[int, ...]


def charts_picture(
    charts: Sequence[Chart], *, columns: int = 1, width: int = 480, height: int = 330
) -> np.ndarray:
    """Return charts row by row, each of `width` and `height`, uint8 `(rows * height, columns * width, 3)`."""
    rows = -(-len(charts) // columns)
    picture = Image.new("RGB", (columns * width, rows * height), "white")
    for place, chart in enumerate(charts):
        picture.paste(_chart(chart, width, height), (place % columns * width, place // columns * height))
    return np.asarray(picture)


class _Sheet:
    """Paper at the fine size; sizes of words are those of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.picture = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.pen = ImageDraw.Draw(self.picture, "RGBA")

    def text(self, x: float, y: float, words: str, anchor: str, colour: Colour = INK, size: int = 12) -> None:
        self.pen.text((x, y), words, fill=colour, font=ImageFont.load_default(size * FINE), anchor=anchor)

    def upright(self, words: str, middle: float) -> None:
        """Write words from the bottom to the top at the left edge."""
        font = ImageFont.load_default(12 * FINE)
        box = Image.new("L", (max(1, round(font.getlength(words))), 18 * FINE), 0)
        ImageDraw.Draw(box).text((0, 2 * FINE), words, fill=255, font=font)
        turned = box.rotate(90, expand=True)
        self.picture.paste(INK, (4 * FINE, round(middle) - turned.height // 2), turned)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        radius *= FINE
        self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def legend(self, names: Sequence[tuple[str, Colour]], left: float, apart: float, bottom: float) -> None:
        """Write two names a row under what ends at `bottom`."""
        for place, (name, colour) in enumerate(names):
            x = left + place % 2 * apart
            y = bottom + (BOTTOM + LEGEND * (place // 2) + LEGEND / 2 - 2) * FINE
            self.pen.line([(x, y), (x + 18 * FINE, y)], fill=colour, width=4 * FINE)
            self.text(x + 24 * FINE, y, name, "lm")

    def reduced(self) -> Image.Image:
        return self.picture.resize(self.size, Image.Resampling.LANCZOS)


def _chart(chart: Chart, width: int, height: int) -> Image.Image:
    sheet = _Sheet(width, height)
    parts: list[Cloud | Line] = [*chart.clouds, *chart.lines]
    colours = [_colour(place if one.series is None else one.series) for place, one in enumerate(parts)]
    legend = [(one.name, colour) for one, colour in zip(parts, colours, strict=True) if one.name]
    xs, ys = _values(chart)
    x_ticks, y_ticks = (nice_ticks(min(ends), max(ends)) if ends else [0.0, 1.0] for ends in (xs, ys))
    axes = Axes(
        x_ticks, y_ticks,
        LEFT * FINE, (width - RIGHT) * FINE, TOP * FINE,
        (height - BOTTOM - LEGEND * -(-len(legend) // 2)) * FINE,
    )  # fmt: skip
    left, right, bottom, middle = axes.left, axes.right, axes.bottom, (axes.left + axes.right) / 2
    sheet.text(middle, 8 * FINE, chart.title, "mt", size=13)
    for tick in axes.y_ticks:
        y = axes.y(tick)
        sheet.pen.line([(left, y), (right, y)], fill=GRID, width=FINE)
        sheet.text(left - 6 * FINE, y, f"{tick:g}", "rm", GREY, 11)
    for tick in axes.x_ticks:
        x = axes.x(tick)
        sheet.pen.line([(x, bottom), (x, bottom + 4 * FINE)], fill=GREY, width=FINE)
        sheet.text(x, bottom + 7 * FINE, f"{tick:g}", "mt", GREY, 11)
    sheet.pen.line([(left, bottom), (right, bottom)], fill=GREY, width=FINE)
    sheet.text(middle, bottom + 23 * FINE, chart.x_label, "mt")
    sheet.upright(chart.y_label, (axes.top + bottom) / 2)
    for cloud, colour in zip(chart.clouds, colours, strict=False):
        for x, y in cloud.points.tolist():
            sheet.dot(axes.x(x), axes.y(y), 1.6, (*colour, 170))
    lines = list(zip(chart.lines, colours[len(chart.clouds) :], strict=True))
    for draw in (_band, _curve):
        for line, colour in lines:
            draw(sheet, axes, line, colour)
    sheet.legend(legend, left / 2, (width * FINE - left // 2) / 2, bottom)
    return sheet.reduced()


def _colour(series: int) -> Colour:
    return ImageColor.getrgb(SERIES[series % len(SERIES)])


def _values(chart: Chart) -> tuple[list[float], list[float]]:
    """Return all finite coordinates that the axes must hold."""
    xs = [float(x) for line in chart.lines for x in line.x]
    ys = list(chart.y_limits)
    for line in chart.lines:
        ys += [float(y) for part in (line.y, line.low, line.high) if part is not None for y in part]
    for cloud in chart.clouds:
        xs += cloud.points[:, 0].tolist()
        ys += cloud.points[:, 1].tolist()
    return [x for x in xs if math.isfinite(x)], [y for y in ys if math.isfinite(y)]


def _band(sheet: _Sheet, axes: Axes, line: Line, colour: Colour) -> None:
    if line.low is None or line.high is None:
        return
    ends = [
        (axes.x(x), axes.y(low), axes.y(high))
        for x, low, high in zip(line.x, line.low, line.high, strict=True)
        if math.isfinite(low) and math.isfinite(high)
    ]
    if len(ends) > 1:
        upper, lower = [(x, y) for x, _, y in ends], [(x, y) for x, y, _ in reversed(ends)]
        sheet.pen.polygon([*upper, *lower], fill=(*colour, 45))
    for x, low, high in ends if len(ends) <= FEW else ():
        sheet.pen.line([(x, low), (x, high)], fill=colour, width=FINE)


def _curve(sheet: _Sheet, axes: Axes, line: Line, colour: Colour) -> None:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if math.isfinite(y):
            pieces[-1].append((axes.x(x), axes.y(y)))
        elif pieces[-1]:
            pieces.append([])
    for piece in pieces:
        if line.dashed:
            for dash in _dashes(piece):
                sheet.pen.line(dash, fill=colour, width=2 * FINE)
        elif len(piece) > 1:
            sheet.pen.line(piece, fill=colour, width=2 * FINE, joint="curve")
    if len(line.x) <= FEW and not line.dashed:
        for x, y in (point for piece in pieces for point in piece):
            sheet.dot(x, y, 3.5, colour)


def _dashes(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the dashes of a line through these points: equally long, with equally long gaps."""
    x, y = np.array(points).T
    along = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    dash = 6 * FINE
    starts = np.arange(0.0, along[-1], 2 * dash)
    return [
        [(float(np.interp(at, along, x)), float(np.interp(at, along, y))) for at in (start, start + dash)]
        for start in starts
    ]


@dataclass(frozen=True)
class Bars:
    """The bars of one colour.

    Attributes:
        values: one a group; a value of None has no bar and says "not trained".
        intervals: one a group, or none at all.
    """

    name: str
    values: Sequence[float | None]
    intervals: Sequence[Interval | None] = ()


def bars_picture(
    title: str,
    groups: Sequence[str],
    bars: Sequence[Bars],
    *,
    x_label: str,
    logarithmic: bool = False,
    missing: str = "not trained",
    width: int = 720,
) -> np.ndarray:
    """Return bars that lie, those of a group under each other, uint8 `(H, W, 3)`.

    Args:
        groups: their names, from the top.
        bars: each with a value for every group.
        x_label: what the length of a bar means.
        logarithmic: lengths go by powers of ten.
        missing: the words in the place of a value of None.
    """
    font = ImageFont.load_default(12 * FINE)
    left = round(max(map(font.getlength, groups), default=0)) + 16 * FINE
    tall, top = (THICK * len(bars) + GAP) * FINE, TOP * FINE
    bottom = top + tall * len(groups)
    legend = [(one.name, _colour(series)) for series, one in enumerate(bars)] if len(bars) > 1 else []
    sheet = _Sheet(width, bottom // FINE + BOTTOM + LEGEND * -(-len(legend) // 2))
    axes = Axes(_bar_ticks(bars, logarithmic), (0.0, 1.0), left, (width - NUMBER) * FINE, top, bottom)

    def place(value: float) -> float:
        return axes.x(math.log10(value) if logarithmic else value)

    middle_of_axis = (left + axes.right) / 2
    sheet.text(middle_of_axis, 8 * FINE, title, "mt")
    for tick in axes.x_ticks:
        x = axes.x(tick)
        sheet.pen.line([(x, top), (x, bottom)], fill=GRID, width=FINE)
        sheet.text(x, bottom + 5 * FINE, f"{10**tick:,.0f}" if logarithmic else f"{tick:g}", "mt", GREY)
    sheet.text(middle_of_axis, bottom + 23 * FINE, x_label, "mt")
    zero = axes.x(axes.x_ticks[0] if logarithmic else 0.0)
    for row, group in enumerate(groups):
        start = top + row * tall + GAP * FINE // 2
        sheet.text(left - 8 * FINE, start + THICK * FINE * len(bars) / 2, group, "rm")
        for series, one in enumerate(bars):
            value, y = one.values[row], start + series * THICK * FINE
            bounds = one.intervals[row] if one.intervals else None
            middle = y + (THICK - 2) * FINE / 2
            if value is None:
                sheet.text(zero + 6 * FINE, middle, missing, "lm", GREY)
                continue
            low, high = sorted((zero, place(value)))
            sheet.pen.rectangle([low, y, high, y + (THICK - 2) * FINE], fill=_colour(series))
            if bounds is not None:
                ends = [(place(end), middle) for end in (bounds.low, bounds.high)]
                sheet.pen.line(ends, fill=INK, width=FINE)
                high = max(high, place(bounds.high))
            number = f"{value:,.0f}" if logarithmic else f"{value:.3g}"
            sheet.text(high + 5 * FINE, middle, number, "lm", GREY)
    sheet.legend(legend, 16 * FINE, width / 2 * FINE, bottom)
    return np.asarray(sheet.reduced())


def _bar_ticks(bars: Sequence[Bars], logarithmic: bool) -> list[float]:
    """Return the ticks, exponents of ten if `logarithmic`."""
    known = [interval for one in bars for interval in one.intervals if interval is not None]
    ends = [value for one in bars for value in one.values if value is not None]
    ends = [
        end for end in (*ends, *(end for one in known for end in (one.low, one.high))) if math.isfinite(end)
    ]
    if not logarithmic:
        return nice_ticks(min([0.0, *ends]), max([0.0, *ends]))
    # From a decade that leaves the smallest bar some length.
    first = math.floor(math.log10(min(ends, default=1.0)) - 0.3)
    last = math.ceil(math.log10(max(ends, default=10.0)))
    return [float(decade) for decade in range(first, max(last, first + 1) + 1)]
