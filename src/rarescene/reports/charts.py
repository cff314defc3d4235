"""Charts as pictures: curves with bands, clouds of points, and bars, for Markdown pages and recipes.

`svg` draws the same as SVG for the page of a report; a Markdown page wants a PNG. Everything is drawn at
three times the size and made smaller, which smooths the lines. Colours are those of `svg`. The font is
Pillow's own, which has the letters and signs of Latin-1 alone: a minus is a hyphen here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rarescene.reports.axes import SERIES, Chart, Cloud, Line, nice_ticks

if TYPE_CHECKING:
    from rarescene.evaluation import Interval

FINE = 3
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44
LEGEND = 17
THICK, GAP, FOOT, NUMBER = 13, 10, 44, 64
INK, GREY, GRID = (30, 30, 30), (95, 95, 95), (225, 225, 225)

Scale = Callable[[float], float]


def charts_picture(
    charts: Sequence[Chart], *, columns: int = 1, width: int = 480, height: int = 330
) -> np.ndarray:
    """Return charts side by side and under each other, uint8 `(rows * height, columns * width, 3)`.

    Args:
        charts: row by row.
        columns: how many stand side by side.
        width: of each, in pixels.
        height: of each, legend included.
    """
    rows = -(-len(charts) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for place, chart in enumerate(charts):
        drawn = _Canvas(chart, width, height).draw()
        sheet.paste(drawn, (place % columns * width, place // columns * height))
    return np.asarray(sheet)


class _Canvas:
    """One chart at the fine size."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart = chart
        self.picture = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.pen = ImageDraw.Draw(self.picture, "RGBA")
        self.names = [(one.name, self._colour(one, place)) for place, one in enumerate(self._parts())]
        self.legend = [(name, colour) for name, colour in self.names if name]
        self.left, self.top = LEFT * FINE, TOP * FINE
        self.right = (width - RIGHT) * FINE
        self.bottom = (height - BOTTOM - LEGEND * -(-len(self.legend) // 2)) * FINE
        xs, ys = self._values()
        self.x_ticks = nice_ticks(min(xs), max(xs)) if xs else [0.0, 1.0]
        self.y_ticks = nice_ticks(min(ys), max(ys)) if ys else [0.0, 1.0]

    def draw(self) -> Image.Image:
        """Return the chart at its own size."""
        chart = self.chart
        self._text((self.left + self.right) / 2, 8 * FINE, chart.title, 13, INK, "mt")
        for tick in self.y_ticks:
            y = self._y(tick)
            self.pen.line([(self.left, y), (self.right, y)], fill=GRID, width=FINE)
            self._text(self.left - 6 * FINE, y, f"{tick:g}", 11, GREY, "rm")
        for tick in self.x_ticks:
            x = self._x(tick)
            self.pen.line([(x, self.bottom), (x, self.bottom + 4 * FINE)], fill=GREY, width=FINE)
            self._text(x, self.bottom + 7 * FINE, f"{tick:g}", 11, GREY, "mt")
        self.pen.line([(self.left, self.bottom), (self.right, self.bottom)], fill=GREY, width=FINE)
        self._text((self.left + self.right) / 2, self.bottom + 23 * FINE, chart.x_label, 12, INK, "mt")
        self._upright(chart.y_label)
        colours = [colour for _, colour in self.names]
        for cloud, colour in zip(chart.clouds, colours, strict=False):
            self._points(cloud, colour)
        drawn = list(zip(chart.lines, colours[len(chart.clouds) :], strict=True))
        for line, colour in drawn:
            self._band(line, colour)
        for line, colour in drawn:
            self._curve(line, colour)
        self._legend()
        size = (self.picture.width // FINE, self.picture.height // FINE)
        return self.picture.resize(size, Image.Resampling.LANCZOS)

    def _parts(self) -> list[Line | Cloud]:
        return [*self.chart.clouds, *self.chart.lines]

    def _colour(self, part: Line | Cloud, place: int) -> tuple[int, ...]:
        series = place if part.series is None else part.series
        return ImageColor.getrgb(SERIES[series % len(SERIES)])

    def _values(self) -> tuple[list[float], list[float]]:
        """Return all finite coordinates that the axes must hold."""
        xs = [float(x) for line in self.chart.lines for x in line.x]
        ys = list(self.chart.y_limits)
        for line in self.chart.lines:
            ys += [float(y) for part in (line.y, line.low, line.high) if part is not None for y in part]
        for cloud in self.chart.clouds:
            xs += cloud.points[:, 0].tolist()
            ys += cloud.points[:, 1].tolist()
        return [x for x in xs if math.isfinite(x)], [y for y in ys if math.isfinite(y)]

    def _x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def _y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def _band(self, line: Line, colour: tuple[int, ...]) -> None:
        if line.low is None or line.high is None:
            return
        ends = [
            (self._x(x), self._y(low), self._y(high))
            for x, low, high in zip(line.x, line.low, line.high, strict=True)
            if math.isfinite(low) and math.isfinite(high)
        ]
        if len(ends) > 1:
            upper, lower = [(x, y) for x, _, y in ends], [(x, y) for x, y, _ in reversed(ends)]
            self.pen.polygon([*upper, *lower], fill=(*colour, 45))
        if len(ends) <= _FEW:
            for x, low, high in ends:
                self.pen.line([(x, low), (x, high)], fill=colour, width=FINE)

    def _curve(self, line: Line, colour: tuple[int, ...]) -> None:
        pieces: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(line.x, line.y, strict=True):
            if math.isfinite(y):
                pieces[-1].append((self._x(x), self._y(y)))
            elif pieces[-1]:
                pieces.append([])
        for piece in pieces:
            if line.dashed:
                for dash in _dashes(piece):
                    self.pen.line(dash, fill=colour, width=2 * FINE)
            elif len(piece) > 1:
                self.pen.line(piece, fill=colour, width=2 * FINE, joint="curve")
        if len(line.x) <= _FEW and not line.dashed:
            for x, y in (point for piece in pieces for point in piece):
                radius = 3.5 * FINE
                self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def _points(self, cloud: Cloud, colour: tuple[int, ...]) -> None:
        radius = 1.6 * FINE
        for x, y in ((self._x(a), self._y(b)) for a, b in cloud.points.tolist()):
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(*colour, 170))

    def _legend(self) -> None:
        half = (self.picture.width - self.left // 2) / 2
        for place, (name, colour) in enumerate(self.legend):
            x = self.left / 2 + place % 2 * half
            y = self.bottom + (BOTTOM + LEGEND * (place // 2) + LEGEND / 2 - 2) * FINE
            self.pen.line([(x, y), (x + 18 * FINE, y)], fill=colour, width=4 * FINE)
            self._text(x + 24 * FINE, y, name, 12, INK, "lm")

    def _text(self, x: float, y: float, words: str, size: int, colour: tuple[int, ...], anchor: str) -> None:
        self.pen.text((x, y), words, fill=colour, font=ImageFont.load_default(size * FINE), anchor=anchor)

    def _upright(self, words: str) -> None:
        font = ImageFont.load_default(12 * FINE)
        box = Image.new("L", (max(1, round(font.getlength(words))), 18 * FINE), 0)
        ImageDraw.Draw(box).text((0, 2 * FINE), words, fill=255, font=font)
        turned = box.rotate(90, expand=True)
        middle = round((self.top + self.bottom) / 2)
        self.picture.paste(INK, (4 * FINE, middle - turned.height // 2), turned)


_FEW = 12
"""Curves of this many values or fewer show a mark at each."""


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
        name: in the legend.
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
        title: over them.
        groups: names of the groups, from the top.
        bars: each with a value for every group.
        x_label: what the length of a bar means.
        logarithmic: lengths go by powers of ten.
        missing: what stands in the place of a value of None.
        width: in pixels.
    """
    font = ImageFont.load_default(12 * FINE)
    left = round(max(map(font.getlength, groups), default=0)) + 16 * FINE
    right, top = (width - NUMBER) * FINE, TOP * FINE
    tall = (THICK * len(bars) + GAP) * FINE
    bottom = top + tall * len(groups)
    legend = LEGEND * -(-len(bars) // 2) if len(bars) > 1 else 0
    picture = Image.new("RGB", (width * FINE, bottom + (FOOT + legend) * FINE), "white")
    pen = ImageDraw.Draw(picture)

    def write(x: float, y: float, words: str, anchor: str, colour: tuple[int, int, int] = INK) -> None:
        pen.text((x, y), words, fill=colour, font=font, anchor=anchor)

    ticks, place = _axis(bars, logarithmic, left, right)
    write((left + right) / 2, 8 * FINE, title, "mt")
    for tick in ticks:
        x = place(10**tick if logarithmic else tick)
        pen.line([(x, top), (x, bottom)], fill=GRID, width=FINE)
        write(x, bottom + 5 * FINE, f"{10**tick:,.0f}" if logarithmic else f"{tick:g}", "mt", GREY)
    write((left + right) / 2, bottom + 23 * FINE, x_label, "mt")
    zero = place(10 ** ticks[0] if logarithmic else 0.0)
    for row, group in enumerate(groups):
        start = top + row * tall + GAP * FINE // 2
        write(left - 8 * FINE, start + THICK * FINE * len(bars) / 2, group, "rm")
        for series, one in enumerate(bars):
            value, y = one.values[row], start + series * THICK * FINE
            bounds = one.intervals[row] if one.intervals else None
            middle = y + (THICK - 2) * FINE / 2
            if value is None:
                write(zero + 6 * FINE, middle, missing, "lm", GREY)
                continue
            end = place(value)
            colour = ImageColor.getrgb(SERIES[series % len(SERIES)])
            pen.rectangle([min(zero, end), y, max(zero, end), y + (THICK - 2) * FINE], fill=colour)
            furthest = max(zero, end)
            if bounds is not None:
                pen.line([(place(bounds.low), middle), (place(bounds.high), middle)], fill=INK, width=FINE)
                furthest = max(furthest, place(bounds.high))
            number = f"{value:,.0f}" if logarithmic else f"{value:.3g}"
            write(furthest + 5 * FINE, middle, number, "lm", GREY)
    for series, one in enumerate(bars if legend else ()):
        x = (16 + series % 2 * width / 2) * FINE
        line = bottom + (FOOT + LEGEND * (series // 2) + LEGEND / 2 - 2) * FINE
        colour = ImageColor.getrgb(SERIES[series % len(SERIES)])
        pen.line([(x, line), (x + 18 * FINE, line)], fill=colour, width=4 * FINE)
        write(x + 24 * FINE, line, one.name, "lm")
    size = (picture.width // FINE, picture.height // FINE)
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


def _axis(
    bars: Sequence[Bars], logarithmic: bool, left: float, right: float
) -> tuple[list[float], Callable[[float], float]]:
    """Return the ticks (exponents of ten if `logarithmic`), and where a value lies."""
    known = [interval for one in bars for interval in one.intervals if interval is not None]
    ends = [value for one in bars for value in one.values if value is not None]
    ends = [
        end for end in (*ends, *(end for one in known for end in (one.low, one.high))) if math.isfinite(end)
    ]
    if logarithmic:
        # From a decade that leaves the smallest bar some length.
        first = math.floor(math.log10(min(ends, default=1.0)) - 0.3)
        last = math.ceil(math.log10(max(ends, default=10.0)))
        ticks = [float(decade) for decade in range(first, max(last, first + 1) + 1)]
    else:
        ticks = nice_ticks(min([0.0, *ends]), max([0.0, *ends]))

    def place(value: float) -> float:
        scaled = math.log10(value) if logarithmic else value
        return left + (scaled - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)

    return ticks, place
