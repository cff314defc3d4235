"""RO and SO in words: on 80 columns, in Markdown, and over guidance scales."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from rarescene.evaluation import BootstrapConfig, CoherenceLine, CoherenceScores, CopyRate, Interval, Share
from rarescene.reports import (
    CoherenceReport,
    Measure,
    SetCoherence,
    coherence_chart,
    coherence_markdown,
    coherence_table,
)

MEASURES = ("label mean", "sample mean", "rare mean", "gastrointestinal tract", "L-hook electrocautery")


def share(value: float) -> Share:
    return Share(value, Interval(value - 0.05, value + 0.05), 0.7, value / 0.7, Interval(0.7, 1.05))


def one(name: str, guidance: float | None, *, so: float | None = 0.5, copied: bool = False) -> SetCoherence:
    line = CoherenceLine("", 0.7, Interval(0.6, 0.8), share(0.6), None if so is None else share(so))
    scores = CoherenceScores(
        tuple(replace(line, measure=measure) for measure in MEASURES),
        "iou", 500, 320, ("video1", "video2"), ("Two recordings only.",), BootstrapConfig(),
    )  # fmt: skip
    rate = CopyRate("features", 0.4 if copied else 0.01, Interval(0.0, 0.02), 0.012, 0.01, copied)
    realism = (Measure("FD-EffNetLite0", 900.0, "lower", 420.0), Measure("MS-SSIM", 0.4, "higher"))
    return SetCoherence(name, guidance, scores, (rate,), realism)


def report(*sets: SetCoherence, swept: bool = False) -> CoherenceReport:
    return CoherenceReport("Coherence", ("A U-Net.",), sets, swept, "rarescene coherence pairs --out out")


def shown(page: CoherenceReport) -> str:
    terminal = Console(file=StringIO(), width=80)
    terminal.print(coherence_table(page))
    return str(terminal.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "page",
    [
        report(one("pairs", None)),
        report(one("pairs", None, so=None)),
        report(one("a set with a long name of its own", 1.0), one("b", 2.0), swept=True),
    ],
)
def test_it_fits_a_terminal(page: CoherenceReport) -> None:
    text = shown(page)
    assert max(map(len, text.splitlines())) <= 80
    assert "60.0" in text  # RO
    assert "85.7" in text  # its share
    assert "real frames" in text
    assert ("50.0" in text) == (page.sets[0].scores.lines[0].so is not None)


def test_every_class_of_a_single_set_is_shown_and_intervals_of_means() -> None:
    text = " ".join(shown(report(one("pairs", None))).split())
    assert "gastrointestinal" in text
    assert text.count("55.0–65.0") == 3  # the three means
    assert "Two recordings only." in text


def test_copies_are_called_out() -> None:
    assert "do not read these two as coherence" not in shown(report(one("pairs", None)))
    text = " ".join(shown(report(one("pairs", None, copied=True), one("others", None))).split())
    assert "pairs: More pairs lie as near" in text


def test_a_note_of_all_sets_is_said_once_and_without_their_names() -> None:
    notes = report(one("a", 1.0), one("b", 2.0, copied=True)).notes()
    assert notes[0] == "Two recordings only."
    assert notes[1].startswith("b: More pairs")
    assert len(notes) == 2


def test_the_page_holds_every_set_with_its_intervals() -> None:
    page = coherence_markdown(report(one("a", 1.0), one("b", 2.0, so=None), swept=True), "coherence.png")
    assert "`rarescene coherence pairs --out out`" in page
    assert "(coherence.png)" in page
    assert "| a | 500 | 60.0 [55.0, 65.0] | 85.7 [70.0, 105.0] | 50.0 [45.0, 55.0] |" in page
    assert "| b | 500 | 60.0 [55.0, 65.0] | 85.7 [70.0, 105.0] | – | – |" in page
    assert "| real frames | 1.2 | 420 | – |" in page
    for line in page.splitlines():
        if line.startswith("| ---"):
            assert line.count("|") in (7, 5)
    assert page.count("**a: IoU in per cent**") == 1


def test_a_chart_is_drawn_of_a_sweep_alone() -> None:
    assert coherence_chart(report(one("a", 1.0), one("b", 2.0))) is None
    both = coherence_chart(report(one("a", 1.0), one("b", 2.0), swept=True))
    turned = coherence_chart(report(one("b", 2.0), one("a", 1.0), swept=True))
    alone = coherence_chart(report(one("a", 1.0, so=None), one("b", 2.0, so=None), swept=True))
    assert both is not None
    assert both.shape[2] == 3
    assert np.array_equal(both, turned)
    assert not np.array_equal(both, alone)


def test_the_figures_are_json() -> None:
    values = report(one("a", None, copied=True)).to_dict()
    assert values["sets"][0]["copied"] is True
    assert values["sets"][0]["scores"]["lines"][0]["ro"]["share"] == pytest.approx(6 / 7)
