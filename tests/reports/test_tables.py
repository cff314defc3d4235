from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from rarescene.reports import (
    Report,
    comparison_table,
    faults_table,
    overlap_table,
    realism_table,
    statistics_table,
    verdict_text,
)
from rarescene.scenes import Fault

NASTY = '<b>"duct" & [red]vein[/red]</b>'


def shown(table: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    return out.getvalue()


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_scores_fit_into_80_columns_and_lose_nothing(report: Report, runs: int) -> None:
    text = shown(overlap_table((report.runs * 2)[:runs], report.classes, rare=report.rare))
    assert text.index("cystic duct") < text.index("liver")
    assert "absent" in text
    assert "80.0 [70" in text
    assert "A note on recordings." in text
    assert text.count("label mean") == (1 if runs <= 3 else 2)


def test_dice_can_be_shown_instead(report: Report) -> None:
    text = shown(overlap_table(report.runs, report.classes, score="dice"))
    assert "Dice in per cent" in text
    assert "90.0 [80.0, 95.0]" in text


def test_differences_carry_sign_interval_effect_and_p(report: Report) -> None:
    assert report.comparison is not None
    text = shown(comparison_table(report.comparison))
    line = next(line for line in text.splitlines() if "rare mean" in line)
    assert line.split()[2:] == ["10.0", "15.0", "+5.0", "[+1.0,", "+9.0]", "+1.10", "0.030"]
    assert "−1.0" in text
    assert "no labels" in text
    assert "Concluded." in text
    assert "A note on seeds." in text


def test_statistics_mark_the_rare_and_say_why(report: Report) -> None:
    assert report.statistics is not None
    text = shown(statistics_table(report.statistics, report.classes))
    assert "960 frames of 1 recording" in text
    line = next(line for line in text.splitlines() if line.lstrip().startswith("■"))
    assert line.split()[-6:] == ["3.1", "%", "1.2", "%", "4", "rare"]
    assert "in 3.1 % of frames" in text


def test_names_are_never_read_as_markup(report: Report) -> None:
    assert squeezed(NASTY) in squeezed(shown(overlap_table(report.runs[:1], report.classes)))
    fault = Fault(Path("/data/[bold]x[/bold].png"), "holds [77]", "Remove [77].")
    text = squeezed(shown(faults_table([fault], ["a [note]"])))
    assert all(words in text for words in ("[bold]x[/bold].png", "holds[77]", "Remove[77].", "a[note]"))


def test_faults_of_one_kind_are_told_together() -> None:
    lossy = [Fault(Path(f"masks/{n}.jpg"), "is a JPEG", "Export it again.") for n in range(4000)]
    ids = [Fault(Path(f"masks/{n}.png"), f"holds ids: {n}", f"Add {n}.") for n in (7, 8)]
    lines = [" ".join(line.split()) for line in shown(faults_table([*ids, *lossy])).splitlines()]
    assert lines[0] == "4,002 faults"
    assert lines[lines.index("4,000 is a JPEG") :] == [
        "4,000 is a JPEG",
        *(f"masks/{n}.jpg" for n in range(3)),
        "and 3,997 more, which --out FILE lists",
        "Export it again.",
        "2 holds ids",
        "masks/7.png: 7",
        "masks/8.png: 8",
        "Add 7.",
        "",
    ]


def test_a_sound_data_set_has_no_faults() -> None:
    assert shown(faults_table([])).strip() == "No faults."


def test_realism_stands_beside_real_frames(report: Report) -> None:
    line = next(line for line in shown(realism_table(report.realism["set"])).splitlines() if "FD-" in line)
    assert line.split() == ["FD-EffNetLite0", "12.5", "3", "lower"]


def test_the_verdict_is_printed_with_its_caveats(report: Report) -> None:
    (judged,) = report.verdicts().values()
    text = " ".join(shown(verdict_text(judged)).split())
    assert f"{judged.word}: {judged.sentence}" in text
