"""Agreement of a prediction with a pair's mask, worked by hand and against a slow second way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarescene.evaluation import class_agreement, pair_agreement, pair_iou
from rarescene.foundation.errors import DataError


def test_each_pair_is_scored_by_itself() -> None:
    masks = np.array([[[0, 0], [1, 1]], [[2, 2], [2, 255]], [[255, 255], [255, 255]]])
    found = np.array([[[0, 1], [1, 1]], [[2, 0], [2, 1]], [[0, 1], [2, 0]]])
    iou = pair_iou(found, masks, 3, 255)
    # Pair 0: liver 1 of 2, vein 2 of 3. Pair 1: two of three pixels, and what was invented has no IoU.
    np.testing.assert_allclose(
        iou, [[1 / 2, 2 / 3, np.nan], [np.nan, np.nan, 2 / 3], [np.nan, np.nan, np.nan]]
    )
    np.testing.assert_allclose(pair_agreement(iou), [7 / 12, 2 / 3, np.nan])
    np.testing.assert_allclose(pair_agreement(iou, [1]), [2 / 3, np.nan, np.nan])
    np.testing.assert_allclose(pair_agreement(iou, [0, 2]), [1 / 2, 2 / 3, np.nan])
    np.testing.assert_allclose(class_agreement(iou), [1 / 2, 2 / 3, 2 / 3])


@pytest.mark.parametrize("batch", [1, 3])
@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_it_is_the_iou_of_two_sets_of_pixels(batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.choice(np.array([0, 1, 2, 3, 9]), (batch, 4, 5))
    found = rng.integers(0, 4, masks.shape)
    iou = pair_iou(found, masks, 4, 9)
    for pair in range(batch):
        for index in range(4):
            counted = masks[pair] != 9
            one, other = (masks[pair] == index) & counted, (found[pair] == index) & counted
            expected = (one & other).sum() / (one | other).sum() if one.any() else np.nan
            np.testing.assert_allclose(iou[pair, index], expected)


def test_sizes_must_fit() -> None:
    with pytest.raises(DataError, match="of equal size"):
        pair_iou(np.zeros((1, 2, 2), int), np.zeros((1, 2, 3), int), 2, 255)
