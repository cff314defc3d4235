"""Measures of maps: by hand, and against pair-by-pair NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from rarescene.evaluation import diversity, kept_shares, map_copies, map_ious
from rarescene.scenes import CHOLECSEG8K, Request


def iou(one: np.ndarray, other: np.ndarray) -> float:
    values = []
    for c in range(3):
        a, b = one == c, other == c
        if (a | b).any():
            values.append((a & b).sum() / (a | b).sum())
    return float(np.mean(values)) if values else np.nan


@pytest.mark.parametrize("seed", range(6))
def test_ious_are_those_of_every_pair(seed: int) -> None:
    random = np.random.default_rng(seed)
    maps, others = (random.choice([0, 1, 2, 255], (count, 5, 4)).astype(np.uint8) for count in (seed, 3))
    maps[:1, 1:], others[:1] = 255, seed % 3  # hardly labelled, and of one class
    expected = np.array([[iou(one, other) for other in others] for one in maps]).reshape(seed, 3)
    np.testing.assert_allclose(map_ious(maps, others, 3), expected, atol=1e-6)


def test_diversity_by_hand() -> None:
    maps = np.zeros((3, 2, 2), np.uint8)
    assert diversity(maps, 2) == 1
    maps[2] = 1
    assert diversity(maps, 2) == pytest.approx(1 / 3)  # one of three pairs is equal, two share nothing
    assert diversity(maps[:1], 2) is None


def test_copies_look_for_the_nearest_map_within_and_between_recordings() -> None:
    training = np.zeros((4, 1, 4), np.uint8)
    training[1, 0, 3] = training[2, 0, 2:] = 1
    training[3] = 2
    found = map_copies(training[2:3], training, ["a", "a", "b", "c"], 3)
    assert found.drawn.tolist() == [1.0]
    near = iou(training[0], training[1])
    np.testing.assert_allclose(found.own, [near, near, np.nan, np.nan])
    np.testing.assert_allclose(
        found.other,
        [iou(training[0], training[2]), iou(training[1], training[2])] * 1
        + [iou(training[2], training[1]), 0],
    )
    assert found.to_dict()["drawn"] == {"median": 1.0, "highest": 1.0}
    alone = map_copies(training[:1], training[:2], ["a", "a"], 3)
    assert alone.to_dict()["other"] is None


def test_shares_of_what_is_kept_by_hand() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[:3, :3] = 5
    asked = ("grasper: one, upper left", "grasper: two, upper left", "grasper; liver", "grasper: one, centre")
    reports = [Request.parse(text, CHOLECSEG8K).kept_by(mask, CHOLECSEG8K) for text in asked]
    shares = kept_shares(reports)
    grasper, liver = shares[5], shares[2]
    assert list(shares) == [2, 5]
    assert (grasper.asked, grasper.present, grasper.kept) == (4, 1.0, 0.5)
    assert grasper.quantity == pytest.approx(2 / 3)
    assert grasper.place == pytest.approx(2 / 3)
    assert (liver.asked, liver.present, liver.quantity, liver.place, liver.kept) == (1, 0.0, None, None, 0.0)
