"""Charts as data, their colours, and the round numbers of their axes: what pages and pictures draw alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D00", "#5C5C5C")


@dataclass(frozen=True)
class Line:
    """A curve, with a mark at each value if there are few.

    Attributes:
        name: in the legend.
        x: ascending.
        y: as many; values that are not finite leave a gap.
        low: lower ends of the values' intervals, or none.
        high: upper ends.
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
        title: over it.
        lines: curves, drawn in this order.
        clouds: points, drawn before the curves.
        x_label: under the axis.
        y_label: beside the axis.
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

    Args:
        title: of the chart.
        logs: the lines of each run's `log.jsonl`, by the run's name.
        value: the scalar.
    """
    lines = []
    for name, log in logs.items():
        known = [line for line in log if value in line]
        x, y = ([float(line[key]) for line in known] for key in ("step", value))
        lines.append(Line(name, x, y))
    return Chart(title, tuple(lines), x_label="optimiser step", y_label=value)


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
