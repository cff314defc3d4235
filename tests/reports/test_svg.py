from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from rarescene.evaluation import Interval, MeanOverlap
from rarescene.reports import Chart, Line
from rarescene.reports.charts import log_ticks, moving_mean, nice_ticks
from rarescene.reports.svg import difference_limit, difference_mark, interval_bars, line_plot

from .conftest import row

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def score(iou: float | None, low: float | None = None, high: float | None = None) -> MeanOverlap:
    bounds = None if low is None or high is None else Interval(low, high)
    return MeanOverlap(iou, 0.0, bounds, None)  # type: ignore[arg-type]


def share(value: str | None) -> float:
    assert value is not None
    return float(value.removesuffix("%")) / 100


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]


@pytest.mark.parametrize("maximum", [1.0, 0.5])
def test_a_bar_is_as_long_as_its_score(maximum: float) -> None:
    scores = [score(0.25, 0.125, 0.5), score(0.5), score(0.0)]
    drawn = parsed(interval_bars(scores, ["a", "b", "c"], maximum=maximum))
    widths = [share(bar.get("width")) for bar in drawn.iter(f"{SVG}rect")]
    assert widths == pytest.approx([0.25 / maximum, 0.5 / maximum, 0.0])


def test_whiskers_reach_from_bound_to_bound() -> None:
    drawn = parsed(interval_bars([score(0.25, 0.125, 0.5)], ["a"]))
    whiskers = [line for line in drawn.iter(f"{SVG}line") if line.get("class") == "whisker"]
    span = [line for line in whiskers if line.get("x1") != line.get("x2")]
    assert [(share(line.get("x1")), share(line.get("x2"))) for line in span] == [(0.125, 0.5)]


def test_an_absent_class_has_a_word_and_no_bar() -> None:
    drawn = parsed(interval_bars([score(None), score(0.5)], ["a", "b"]))
    assert len(list(drawn.iter(f"{SVG}rect"))) == 1
    assert [text.text for text in drawn.iter(f"{SVG}text")] == ["absent"]
    assert "a absent" in (drawn.get("aria-label") or "")


def test_bars_do_not_overlap() -> None:
    drawn = parsed(interval_bars([score(0.5)] * 4, list("abcd")))
    tops = [float(bar.get("y", "")) for bar in drawn.iter(f"{SVG}rect")]
    heights = [float(bar.get("height", "")) for bar in drawn.iter(f"{SVG}rect")]
    assert all(top + height < below for top, height, below in zip(tops, heights, tops[1:], strict=False))
    assert tops[-1] + heights[-1] <= float(drawn.get("height", ""))


def test_a_difference_stands_on_its_side_of_zero() -> None:
    drawn = parsed(difference_mark(row("x", 0.05, -0.05, 0.1), limit=0.1))
    (dot,) = drawn.iter(f"{SVG}circle")
    assert share(dot.get("cx")) == pytest.approx(0.75)
    assert dot.get("class") == "dot"
    whisker = next(one for one in drawn.iter(f"{SVG}line") if one.get("class") == "whisker")
    assert (share(whisker.get("x1")), share(whisker.get("x2"))) == pytest.approx((0.25, 1.0))


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(0.01, 0.02, "dot up"), (-0.02, -0.01, "dot down"), (0.0, 0.1, "dot")]
)
def test_a_coloured_dot_means_that_the_interval_excludes_zero(low: float, high: float, kind: str) -> None:
    (dot,) = parsed(difference_mark(row("x", (low + high) / 2, low, high), 0.1)).iter(f"{SVG}circle")
    assert dot.get("class") == kind


def test_the_limit_holds_every_end() -> None:
    assert difference_limit([row("a", 0.03, -0.11, 0.02), row("b", None)]) == 0.2
    assert difference_limit([row("a", 0.004)]) == 0.01
    assert difference_limit([]) == 0.01


def test_a_line_passes_through_its_values() -> None:
    plot = Chart("loss", (Line("a", (0.0, 50.0, 100.0), (0.0, 1.0, 2.0)),))
    drawn = parsed(line_plot(plot, width=460, height=250))
    (path,) = (one for one in drawn.iter(f"{SVG}path") if one.get("class") == "line")
    (x0, y0), (x1, y1), (x2, y2) = points(path.get("d", ""))
    assert (x0, x2) == (52.0, 448.0)
    assert (y0, y2) == (210.0, 10.0)
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2))


def test_a_logarithmic_axis_turns_a_geometric_row_into_a_straight_line() -> None:
    plot = Chart("loss", (Line("a", (0.0, 1.0, 2.0), (1.0, 0.1, 0.01)),), logarithmic=True)
    (path,) = (one for one in parsed(line_plot(plot)).iter(f"{SVG}path") if one.get("class") == "line")
    (_, y0), (_, y1), (_, y2) = points(path.get("d", ""))
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)


def test_values_that_are_not_finite_leave_a_gap() -> None:
    plot = Chart("loss", (Line("a", (0.0, 1.0, 2.0, 3.0), (1.0, 2.0, math.nan, 3.0)),))
    (path,) = (one for one in parsed(line_plot(plot)).iter(f"{SVG}path") if one.get("class") == "line")
    assert path.get("d", "").count("M") == 2
    assert len(points(path.get("d", ""))) == 3


@pytest.mark.parametrize("values", [(), (math.nan,), (0.0,)])
def test_a_plot_without_values_says_so(values: tuple[float, ...]) -> None:
    steps = tuple(float(step) for step in range(len(values)))
    drawn = parsed(line_plot(Chart("loss", (Line("a", steps, values),), logarithmic=True)))
    assert "no values" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_a_single_value_is_drawn_inside() -> None:
    drawn = parsed(line_plot(Chart("loss", (Line("a", (7.0,), (0.3,)),))))
    (path,) = (one for one in drawn.iter(f"{SVG}path") if one.get("class") == "line")
    ((x, y),) = points(path.get("d", ""))
    assert 52 <= x <= 448
    assert 10 <= y <= 210


def test_labels_are_escaped() -> None:
    nasty = '</svg><script>alert("x")</script>'
    plot = Chart(nasty, (Line(nasty, (0.0, 1.0), (1.0, 2.0)),), y_label=nasty, x_label=nasty)
    for text in (
        line_plot(plot),
        interval_bars([score(0.5)], [nasty]),
        difference_mark(row(nasty, 0.1), 0.1),
    ):
        assert "<script" not in text
        assert nasty in "".join(parsed(text).itertext()) + (parsed(text).get("aria-label") or "")


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.13, 0.87), (-3.0, 12000.0), (1e-6, 3e-6), (5.0, 5.0), (0.0, 0.0)]
)
def test_ticks_are_even_and_hold_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert 2 <= len(ticks) <= 9


@pytest.mark.parametrize(("low", "high"), [(0.01, 1.0), (0.013, 0.018), (1e-7, 30.0), (2.0, 2.0), (0.4, 6.0)])
def test_logarithmic_ticks_are_round_and_hold_the_range(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert ticks == sorted(set(ticks))
    assert len(ticks) >= 2
    assert 10 ** ticks[0] <= low * 1.000001
    assert 10 ** ticks[-1] >= high * 0.999999
    assert {f"{10**tick:.0e}"[0] for tick in ticks} <= {"1", "2", "5"}


def test_the_moving_mean_of_a_straight_line_is_the_line() -> None:
    line = [float(value) for value in range(20)]
    assert moving_mean(line, 5)[2:-2] == pytest.approx(line[2:-2])
    assert moving_mean(line, 1) == line


def test_the_moving_mean_leaves_gaps_out() -> None:
    means = moving_mean([1.0, math.nan, 3.0], 3)
    assert means[0] == 1.0
    assert math.isnan(means[1])
    assert means[2] == 3.0
