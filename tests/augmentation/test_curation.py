"""Which pairs stay: the share of each rare class, the reasons, and what a larger share changes."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarescene.augmentation import CurationConfig, Decision, choose_pairs
from rarescene.foundation.errors import ConfigError

NAN = float("nan")


@st.composite
def sets(draw: st.DrawFn) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores and classes of a set; agreement has ties, and holes where a mask is all unlabelled."""
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    agreement = rng.integers(0, 6, count) / 5
    if count > 1:
        agreement[rng.random(count) < 0.1] = NAN
        agreement[0] = 0.5
    rare = np.where(rng.random(count) < 0.3, NAN, rng.random(count))
    scores = {
        "agreement": agreement,
        "rare_agreement": rare,
        "context_agreement": rng.random(count),
        "confidence": rng.random(count),
        "copy": (rng.random(count) < 0.2).astype(float),
        "request_kept": rng.integers(0, 2, count).astype(float),
    }
    return scores, rng.random((count, 4)) < 0.4


def parts(decisions: list[Decision]) -> Counter[int | None]:
    return Counter(decision.part for decision in decisions)


@given(
    made=sets(),
    keep=st.floats(0.01, 1.0),
    by=st.sampled_from(["agreement", "rare_agreement", "context_agreement", "confidence", "random"]),
)
def test_the_share_kept_of_each_class_is_the_one_asked_for(made: Any, keep: float, by: Any) -> None:
    scores, shown = made
    decisions = choose_pairs(scores, shown, [2, 3], CurationConfig(keep, by))
    for part, size in parts(decisions).items():
        kept = sum(decision.kept for decision in decisions if decision.part == part)
        assert keep * size - 1e-6 <= kept < keep * size + 1
    for pair, decision in enumerate(decisions):
        rare = [index for index in (2, 3) if shown[pair, index]]
        rarest = min(rare, key=lambda index: (shown[:, index].sum(), index), default=None)
        assert decision.part == rarest


@given(made=sets(), keeps=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), filters=st.booleans())
def test_a_larger_share_keeps_the_same_pairs_and_more(
    made: Any, keeps: tuple[float, float], filters: bool
) -> None:
    scores, shown = made
    fewer, more = (
        {
            pair
            for pair, decision in enumerate(
                choose_pairs(
                    scores,
                    shown,
                    [2, 3],
                    CurationConfig(keep, drop_copies=filters, require_request="kept" if filters else "no"),
                )
            )
            if decision.kept
        }
        for keep in sorted(keeps)
    )
    assert fewer <= more


@given(made=sets())
def test_no_pair_of_a_part_is_kept_before_a_better_one(made: Any) -> None:
    scores, shown = made
    decisions = choose_pairs(scores, shown, [3], CurationConfig(0.5))
    for part in parts(decisions):
        members = [decision for decision in decisions if decision.part == part]
        values = [math.inf if math.isnan(one.value) else -one.value for one in members]
        ranks = [one.rank for one in members]
        assert sorted(ranks) == list(range(1, len(members) + 1))
        assert [values[place] for place in np.argsort(ranks)] == sorted(values)
        kept = [one.rank for one in members if one.kept]
        assert kept == [] or max(kept) == len(kept)


def test_a_class_that_the_segmenter_never_finds_keeps_its_share() -> None:
    agreement = np.array([0.9] * 10 + [0.1] * 10)  # the last ten show the rare class, and all look bad
    shown = np.zeros((20, 2), bool)
    shown[10:, 1] = True
    decisions = choose_pairs({"agreement": agreement}, shown, [1], CurationConfig(0.8))
    assert [decision.kept for decision in decisions] == [*[True] * 8, False, False] * 2


def test_each_reason_is_told_and_the_share_is_that_of_the_pairs_left() -> None:
    scores = {
        "agreement": np.array([0.9, 0.8, 0.7, 0.6, 0.1]),
        "copy": np.array([1.0, 0.0, 0.0, 0.0, 0.0]),
        "request_present": np.array([1.0, 0.5, 1.0, 1.0, 1.0]),
        "request_kept": np.array([0.0, 0.0, 1.0, 1.0, 1.0]),
        "confidence": np.array([0.9, 0.9, 0.2, 0.9, 0.9]),
    }
    shown = np.zeros((5, 1), bool)

    def reasons(**options: Any) -> list[str]:
        return [one.reason for one in choose_pairs(scores, shown, [], CurationConfig(**options))]

    assert reasons(keep=0.6) == ["kept", "kept", "kept", "rank", "rank"]
    assert reasons(keep=0.5, drop_copies=True) == ["copy", "kept", "kept", "rank", "rank"]
    assert reasons(keep=1.0, require_request="present") == ["kept", "request", "kept", "kept", "kept"]
    assert reasons(keep=1.0, require_request="kept") == ["request", "request", "kept", "kept", "kept"]
    assert reasons(keep=1.0, min_agreement=0.6) == ["kept", "kept", "kept", "kept", "agreement"]
    assert reasons(keep=1.0, min_confidence=0.5) == ["kept", "kept", "confidence", "kept", "kept"]
    everything = reasons(
        keep=0.4, drop_copies=True, require_request="present", min_confidence=0.5, min_agreement=0.5
    )
    assert everything == ["copy", "request", "confidence", "kept", "agreement"]


def test_chance_depends_on_the_seed_alone() -> None:
    shown = np.zeros((30, 1), bool)
    chosen = [
        [one.kept for one in choose_pairs({}, shown, [], CurationConfig(0.5, "random", seed=seed))]
        for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert sum(chosen[0]) == sum(chosen[2]) == 15


@pytest.mark.parametrize(
    ("scores", "options", "remedy"),
    [
        ({}, {}, "--segmenter"),
        ({"agreement": np.array([NAN, NAN])}, {}, "--segmenter"),
        ({"confidence": np.array([0.5, NAN])}, {"by": "confidence"}, "maps were generated"),
        ({"copy": np.array([NAN, NAN])}, {"by": "random", "drop_copies": True}, "two training recordings"),
        (
            {"request_kept": np.array([1.0, NAN])},
            {"by": "random", "require_request": "kept"},
            "--require-request",
        ),
    ],
)
def test_a_score_that_decides_must_be_there(
    scores: dict[str, np.ndarray], options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ConfigError) as told:
        choose_pairs(scores, np.zeros((2, 1), bool), [], CurationConfig(**options))
    assert remedy in told.value.remedy


@pytest.mark.parametrize("options", [{"keep": 0.0}, {"keep": 1.5}, {"min_agreement": 2.0}])
def test_what_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="is"):
        CurationConfig(**options)  # type: ignore[arg-type]
