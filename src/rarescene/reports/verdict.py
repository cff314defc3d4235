"""The one sentence that a reader takes away, written from the interval and never from hope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rarescene.reports.content import Comparison
from rarescene.reports.formatting import count, signed

Tone = Literal["gain", "loss", "open", "missing"]

ENOUGH_SEEDS = 3


@dataclass(frozen=True)
class Verdict:
    """What a comparison shows.

    Attributes:
        tone: `gain` or `loss` where the whole interval lies on one side of 0, `open` where nothing is shown,
            `missing` where nothing could be measured.
        word: two or three words for a badge; the meaning never rests on a colour alone.
        sentence: the result in words, with the interval.
        caveats: what limits it; a single seed stands first.
    """

    tone: Tone
    word: str
    sentence: str
    caveats: tuple[str, ...] = ()


def verdict_on(comparison: Comparison) -> Verdict:
    """Judge the headline difference of a comparison.

    A gain or loss is claimed only where the interval over recordings excludes 0 and at least three seeds were
    trained; anything else is said to be open.
    """
    change, caveats = comparison.headline, _caveats(comparison)
    who, whom, of = comparison.candidate, comparison.baseline, change.of
    if change.mean is None:
        why = change.reason or "neither run could be scored on it"
        return Verdict("missing", "not measured", f"The {of} could not be compared: {why}.", caveats)
    points = signed(change.mean)
    head = f"{who} changed the {of} by {points} points of {comparison.score} against {whom}"
    if change.low is None or change.high is None:
        why = change.reason or "there are too few test recordings for one"
        sentence = f"{head}. No interval: {why}. Nothing is shown beyond these test frames."
        return Verdict("open", "no interval", sentence, caveats)
    bounds = f"95 % interval {signed(change.low)} to {signed(change.high)}"
    if change.low > 0 and change.mean > 0:
        if comparison.seeds < ENOUGH_SEEDS:
            return Verdict(
                "open", "illustration only", f"{head} ({bounds}): a gain in this one trial.", caveats
            )
        return Verdict(
            "gain", "measured gain", f"{head} ({bounds}): a gain on these test recordings.", caveats
        )
    if change.high < 0:
        if comparison.seeds < ENOUGH_SEEDS:
            return Verdict(
                "open", "illustration only", f"{head} ({bounds}): a loss in this one trial.", caveats
            )
        return Verdict(
            "loss", "measured loss", f"{head} ({bounds}): a loss. {who} did not help here.", caveats
        )
    if change.mean <= 0:
        sentence = f"{head} ({bounds}). No gain was measured; the interval includes 0."
        return Verdict("open", "no gain", sentence, caveats)
    sentence = f"{head} ({bounds}). The interval includes 0, so a gain is not shown."
    return Verdict("open", "not told apart", sentence, caveats)


def _caveats(comparison: Comparison) -> tuple[str, ...]:
    caveats = []
    if comparison.seeds == 1:
        caveats.append("A single seed is an illustration: another seed can give another sign.")
    elif comparison.seeds < ENOUGH_SEEDS:
        caveats.append(
            f"Only {count(comparison.seeds, 'seed')}: at least {ENOUGH_SEEDS} are needed for a claim."
        )
    if comparison.recordings == 1:
        caveats.append("One test recording shows nothing about other patients.")
    elif comparison.recordings < 6:
        caveats.append(
            f"{count(comparison.recordings, 'test recording')}: too few for a p-value, and a rough interval."
        )
    if not comparison.equal_steps:
        caveats.append(
            "The two sides were not trained for equal steps and batches, so the comparison is not fair."
        )
    return tuple(caveats)
