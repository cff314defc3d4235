from __future__ import annotations

import pytest

from rarescene.evaluation import Interval
from rarescene.reports import formatting as words


@pytest.mark.parametrize(
    ("value", "text"), [(0.3125, "31.2"), (1.0, "100.0"), (0.0, "0.0"), (None, "absent")]
)
def test_scores_are_in_per_cent(value: float | None, text: str) -> None:
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.086, "8.6 %"), (0.0024, "0.24 %"), (0.0, "0 %"), (0.00001, "<0.01 %"), (1.0, "100.0 %"), (None, "–")],
)
def test_small_shares_keep_their_digits(value: float | None, text: str) -> None:
    assert words.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.042, "+4.2"), (-0.042, "−4.2"), (0.0, "0.0"), (-0.0001, "0.0"), (None, "–")]
)
def test_differences_carry_a_sign_unless_they_round_to_nothing(value: float | None, text: str) -> None:
    assert words.signed(value) == text


def test_intervals_need_both_bounds() -> None:
    assert words.interval(Interval(0.25, 0.381)) == "[25.0, 38.1]"
    assert words.interval(None) == ""
    assert words.signed_interval(Interval(-0.012, 0.075)) == "[−1.2, +7.5]"
    assert words.signed_interval(None) == ""
    assert words.with_interval(0.3, Interval(0.25, 0.381)) == "30.0 [25.0, 38.1]"
    assert words.with_interval(None, None, "–") == "–"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "<0.001"), (0.031, "0.031"), (1.0, "1.000"), (None, "–")]
)
def test_small_p_values_are_bounds(value: float | None, text: str) -> None:
    assert words.p_value(value) == text


def test_counts_and_lists_read_as_english() -> None:
    assert words.count(1, "frame") == "1 frame"
    assert words.count(12480, "frame") == "12,480 frames"
    assert words.listing(["a"]) == "a"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.listing([]) == ""
