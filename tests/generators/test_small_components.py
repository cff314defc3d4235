"""Specks: by hand, and against a slow second implementation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from rarescene.generators import remove_specks

MASKS = hnp.arrays(np.uint8, st.tuples(st.integers(2, 14), st.integers(2, 14)), elements=st.integers(0, 3))
EIGHT = np.ones((3, 3))


def pieces(mask: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return class and region of every piece."""
    found = []
    for class_id in np.unique(mask):
        labels, count = ndimage.label(mask == class_id, EIGHT)
        found += [(int(class_id), labels == index) for index in range(1, count + 1)]
    return found


def slow(mask: np.ndarray, share: float, keep: tuple[int, ...]) -> np.ndarray:
    """Piece by piece, in rounds: specks beside settled pieces first."""
    limit, known = share * mask.size, pieces(mask)
    largest = {c: max((region.sum() for d, region in known if d == c), default=0) for c in keep}
    spared: set[int] = set()
    specks = []
    for class_id, region in known:
        first_largest = class_id in keep and class_id not in spared and region.sum() == largest[class_id]
        if first_largest:
            spared.add(class_id)
        if region.sum() < limit and not first_largest:
            specks.append(region)
    result = mask.copy()
    if len(specks) == len(known):
        return result
    while specks:
        waiting = np.any(specks, axis=0)
        settled = []
        for region in specks:
            votes: Counter[int] = Counter()
            for y, x in np.argwhere(region):
                for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and not waiting[v, u]:
                        votes[int(result[v, u])] += 1
            if votes:
                most = max(votes.values())
                settled.append((region, min(c for c, number in votes.items() if number == most)))
        if not settled:
            break
        for region, class_id in settled:
            result[region] = class_id
        specks = [region for region in specks if not any(region is done for done, _ in settled)]
    return result


@given(MASKS, st.sampled_from([0.0, 0.02, 0.1, 0.5]), st.sets(st.integers(0, 3)).map(tuple))
def test_like_the_slow_one(mask: np.ndarray, share: float, keep: tuple[int, ...]) -> None:
    assert np.array_equal(remove_specks(mask, share, keep), slow(mask, share, keep))


@given(MASKS, st.sampled_from([0.02, 0.1, 0.5]))
def test_what_was_asked_for_stays(mask: np.ndarray, share: float) -> None:
    asked = tuple(np.unique(mask).tolist())
    assert set(np.unique(remove_specks(mask, share, asked))) == set(asked)


def test_by_hand() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[:, 5:] = 1
    mask[2, 2] = 2  # within class 0
    mask[7, 7] = mask[8, 8] = 3  # one piece over a corner, within class 1
    clean = remove_specks(mask, 0.03)
    expected = np.zeros((10, 10), np.uint8)
    expected[:, 5:] = 1
    assert np.array_equal(clean, expected)
    assert (remove_specks(mask, 0.03, keep=(2,)) == 2).sum() == 1
    assert np.array_equal(remove_specks(mask, 0.0), mask)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_map_of_one_class_stays(share: float) -> None:
    mask = np.full((4, 6), 7, np.uint8)
    assert np.array_equal(remove_specks(mask, share), mask)
