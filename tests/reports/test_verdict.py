from __future__ import annotations

import pytest

from rarescene.evaluation import Comparison
from rarescene.reports import Verdict, verdict_on

from .conftest import comparison, row


def judge(change: Comparison, seeds: int = 3, recordings: int = 8, equal_steps: bool = True) -> Verdict:
    table = comparison(change, seeds=seeds, recordings=recordings)
    return verdict_on(table, "offline", equal_steps=equal_steps)


@pytest.mark.parametrize(
    ("mean", "low", "high", "tone", "words"),
    [
        (0.05, 0.01, 0.09, "gain", "+5.0 points of IoU against none (95 % interval +1.0 to +9.0): a gain"),
        (0.05, 0.0, 0.09, "open", "The interval includes 0, so a gain is not shown"),
        (0.05, -0.02, 0.09, "open", "The interval includes 0, so a gain is not shown"),
        (0.0, -0.02, 0.02, "open", "No gain was measured"),
        (-0.03, -0.05, 0.02, "open", "No gain was measured"),
        (-0.03, -0.05, 0.0, "open", "No gain was measured"),
        (-0.03, -0.05, -0.01, "loss", "did not help"),
    ],
)
def test_the_interval_decides(mean: float, low: float, high: float, tone: str, words: str) -> None:
    judged = judge(row("label mean", mean, low, high))
    assert judged.tone == tone
    assert words in judged.sentence


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_claim_nothing(sign: int, seeds: int) -> None:
    low, high = sorted((sign * 0.01, sign * 0.09))
    judged = judge(row("label mean", sign * 0.05, low, high), seeds=seeds)
    assert judged.tone == "open"
    assert judged.word == "illustration only"
    assert "seed" in judged.caveats[0]


def test_without_an_interval_nothing_is_claimed() -> None:
    judged = judge(row("label mean", 0.3), recordings=1)
    assert judged.tone == "open"
    assert "No interval" in judged.sentence
    assert any("One test recording" in caveat for caveat in judged.caveats)


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    judged = judge(row("label mean", None, note="no test frame shows it"))
    assert judged.tone == "missing"
    assert "no test frame shows it" in judged.sentence


def test_the_verdict_may_be_about_another_measure_than_the_headline() -> None:
    table = comparison(row("label mean", -0.05, -0.09, -0.01), row("blood", 0.05, 0.01, 0.09))
    assert verdict_on(table, "offline").tone == "loss"
    assert verdict_on(table, "offline", measure="blood").tone == "gain"


def test_an_unfair_comparison_is_called_so() -> None:
    caveats = judge(row("label mean", 0.1, 0.05, 0.2), equal_steps=False).caveats
    assert any("not fair" in caveat for caveat in caveats)


@pytest.mark.parametrize(("recordings", "expected"), [(5, True), (6, False)])
def test_few_recordings_are_mentioned_below_six(recordings: int, expected: bool) -> None:
    caveats = judge(row("label mean", 0.1, 0.05, 0.2), recordings=recordings).caveats
    assert any("too few for a p-value" in caveat for caveat in caveats) is expected
