"""Bars with intervals, differences around zero, curves and histograms, as inline SVG.

Bars and differences place everything in per cent of the width, so that a phone squeezes the bars and not the
words. Labels are escaped. Colours come from the page's style sheet (`--series-0`, …) with a fallback of their
own; the first six are those of Okabe and Ito, which colour-blind readers tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

from markupsafe import Markup

from rarescene.reports.charts import SERIES, Axes, Chart, log_ticks, moving_mean, nice_ticks
from rarescene.reports.formatting import interval, percent, short, signed, signed_interval

if TYPE_CHECKING:
    from rarescene.evaluation import ClassOverlap, Comparison, MeanOverlap

DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 2", "3 6")

Scale = Callable[[float], float]

BAR = 12
GAP = 5
SMOOTH_FROM = 60


def colour(series: int) -> str:
    """Return the CSS colour of a series, counted from 0."""
    index = series % len(SERIES)
    return f"var(--series-{index}, {SERIES[index]})"


def interval_bars(
    scores: Sequence[ClassOverlap | MeanOverlap], names: Sequence[str], *, maximum: float = 1.0
) -> Markup:
    """Return the IoU of one class or mean as bars, one a run, from 0 to `maximum`, with whiskers.

    A bar's width is `value / maximum` of the whole. A score of None draws no bar but the word `absent`.
    """
    step = BAR + GAP
    height = step * len(scores) + GAP
    parts = [_vertical(quarter / 4, height, "grid") for quarter in range(5)]
    for index, score in enumerate(scores):
        top = GAP + index * step
        middle = top + BAR / 2
        if score.iou is None:
            parts.append(f'<text class="absent" x="0" y="{middle + 4:g}" dx="4">absent</text>')
            continue
        width, style = _place(score.iou / maximum), f"fill:{colour(index)}"
        parts.append(f'<rect class="bar" x="0" y="{top:g}" width="{width}" height="{BAR}" style="{style}"/>')
        if (bounds := score.iou_interval) is not None:
            parts += _whisker(bounds.low / maximum, bounds.high / maximum, middle, BAR * 0.6)
    words = "; ".join(
        f"{name} {percent(score.iou)} {interval(score.iou_interval)}".strip()
        for name, score in zip(names, scores, strict=True)
    )
    return _flexible(height, f"Bars: {words}", parts)


def bar_axis(maximum: float = 1.0) -> Markup:
    """Return the axis that stands over a column of `interval_bars`, in per cent."""
    anchors = ("start", "middle", "middle", "middle", "end")
    parts = [
        f'<text class="tick" x="{_place(quarter / 4)}" y="12" text-anchor="{anchors[quarter]}">'
        f"{100 * maximum * quarter / 4:g}</text>"
        for quarter in range(5)
    ]
    return _flexible(16, f"Axis from 0 to {100 * maximum:g} per cent", parts)


def difference_limit(rows: Sequence[Comparison]) -> float:
    """Return a round bound, the same on both sides of 0, that holds every difference and its interval."""
    ends = [abs(row.difference) for row in rows if row.difference is not None]
    bounds = [row.difference_interval for row in rows if row.difference_interval is not None]
    largest = max([*ends, *(abs(end) for one in bounds for end in (one.low, one.high))], default=0.0)
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    return next((step for step in steps if largest <= step), largest)


def difference_mark(row: Comparison, limit: float) -> Markup:
    """Return a row's difference as a dot with its interval, from -limit to +limit with a line at 0."""
    height = BAR + 2 * GAP
    middle = height / 2
    parts = [_vertical(0.5, height, "zero")]
    if row.difference is None:
        parts.append(f'<text class="absent" x="50%" y="{middle + 4:g}" dx="6">not compared</text>')
        return _flexible(height, f"{row.measure}: not compared", parts)
    kind, bounds = "dot", row.difference_interval
    if bounds is not None:
        parts += _whisker(0.5 + bounds.low / (2 * limit), 0.5 + bounds.high / (2 * limit), middle, BAR * 0.6)
        kind = "dot up" if bounds.low > 0 else "dot down" if bounds.high < 0 else "dot"
    x = _place(0.5 + row.difference / (2 * limit))
    parts.append(f'<circle class="{kind}" cx="{x}" cy="{middle:g}" r="5"/>')
    words = f"{row.measure}: {signed(row.difference)} points {signed_interval(bounds)}".strip()
    return _flexible(height, words, parts)


def difference_axis(limit: float) -> Markup:
    """Return the axis that stands over a column of `difference_mark`, in points of per cent."""
    points = 100 * limit
    marks = ((0.0, f"−{points:g}", "start"), (0.5, "0", "middle"), (1.0, f"+{points:g}", "end"))
    parts = [
        f'<text class="tick" x="{_place(x)}" y="12" text-anchor="{anchor}">{text}</text>'
        for x, text, anchor in marks
    ]
    return _flexible(16, f"Axis from −{points:g} to +{points:g} points", parts)


def line_plot(plot: Chart, *, width: int = 460, height: int = 250) -> Markup:
    """Return curves over steps. Long curves are drawn faint, with their moving mean on top.

    On a logarithmic axis, values of 0 and below leave a gap as non-finite ones do.
    """
    drawn = [
        (step, value)
        for curve in plot.lines
        for step, value in zip(curve.x, curve.y, strict=True)
        if _drawable(value, plot.logarithmic)
    ]
    names = ", ".join(curve.name for curve in plot.lines)
    opening = _opening(f"{plot.title}: {plot.y_label} over {plot.x_label}, {names}", width, height)
    if not drawn:
        return Markup(f"{opening}{_text('absent', width / 2, height / 2, 'middle', 'no values')}</svg>")
    steps, values = ([pair[place] for pair in drawn] for place in (0, 1))
    ticks = log_ticks if plot.logarithmic else nice_ticks
    axes = Axes(
        nice_ticks(min(steps), max(steps)), ticks(min(values), max(values)), 52, width - 12, 10, height - 40
    )
    words = [f"{10**tick:.3g}" if plot.logarithmic else f"{tick:g}" for tick in axes.y_ticks]
    parts = [opening, *_grid(axes, words)]
    parts.append(_text("axis", (axes.left + axes.right) / 2, height - 6, "middle", plot.x_label))
    upright = _text("axis", -(axes.top + axes.bottom) / 2, 12, "middle", plot.y_label)
    parts.append(f'<g transform="rotate(-90)">{upright}</g>')
    for index, curve in enumerate(plot.lines):
        dash = f' stroke-dasharray="{DASHES[index % len(DASHES)]}"' if DASHES[index % len(DASHES)] else ""
        style = f"stroke:{curve.colour or colour(index)}"
        raw = [value if _drawable(value, plot.logarithmic) else math.nan for value in curve.y]
        raw = [math.log10(value) for value in raw] if plot.logarithmic else raw
        window = len(raw) // 30 if len(raw) >= SMOOTH_FROM else 1
        if window > 1:
            faint = _path(curve.x, raw, axes.x, axes.y)
            parts.append(f'<path class="raw" d="{faint}" style="{style}"/>')
        line = _path(curve.x, moving_mean(raw, window), axes.x, axes.y)
        parts.append(
            f'<path class="line" d="{line}" style="{style}"{dash}><title>{escape(curve.name)}</title></path>'
        )
    return Markup("".join(parts) + "</svg>")


def histogram(
    kept: Sequence[float],
    dropped: Sequence[float],
    limits: Sequence[float] = (),
    *,
    label: str,
    bins: int = 30,
    width: int = 460,
    height: int = 200,
) -> Markup:
    """Return how often each value occurs: kept values below, dropped ones stacked on them, dashed limits."""
    known = [[value for value in part if math.isfinite(value)] for part in (kept, dropped)]
    opening = _opening(f"{label}: {len(known[0])} kept, {len(known[1])} dropped", width, height)
    values = [*known[0], *known[1]]
    if not values:
        return Markup(f"{opening}{_text('absent', width / 2, height / 2, 'middle', 'no values')}</svg>")
    x_ticks = nice_ticks(min([*values, *limits]), max([*values, *limits]))
    low, high = x_ticks[0], x_ticks[-1]
    counts = [[0] * bins, [0] * bins]
    for part, members in enumerate(known):
        for value in members:
            counts[part][min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    y_ticks = nice_ticks(0, max(map(sum, zip(*counts, strict=True))), about=3)
    axes = Axes(x_ticks, y_ticks, 44, width - 12, 10, height - 24)
    parts = [opening, *_grid(axes, [f"{tick:,g}" for tick in y_ticks])]
    wide = (axes.right - axes.left) / bins
    for place, (stay, go) in enumerate(zip(*counts, strict=True)):
        x = axes.left + place * wide
        for kind, start, number in (("kept", 0, stay), ("gone", stay, go)):
            if number:
                top = axes.y(start + number)
                parts.append(
                    f'<rect class="{kind}" x="{x + 0.5:.1f}" y="{top:.1f}" '
                    f'width="{wide - 1:.1f}" height="{axes.y(start) - top:.1f}"/>'
                )
    for limit in limits:
        x = axes.x(limit)
        parts.append(f'<line class="limit" x1="{x:.1f}" y1="{axes.top}" x2="{x:.1f}" y2="{axes.bottom}"/>')
    return Markup("".join(parts) + "</svg>")


def _opening(label: str, width: int, height: int) -> str:
    return (
        f'<svg class="lines" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )


def _grid(axes: Axes, words: Sequence[str]) -> list[str]:
    """Return the lines of the y axis, with their `words`, and the numbers of the x axis."""
    parts = []
    for tick, text in zip(axes.y_ticks, words, strict=True):
        y = axes.y(tick)
        parts.append(f'<line class="grid" x1="{axes.left}" y1="{y:.1f}" x2="{axes.right}" y2="{y:.1f}"/>')
        parts.append(_text("tick", axes.left - 6, y + 4, "end", text))
    parts += [_text("tick", axes.x(x), axes.bottom + 16, "middle", f"{x:,g}") for x in axes.x_ticks]
    return parts


def value_bar(value: float | None, maximum: float, shade: str, *, label: str) -> Markup:
    """Return one value as a bar in a CSS colour, followed by its number; `maximum` spans seven tenths."""
    middle = GAP + BAR / 2
    if value is None:
        absent = f'<text class="absent" x="0" y="{middle + 4:g}" dx="4">absent</text>'
        return _flexible(BAR + 2 * GAP, f"{label}: absent", [absent], "strip value-bar")
    width = 0.7 * value / maximum if maximum > 0 else 0.0
    parts = [
        f'<rect x="0" y="{GAP}" width="{_place(width)}" height="{BAR}" style="fill:{shade}"/>',
        f'<text x="{_place(width)}" y="{middle + 4:g}" dx="5">{short(value)}</text>',
    ]
    return _flexible(BAR + 2 * GAP, f"{label}: {short(value)}", parts, "strip value-bar")


def sparkline(
    values: Sequence[float | None],
    maximum: float,
    shade: str,
    marked: Sequence[bool],
    *,
    label: str,
    height: int = 34,
) -> Markup:
    """Return values, left to right, on a scale from 0 to `maximum`; marked ones have a dot, None is a gap."""
    reach = max(1, len(values) - 1)

    def x_of(place: float) -> float:
        return 100 * place / reach

    def y_of(value: float) -> float:
        return 92 - 84 * value / maximum if maximum > 0 else 92.0

    known = [math.nan if value is None else value for value in values]
    line = _path(range(len(known)), known, x_of, y_of)
    inner = (
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="{height}">'
        '<line class="grid" x1="0" y1="92" x2="100" y2="92" vector-effect="non-scaling-stroke"/>'
        f'<path class="halo" d="{line}" vector-effect="non-scaling-stroke"/>'
        f'<path class="line" d="{line}" vector-effect="non-scaling-stroke" style="stroke:{shade}"/></svg>'
    )
    dots = [
        f'<circle class="dot" cx="{x_of(place):.4g}%" cy="{y_of(value) * height / 100:.4g}" r="3.2" '
        f'style="fill:{shade}"/>'
        for place, (value, mark) in enumerate(zip_longest(known, marked, fillvalue=False))
        if (mark or len(known) == 1) and not math.isnan(value)
    ]
    return _flexible(height, label, [inner, *dots], "spark")


def _path(steps: Sequence[float], values: Sequence[float], x_of: Scale, y_of: Scale) -> str:
    text, pen = [], "M"
    for step, value in zip(steps, values, strict=True):
        if math.isnan(value):
            pen = "M"
            continue
        text.append(f"{pen}{x_of(step):.1f} {y_of(value):.1f}")
        pen = "L"
    return "".join(text)


def _text(kind: str, x: float, y: float, anchor: str, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _drawable(value: float, logarithmic: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not logarithmic)


def _place(fraction: float) -> str:
    return f"{100 * fraction:.4g}%"


def _vertical(x: float, height: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_place(x)}" y1="0" x2="{_place(x)}" y2="{height:g}"/>'


def _whisker(low: float, high: float, y: float, cap: float) -> list[str]:
    ends = [
        f'<line class="whisker" x1="{_place(x)}" y1="{y - cap / 2:g}" x2="{_place(x)}" y2="{y + cap / 2:g}"/>'
        for x in (low, high)
    ]
    return [f'<line class="whisker" x1="{_place(low)}" y1="{y:g}" x2="{_place(high)}" y2="{y:g}"/>', *ends]


def _flexible(height: float, label: str, parts: Sequence[str], kind: str = "strip") -> Markup:
    inner = "".join(parts)
    return Markup(
        f'<svg class="{kind}" width="100%" height="{height:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{inner}</svg>'
    )
