"""Which classes are asked for, and that none waits for ever."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarescene.augmentation import ClassSelection
from rarescene.foundation.errors import ConfigError


def ids(choices: list[Any]) -> list[int]:
    return [choice.class_id for choice in choices]


def test_the_first_refresh_takes_the_k_most_uncertain() -> None:
    turns = ClassSelection(range(6), 3, 10)
    choices = turns.choose([0.1, 0.5, None, 0.4, 0.2, 0.3])
    assert ids(choices) == [1, 3, 5]
    assert {choice.why for choice in choices} == {"uncertain"}


def test_the_uncertain_come_more_often() -> None:
    turns = ClassSelection(range(6), 2, 10)
    values = [0.01, 0.02, 0.03, 0.04, 0.5, 0.6]
    had = Counter(c for _ in range(300) for c in ids(turns.choose(values)))
    assert min(had[4], had[5]) > 2 * max(had[c] for c in range(4))


def test_waiting_is_weighed_against_uncertainty() -> None:
    turns = ClassSelection(range(3), 1, 4)
    # 0 is chosen while 1 + 0/4 > 0.3 + w/4, so until w = 3: then 0.3 + 3/4 goes first, and 2 at w = 4 + 1.
    assert [ids(turns.choose([1.0, 0.3, 0.0]))[0] for _ in range(6)] == [0, 0, 0, 1, 0, 2]


@pytest.mark.parametrize("uncertainty", [None, 0.0, 3e-5])  # unseen; or labelled, and missed by all alike
def test_a_class_that_is_never_predicted_gets_its_turn_again_and_again(uncertainty: float | None) -> None:
    turns = ClassSelection(range(13), 5, 10)
    assert turns.bound == 10 + math.ceil(13 / 5)
    values: list[float | None] = [1.0] * 12 + [uncertainty]  # the others are as uncertain as can be
    turns_of_the_last = [step for step in range(60) if 12 in ids(turns.choose(values))]
    waits = np.diff([-1, *turns_of_the_last])
    assert waits.max() <= turns.bound
    assert len(turns_of_the_last) >= 60 // turns.bound


UNCERTAINTY = st.one_of(st.none(), st.floats(0, 1, allow_subnormal=False))


@settings(max_examples=200)
@given(st.data(), st.integers(1, 9), st.integers(1, 6), st.integers(1, 8))
def test_every_class_has_its_turn_within_the_bound(
    data: Any, classes: int, places: int, patience: int
) -> None:
    turns = ClassSelection(range(classes), places, patience)
    refreshes = 3 * turns.bound
    rounds = data.draw(
        st.lists(st.lists(UNCERTAINTY, min_size=classes, max_size=classes), min_size=1, max_size=5)
    )
    taken: list[set[int]] = []
    for refresh in range(refreshes):
        choices = turns.choose(rounds[refresh % len(rounds)])
        assert len(choices) == len(set(ids(choices))) == min(places, classes)
        taken.append(set(ids(choices)))
    for c in range(classes):
        had = [-1, *(refresh for refresh, chosen in enumerate(taken) if c in chosen), refreshes]
        assert max(np.diff(had)) <= turns.bound


def test_the_bound_is_reached() -> None:
    """The last of n classes that are all unknown waits for ⌈n/k⌉ refreshes; patience only adds to that."""
    turns = ClassSelection(range(9), 2, 1)
    taken = [ids(turns.choose([None] * 9)) for _ in range(5)]
    assert taken == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 0]]


def test_it_says_who_came_for_having_waited() -> None:
    turns = ClassSelection(range(3), 1, 1)
    reasons = [(choice.class_id, choice.why) for _ in range(4) for choice in turns.choose([0.9, 0.1, None])]
    assert reasons[0] == (0, "uncertain")
    assert {(1, "waited"), (2, "waited")} <= set(reasons)


def test_a_resumed_one_goes_on() -> None:
    draws = np.random.default_rng(0).random((20, 6))
    draws[:, 4] = np.nan
    values = [[None if math.isnan(v) else float(v) for v in row] for row in draws]
    undisturbed = ClassSelection(range(6), 2, 3)
    for row in values[:7]:
        undisturbed.choose(row)
    resumed = ClassSelection(range(6), 2, 3)
    resumed.load_state_dict(json.loads(json.dumps(undisturbed.state_dict())))
    assert [resumed.choose(row) for row in values[7:]] == [undisturbed.choose(row) for row in values[7:]]


def test_more_places_than_classes_take_all() -> None:
    assert sorted(ids(ClassSelection([1, 4], 5, 3).choose([None] * 5))) == [1, 4]


def test_someone_must_be_left() -> None:
    with pytest.raises(ConfigError, match="every class is excluded"):
        ClassSelection([], 5, 10)
