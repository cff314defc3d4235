"""Charts as pictures: what is drawn lies where it should, in its colour."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from rarescene.reports import Chart, Cloud, Line, charts_picture
from rarescene.reports.charts import SERIES

NAN = float("nan")


def pixels_of(picture: np.ndarray, series: int, height: int = 270) -> np.ndarray:
    """Return where a chart, without its legend, has the hue of a series: `(N, 2)` of row and column.

    Smoothing mixes the colour with white; a band is much paler than that.
    """
    colour = np.array(ImageColor.getrgb(SERIES[series]), float)
    away, whole = 255.0 - picture[:height], 255.0 - colour
    strength = (away * whole).sum(axis=2) / (whole**2).sum()
    rest = np.abs(away - strength[..., None] * whole).max(axis=2)
    return np.argwhere((strength > 0.35) & (rest < 12))


def test_values_lie_on_their_axis() -> None:
    chart = Chart(
        "", (Line("low", [0, 1], [0.25, 0.25]), Line("high", [0, 1], [0.75, 0.75])), y_limits=(0, 1)
    )
    picture = charts_picture([chart])
    assert picture.dtype == np.uint8
    assert picture.shape == (330, 480, 3)
    low, high = pixels_of(picture, 0)[:, 0], pixels_of(picture, 1)[:, 0]
    # Equal distances on the axis: 0 at the bottom of the plot, 1 at its top.
    top, bottom = 34, 330 - 44 - 17
    assert low.mean() == pytest.approx(bottom - 0.25 * (bottom - top), abs=1.5)
    assert high.mean() == pytest.approx(bottom - 0.75 * (bottom - top), abs=1.5)


def test_a_gap_stays_a_gap_and_few_values_have_marks() -> None:
    whole = charts_picture([Chart("", (Line("", [0, 1, 2, 3], [1, 1, 1, 1]),))])
    gap = charts_picture([Chart("", (Line("", [0, 1, 2, 3], [1, 1, NAN, 1]),))])
    middle = slice(300, 440)
    assert (pixels_of(whole, 0)[:, 1] > 300).sum() > (pixels_of(gap, 0)[:, 1] > 300).sum() > 0
    assert np.ptp(pixels_of(whole, 0)[:, 0]) >= 6  # a mark is taller than the line
    assert not len(pixels_of(gap[:, middle], 0))


def test_a_band_is_paler_than_its_line_and_dashes_leave_room() -> None:
    x, y = list(range(40)), [0.5] * 40
    line = charts_picture([Chart("", (Line("", x, y),), y_limits=(0, 1))])
    band = charts_picture([Chart("", (Line("", x, y, [0.3] * 40, [0.7] * 40),), y_limits=(0, 1))])
    dashed = charts_picture([Chart("", (Line("", x, y, dashed=True),), y_limits=(0, 1))])
    assert (band != line).any(axis=2).sum() > 10_000
    columns = [len(np.unique(pixels_of(picture, 0)[:, 1])) for picture in (dashed, line)]
    assert columns[0] / columns[1] == pytest.approx(0.5, abs=0.1)


def test_charts_stand_in_rows_and_clouds_have_their_colour() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2))
    charts = [Chart("one", (), (Cloud("rare", points, 3),)), Chart("two"), Chart("three")]
    picture = charts_picture(charts, columns=2, width=300, height=200)
    assert picture.shape == (400, 600, 3)
    own, other = picture[:200, :300], picture[:200, 300:]
    # A point is drawn a little transparent.
    assert (own.astype(int).std(axis=2) > 20).sum() > 100
    assert (other.astype(int).std(axis=2) > 20).sum() == 0
