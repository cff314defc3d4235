"""Bars: their lengths, their gaps, and what is written where nothing was measured."""

from __future__ import annotations

import numpy as np
import pytest

from rarescene.evaluation import Interval
from rarescene.reports import Bars, bars_picture

BLUE = (0x00, 0x72, 0xB2)
ORANGE = (0xD5, 0x5E, 0x00)


def lengths(picture: np.ndarray, colour: tuple[int, int, int]) -> list[int]:
    """Return the lengths of the bars of one colour from the top, without the mark in the legend."""
    found = np.abs(picture.astype(int) - colour).max(axis=-1) < 8
    rows = found.sum(axis=1)
    starts = np.flatnonzero((rows[1:] > 0) & (rows[:-1] == 0)) + 1
    return [int(rows[start : start + 8].max()) for start in starts]


def test_lengths_are_in_proportion() -> None:
    values = (0.2, 0.4, 0.8)
    picture = bars_picture("IoU", ["a", "b", "c"], [Bars("mean", values)], x_label="IoU")
    first, second, third = lengths(picture, BLUE)
    assert second == pytest.approx(2 * first, abs=2)
    assert third == pytest.approx(4 * first, abs=4)


def test_a_power_of_ten_is_a_step() -> None:
    values = (100.0, 1_000.0, 10_000.0)
    picture = bars_picture("size", ["a", "b", "c"], [Bars("n", values)], x_label="n", logarithmic=True)
    first, second, third = lengths(picture, BLUE)
    assert third - second == pytest.approx(second - first, abs=2)


def test_intervals_reach_beyond_their_bars_and_a_missing_value_has_no_bar() -> None:
    bars = [
        Bars("one", (0.5, None), (Interval(0.4, 0.9), None)),
        Bars("other", (0.5, 0.25)),
    ]
    picture = bars_picture("IoU", ["a", "b"], bars, x_label="IoU")
    *of_one, _ = lengths(picture, BLUE)
    *of_other, _ = lengths(picture, ORANGE)  # the last is the mark in the legend
    assert (len(of_one), len(of_other)) == (1, 2)
    assert of_other[0] == pytest.approx(2 * of_other[1], abs=6)
    plain = bars_picture("IoU", ["a", "b"], [bars[1]], x_label="IoU")
    assert picture.shape[0] > plain.shape[0]


def test_nothing_measured_is_drawn_without_an_error() -> None:
    picture = bars_picture("IoU", ["a"], [Bars("one", (None,))], x_label="IoU", logarithmic=True)
    assert lengths(picture, BLUE) == []
