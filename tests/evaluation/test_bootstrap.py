"""Resampling of recordings against the same thing done by hand, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarescene.evaluation.bootstrap import (
    divide,
    few_recordings_note,
    mean_of_known,
    percentile_interval,
    resample_counts,
    resampled_mean,
    resampled_median,
)
from rarescene.evaluation.config import BootstrapConfig
from rarescene.foundation.errors import ConfigError


def test_each_resample_draws_as_many_recordings_as_there_are_and_the_seed_decides() -> None:
    counts = resample_counts(7, BootstrapConfig(resamples=500, seed=3))
    assert counts.shape == (500, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert np.array_equal(counts, resample_counts(7, BootstrapConfig(resamples=500, seed=3)))
    assert not np.array_equal(counts, resample_counts(7, BootstrapConfig(resamples=500, seed=4)))
    # A recording is missing from a resample with probability (1 - 1/7)^7 = 0.34.
    assert (counts == 0).mean() == pytest.approx((6 / 7) ** 7, abs=0.03)


@settings(max_examples=50)
@given(st.data())
def test_resampled_mean_and_median_equal_those_of_the_repeated_frames(data: st.DataObject) -> None:
    recordings = data.draw(st.integers(1, 4))
    owner = np.array(data.draw(st.lists(st.integers(0, recordings - 1), min_size=1, max_size=9)))
    values = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(owner), max_size=len(owner)))) / 5
    row = st.lists(st.integers(0, 3), min_size=recordings, max_size=recordings)
    draws = np.array(data.draw(st.lists(row, min_size=1, max_size=4)))
    means, medians = resampled_mean(values, owner, draws), resampled_median(values, owner, draws)
    for counts, mean, median in zip(draws, means, medians, strict=True):
        repeated = np.repeat(values, counts[owner])
        if len(repeated):
            assert mean == pytest.approx(repeated.mean())
            assert median == pytest.approx(np.median(repeated))
        else:
            assert np.isnan(mean)
            assert np.isnan(median)


def test_more_resamples_than_fit_one_block_are_all_filled() -> None:
    values, owner = np.arange(6) / 6, np.repeat(np.arange(3), 2)
    draws = resample_counts(3, BootstrapConfig(resamples=700))
    expected = [np.median(np.repeat(values, counts[owner])) for counts in draws]
    np.testing.assert_allclose(resampled_median(values, owner, draws), expected)


def test_interval_holds_the_middle_share_and_leaves_out_what_does_not_exist() -> None:
    values = np.concatenate([np.arange(101) / 100, [np.nan, np.nan]])
    interval = percentile_interval(values, BootstrapConfig(confidence=0.9))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.05, 0.95))
    assert str(interval) == "[0.050, 0.950]"
    assert percentile_interval(np.array([np.nan, np.nan]), BootstrapConfig()) is None


def test_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(size=200)
    draws = resample_counts(200, BootstrapConfig())
    interval = percentile_interval(resampled_mean(values, np.arange(200), draws), BootstrapConfig())
    assert interval is not None
    width = 2 * 1.96 * values.std() / np.sqrt(200)
    assert interval.high - interval.low == pytest.approx(width, rel=0.08)


def test_division_by_zero_and_means_of_nothing_are_marked() -> None:
    np.testing.assert_array_equal(divide(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan])
    rows = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_of_known(rows), [2.0, np.nan])


def test_few_recordings_are_mentioned() -> None:
    assert "One recording" in str(few_recordings_note(1))
    assert "5 recordings" in str(few_recordings_note(5))
    assert few_recordings_note(6) is None


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"confidence": 1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        BootstrapConfig(**wrong)
