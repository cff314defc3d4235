"""What is particular to one strategy."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarescene.augmentation import Duplicate, DuplicateConfig, NoAugmentation, Offline, OfflineConfig
from rarescene.foundation.errors import CheckpointError, ConfigError

PRESENCE = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0], [1, 1, 1], [0, 1, 0]], bool)


def test_none_adds_nothing() -> None:
    assert list(NoAugmentation().extend([4, 2, 2])) == [4, 2, 2]


def test_duplicate_doubles_the_set_with_frames_that_show_a_target() -> None:
    strategy = Duplicate(DuplicateConfig(), PRESENCE, [2])
    copies = Counter(strategy.extend(range(5))[5:])
    assert set(copies) == {2, 4}
    assert sorted(copies.values()) == [2, 3]


@given(
    count=st.integers(0, 60),
    seed=st.integers(0, 5),
    targets=st.sets(st.integers(0, 2), min_size=1),
    scenes=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True),
)
def test_duplicates_are_exact_in_number_and_even(
    count: int, seed: int, targets: set[int], scenes: list[int]
) -> None:
    strategy = Duplicate(DuplicateConfig(count, seed=seed), PRESENCE, targets)
    candidates = [scene for scene in scenes if PRESENCE[scene, sorted(targets)].any()]
    if count and not candidates:
        with pytest.raises(ConfigError, match="no training scene shows"):
            strategy.extend(scenes)
        return
    extended = list(strategy.extend(scenes))
    copies = Counter(extended[len(scenes) :])
    assert len(extended) == len(scenes) + count
    assert set(copies) <= set(candidates)
    if candidates:
        numbers = [copies[scene] for scene in candidates]
        assert max(numbers) - min(numbers) <= 1


def test_the_seed_moves_the_odd_copies() -> None:
    firsts = {
        Duplicate(DuplicateConfig(1, seed=seed), PRESENCE, [0]).extend(range(5))[5] for seed in range(20)
    }
    assert len(firsts) > 2


def test_offline_is_the_plain_union_by_default() -> None:
    strategy = Offline(OfflineConfig(), range(6, 10))
    extended = strategy.extend([0, 3])
    assert extended[:2] == [0, 3]
    assert sorted(extended[2:]) == [6, 7, 8, 9]
    assert strategy.weights() is None


def test_a_larger_offline_count_contains_the_smaller() -> None:
    lists = [
        Offline(OfflineConfig(count=count, seed=3), range(6, 30)).extend([0])[1:] for count in (0, 5, 12, 24)
    ]
    assert [len(chosen) for chosen in lists] == [0, 5, 12, 24]
    assert all(set(few) < set(many) for few, many in pairwise(lists))
    assert lists[1] != Offline(OfflineConfig(count=5, seed=4), range(6, 30)).extend([0])[1:]


def test_curated_scenes_are_kept_as_they_are_named() -> None:
    assert sorted(Offline(OfflineConfig(), np.array([9, 31, 12])).extend([0])[1:]) == [9, 12, 31]


def test_offline_draws_synthetic_scenes_with_the_probability_asked_for() -> None:
    strategy = Offline(OfflineConfig(probability=0.25), range(100, 130))
    extended = np.array(strategy.extend(range(7)))
    weights = np.array(strategy.weights())
    assert weights.sum() == pytest.approx(1)
    assert weights[extended >= 100].sum() == pytest.approx(0.25)
    assert np.unique(weights[extended < 100]).size == 1


def test_offline_weights_belong_to_a_list() -> None:
    with pytest.raises(RuntimeError, match="extend first"):
        Offline(OfflineConfig(probability=0.5), range(6, 9)).weights()


def test_more_synthetic_scenes_than_there_are_cannot_be_had() -> None:
    with pytest.raises(ConfigError, match="5 synthetic scenes are wanted, but the set has 3"):
        Offline(OfflineConfig(count=5), range(6, 9))


def test_none_drawn_with_a_probability_is_a_contradiction() -> None:
    with pytest.raises(ConfigError, match="no scene is synthetic, and a probability of 1"):
        Offline(OfflineConfig(count=0, probability=1.0), range(6, 9))
    assert Offline(OfflineConfig(count=0, probability=0.0), range(6, 9)).extend([0]) == [0]


@pytest.mark.parametrize(
    "make", [lambda: DuplicateConfig(-1), lambda: OfflineConfig(-1), lambda: OfflineConfig(probability=1.5)]
)
def test_impossible_options_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        make()


def test_a_run_is_not_resumed_with_other_options() -> None:
    state = json.loads(json.dumps(Duplicate(DuplicateConfig(3), PRESENCE, np.array([2, 1])).state_dict()))
    Duplicate(DuplicateConfig(3), PRESENCE, [1, 2]).load_state_dict(state)
    for other in (Duplicate(DuplicateConfig(4), PRESENCE, [1, 2]), NoAugmentation()):
        with pytest.raises(CheckpointError, match="was started with"):
            other.load_state_dict(state)
