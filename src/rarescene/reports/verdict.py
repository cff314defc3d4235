"""The one sentence that a reader takes away, written from the interval and never from hope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rarescene.reports.formatting import SCORES, count, signed

if TYPE_CHECKING:
    from rarescene.evaluation import ComparisonTable

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


def verdict_on(
    table: ComparisonTable, strategy: str, *, measure: str = "", equal_steps: bool = True
) -> Verdict:
    """Judge what a strategy changed in a measure, by default the headline of the table.

    A gain or loss is claimed only where the interval over recordings excludes 0 and at least three seeds were
    trained; anything else is said to be open.

    Args:
        measure: a row of the table.
        equal_steps: whether both sides had the same steps, batch size and image size.
    """
    row, caveats = table.of(strategy, measure or table.headline), _caveats(table, equal_steps)
    if row.difference is None:
        why = row.note or "neither run could be scored on it"
        sentence = f"The {row.measure} could not be compared: {why}."
        return Verdict("missing", "not measured", sentence, caveats)
    points = f"{signed(row.difference)} points of {SCORES[table.score]}"
    head = f"{strategy} changed the {row.measure} by {points} against {table.baseline}"
    bounds = row.difference_interval
    if bounds is None:
        why = row.note or "there are too few test recordings for one"
        sentence = f"{head}. No interval: {why}. Nothing is shown beyond these test frames."
        return Verdict("open", "no interval", sentence, caveats)
    head = f"{head} (95 % interval {signed(bounds.low)} to {signed(bounds.high)})"
    gained, lost = bounds.low > 0 and row.difference > 0, bounds.high < 0
    if (gained or lost) and len(table.seeds) < ENOUGH_SEEDS:
        sentence = f"{head}: a {'gain' if gained else 'loss'} in this one trial."
        return Verdict("open", "illustration only", sentence, caveats)
    if gained:
        return Verdict("gain", "measured gain", f"{head}: a gain on these test recordings.", caveats)
    if lost:
        return Verdict("loss", "measured loss", f"{head}: a loss. {strategy} did not help here.", caveats)
    if row.difference <= 0:
        sentence = f"{head}. No gain was measured; the interval includes 0."
        return Verdict("open", "no gain", sentence, caveats)
    sentence = f"{head}. The interval includes 0, so a gain is not shown."
    return Verdict("open", "not told apart", sentence, caveats)


def _caveats(table: ComparisonTable, equal_steps: bool) -> tuple[str, ...]:
    caveats, seeds, recordings = [], len(table.seeds), len(table.recordings)
    if seeds == 1:
        caveats.append("A single seed is an illustration: another seed can give another sign.")
    elif seeds < ENOUGH_SEEDS:
        caveats.append(f"Only {count(seeds, 'seed')}: at least {ENOUGH_SEEDS} are needed for a claim.")
    if recordings == 1:
        caveats.append("One test recording shows nothing about other patients.")
    elif recordings < 6:
        caveats.append(f"{count(recordings, 'test recording')}: too few for a p-value, and a rough interval.")
    if not equal_steps:
        caveats.append(
            "The two sides were not trained for equal steps and batches, so the comparison is not fair."
        )
    return tuple(caveats)
