"""Which synthetic pairs stay, and why the others go: a decision over scores that were measured elsewhere.

Some pairs are dropped for what they are (a copy, a broken request, a score below a floor). The rest are
ranked, and the best of them stay. They are ranked apart: each pair belongs to the rarest of the rare classes
that its mask shows, and pairs without any to a part of their own. So a class that the judging segmenter
hardly knows loses no more of its pairs than any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from rarescene.foundation.configs import Range, Seed, Settings, Share
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.seeds import derive_seed

Reason = Literal["kept", "copy", "request", "agreement", "confidence", "rank"]

_NEEDS = {
    "agreement": "Give --segmenter, a segmenter trained on real scenes.",
    "confidence": "Only pairs whose maps were generated carry a confidence; rank by something else.",
    "copy": "Copies are told by at least two training recordings; leave --drop-copies out.",
    "request": "Only pairs that carry a request can be held to it; leave --require-request out.",
}


@dataclass(frozen=True)
class Decision:
    """What becomes of one pair.

    Attributes:
        reason: "kept", or why it is dropped.
        part: the rare class among whose pairs it was ranked, or None for those that show none.
        rank: 1 for the best of its part; dropped pairs have a rank as well.
        value: what it was ranked by; larger is better.
    """

    reason: Reason
    part: int | None
    rank: int
    value: float

    @property
    def kept(self) -> bool:
        """Whether the pair stays."""
        return self.reason == "kept"


def choose_pairs(
    scores: Mapping[str, np.ndarray], shown: np.ndarray, rare: Sequence[int], config: CurationConfig
) -> list[Decision]:
    """Decide on each of N pairs.

    Of the n pairs of a part that were not dropped for another reason the best ⌈keep · n⌉ stay, so that a
    larger `keep` keeps the same pairs and more.

    Args:
        scores: float `(N,)` by name, NaN where a pair has none: `agreement`, `rare_agreement`,
            `context_agreement`, `confidence`, `copy` (1 for a copy), `request_present` (share of the classes
            asked for) and `request_kept` (1 if all is as asked). Only what `config` needs is looked at.
        shown: bool `(N, C)`: which classes each mask shows.
        rare: ids of the rare classes.
        config: what is kept.

    Raises:
        ConfigError: a score that decides is missing for a pair.
    """
    count = len(shown)
    reasons = _dropped(scores, count, config)
    values = _values(scores, count, config)
    decisions: list[Decision] = [Decision("rank", None, 0, 0.0)] * count
    for part, members in _parts(shown, rare):
        # Best first; equals in the order of the set. NaN, a mask without a labelled pixel, comes last.
        ranked = members[np.argsort(-np.nan_to_num(values[members], nan=-np.inf), kind="stable")]
        left = sum(reasons[pair] == "kept" for pair in members)
        places = math.ceil(config.keep * left - 1e-9)  # 0.07 · 100 is 7.000000000000001
        for rank, pair in enumerate(ranked, start=1):
            reason = reasons[pair]
            if reason == "kept":
                reason, places = ("kept", places - 1) if places else ("rank", 0)
            decisions[pair] = Decision(reason, part, rank, float(values[pair]))
    return decisions


def _parts(shown: np.ndarray, rare: Sequence[int]) -> list[tuple[int | None, np.ndarray]]:
    """Return the pairs of each part, `(n,)`: a pair belongs to its class that fewest pairs show."""
    by_frequency = sorted(rare, key=lambda entry: (int(shown[:, entry].sum()), entry))
    free = np.ones(len(shown), bool)
    parts: list[tuple[int | None, np.ndarray]] = []
    for class_id in by_frequency:
        parts.append((class_id, np.flatnonzero(free & shown[:, class_id])))
        free &= ~shown[:, class_id]
    return [*parts, (None, np.flatnonzero(free))]


def _dropped(scores: Mapping[str, np.ndarray], count: int, config: CurationConfig) -> list[Reason]:
    """Return, for each pair, the first reason to drop it whatever its rank, or "kept"."""
    reasons: list[Reason] = ["kept"] * count

    def drop(reason: Reason, which: np.ndarray) -> None:
        for pair in np.flatnonzero(which):
            reasons[pair] = reason if reasons[pair] == "kept" else reasons[pair]

    if config.drop_copies:
        drop("copy", _known(scores, "copy", count) == 1)
    if config.require_request != "no":
        drop("request", _known(scores, f"request_{config.require_request}", count) < 1)
    if config.min_agreement is not None:
        drop("agreement", _known(scores, "agreement", count) < config.min_agreement)
    if config.min_confidence is not None:
        drop("confidence", _known(scores, "confidence", count) < config.min_confidence)
    return reasons


def _values(scores: Mapping[str, np.ndarray], count: int, config: CurationConfig) -> np.ndarray:
    """Return what pairs are ranked by, `(N,)`."""
    if config.by == "random":
        return np.random.default_rng(derive_seed(config.seed, "curation")).random(count)
    if config.by == "confidence":
        return _known(scores, "confidence", count)
    everywhere = _known(scores, "agreement", count)
    # A mask may show no rare class, or nothing else; it is then ranked by all that it shows.
    return (
        everywhere
        if config.by == "agreement"
        else np.where(np.isnan(scores[config.by]), everywhere, scores[config.by])
    )


def _known(scores: Mapping[str, np.ndarray], name: str, count: int) -> np.ndarray:
    """Return a score that every pair must have; agreement may be NaN, where a mask is all unlabelled."""
    values = scores.get(name, np.full(count, np.nan))
    missing = int(np.isnan(values).sum())
    if missing == count > 0 or (missing and name != "agreement"):
        raise ConfigError(
            f"{missing} of {count} pairs have no {name.replace('_', ' ')}", _NEEDS[name.partition("_")[0]]
        )
    return values


RankedBy = Literal["agreement", "rare_agreement", "context_agreement", "confidence", "random"]


@dataclass(frozen=True)
class CurationConfig(Settings):
    """Which synthetic pairs stay.

    A real-trained segmenter knows rare classes least, so low agreement there may mean a good, hard scene as
    well as a bad one. Pairs of a rare class are therefore ranked among themselves, and of each rare class the
    same share is kept, whatever its agreement.

    Attributes:
        keep: the share of the pairs that is kept, of each rare class and of the others; above 0, at most 1.
            It is taken of those that no other option drops.
        by: what pairs are ranked by: "agreement" over all classes of the mask, "rare_agreement" over its
            rare classes, "context_agreement" over its other classes, "confidence" of the map generator, or
            "random", which is what a curation has to beat.
        min_agreement: pairs whose agreement is lower are dropped, however many there are.
        min_confidence: likewise their mean confidence.
        drop_copies: drop copies of training frames.
        require_request: drop pairs whose mask lacks a class that was asked for ("present"), or has it in
            another number or place ("kept").
        seed: decides the order of "random".
    """

    keep: Annotated[float, Range(above=0, most=1)] = 0.8
    by: RankedBy = "agreement"
    min_agreement: Share | None = None
    min_confidence: Share | None = None
    drop_copies: bool = False
    require_request: Literal["no", "present", "kept"] = "no"
    seed: Seed = 0
