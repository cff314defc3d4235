"""Requests to draw from: those of masks, with their frequencies; those of a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import CHOLECSEG8K, Request, RequestPool, read_requests


def pool() -> RequestPool:
    """Three masks: two with liver and one grasper at the left, one with liver and blood."""
    masks = np.full((3, 9, 9), 2, np.uint8)
    masks[:2, 4, 0] = 5
    masks[1, 4, 1] = 5
    masks[2, 4, 4] = 7
    return RequestPool.of_masks(masks, CHOLECSEG8K)


def texts(pool: RequestPool) -> dict[str, int]:
    return {r.to_text(CHOLECSEG8K): n for r, n in zip(pool.requests, pool.counts, strict=True)}


def test_masks_that_show_the_same_count_together() -> None:
    assert texts(pool()) == {
        "liver: one, centre; grasper: one, centre left": 2,
        "liver: one, centre; blood: one, centre": 1,
    }
    assert pool().most == 1


def test_requests_for_a_class_and_of_a_class_alone() -> None:
    assert texts(pool().showing([7])) == {"liver: one, centre; blood: one, centre": 1}
    assert texts(pool().showing([])) == texts(pool())
    assert texts(pool().only(2)) == {"liver: one, centre": 3}
    assert len(pool().only(12)) == 0
    with pytest.raises(DataError, match="no request"):
        pool().showing([12])


def test_requests_are_drawn_with_their_frequencies_and_by_their_index() -> None:
    drawn = [pool().sample(3, index) for index in range(600)]
    assert drawn[17] == pool().sample(3, 17)
    counts = Counter(request.ids for request in drawn)
    assert counts[(2, 5)] / 600 == pytest.approx(2 / 3, abs=0.06)
    assert drawn != [pool().sample(4, index) for index in range(600)]


def test_round_trip() -> None:
    value = json.loads(json.dumps(pool().to_dict(CHOLECSEG8K)))
    assert RequestPool.from_dict(value, CHOLECSEG8K) == pool()


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        None,
        [5],
        [{"request": 1.5, "count": 1}],
        [{"request": "liver", "count": 0}],
        [{"request": "liver"}],
    ],
)
def test_a_damaged_pool_is_refused(damaged: object) -> None:
    with pytest.raises((ConfigError, KeyError, TypeError, ValueError)):
        RequestPool.from_dict({"requests": damaged}, CHOLECSEG8K)


def test_a_file_of_requests(tmp_path: Path) -> None:
    path = tmp_path / "requests.txt"
    path.write_text(
        "# two of mine\n\ncystic duct: one, centre   # small\ntwo graspers in the upper right; liver\n"
    )
    assert read_requests(path, CHOLECSEG8K) == [
        Request.parse("cystic duct: one, centre", CHOLECSEG8K),
        Request.parse("grasper: two, upper right; liver", CHOLECSEG8K),
    ]
    path.write_text("liver\nspleen: one\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_requests(path, CHOLECSEG8K)
    path.write_text("# nothing\n")
    with pytest.raises(DataError, match="no request"):
        read_requests(path, CHOLECSEG8K)
    with pytest.raises(DataError, match="cannot be read"):
        read_requests(tmp_path / "missing.txt", CHOLECSEG8K)
