"""Groups of bars with intervals as a picture, for Markdown pages and recipes; they look like `charts`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from rarescene.reports.charts import FINE, GREY, GRID, INK, LEGEND, TOP
from rarescene.reports.content import Estimate
from rarescene.reports.svg import SERIES, nice_ticks

THICK, GAP, FOOT, NUMBER = 13, 10, 44, 64


@dataclass(frozen=True)
class Bars:
    """The bars of one colour.

    Attributes:
        name: in the legend.
        values: one a group, with its interval; a value of None has no bar and says "not trained".
    """

    name: str
    values: tuple[Estimate, ...]


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
            middle = y + (THICK - 2) * FINE / 2
            if value.value is None:
                write(zero + 6 * FINE, middle, missing, "lm", GREY)
                continue
            end = place(value.value)
            colour = ImageColor.getrgb(SERIES[series % len(SERIES)])
            pen.rectangle([min(zero, end), y, max(zero, end), y + (THICK - 2) * FINE], fill=colour)
            furthest = max(zero, end)
            if value.low is not None and value.high is not None:
                pen.line([(place(value.low), middle), (place(value.high), middle)], fill=INK, width=FINE)
                furthest = max(furthest, place(value.high))
            number = f"{value.value:,.0f}" if logarithmic else f"{value.value:.3g}"
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
    ends = [
        end
        for one in bars
        for value in one.values
        for end in (value.low, value.value, value.high)
        if end is not None and math.isfinite(end)
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
