from __future__ import annotations

from dataclasses import replace

from rarescene.reports import PHANTOM_WARNING, Origins, Report, data_card, model_card

SOURCE = Origins(
    commands=("rarescene train casdm --data phantom: --out RUN",),
    data="phantom",
    licence="Apache-2.0",
    train=("video01", "video_02"),
    seeds=(0,),
    commit="abc123",
    versions={"torch": "2.13.0"},
)


def rows(card: str, head: str) -> list[list[str]]:
    part = card.split(f"## {head}\n\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines()]


def test_a_model_card_says_what_was_seen_and_how_it_was_made(report: Report) -> None:
    card = model_card(
        "tiny", "CASDM image generator", "Small.", SOURCE, config={"steps": 100}, parameters=2_500_000
    )
    assert "2 recordings (video01, video\\_02)" in card
    assert "```\nrarescene train casdm --data phantom: --out RUN\n```" in card
    assert "Apache-2.0" in card
    assert "2,500,000" in card
    assert rows(card, "Configuration")[-1] == ["steps", "100"]
    assert "one seed: its scores are an illustration" in card
    assert "one seed" not in model_card("m", "k", "s", replace(SOURCE, seeds=(0, 1, 2)))


def test_the_scores_of_a_segmenter_stand_in_a_table(report: Report) -> None:
    table = rows(model_card("m", "k", "s", SOURCE, scores=report.runs[0]), "Scores on held-out recordings")
    assert {len(row) for row in table} == {4}
    assert table[2] == ["liver", "80.0 [70.0, 90.0]", "90.0", "30 frames, 6 recordings"]
    assert table[4][1] == "absent"
    assert table[-1][0] == "sample mean"


def test_phantoms_are_called_phantoms_before_anything_else() -> None:
    card = model_card("m", "k", "s", SOURCE, phantom=True)
    assert card.index(PHANTOM_WARNING) < card.index("## ")
    assert "knows nothing of real surgery" in card
    assert PHANTOM_WARNING not in model_card("m", "k", "s", SOURCE)


def test_a_data_card_counts_pairs_and_names_what_was_seen() -> None:
    card = data_card(
        "set",
        pairs=500,
        size=(64, 80),
        generator="CASDM",
        masks="training maps",
        classes={"cystic duct": 250, "a|b": 1},
        source=SOURCE,
        phantom=True,
    )
    assert "**500 synthetic pairs** of image and mask, 80×64 pixels" in card
    assert rows(card, "Classes")[2:] == [["cystic duct", "250"], ["a\\|b", "1"]]
    assert "video01" in card
    assert "not filtered" in card
    assert PHANTOM_WARNING in card


def test_names_cannot_break_the_card() -> None:
    card = model_card("a\n# b <script> [c](d)", "k", "s", SOURCE)
    assert card.splitlines()[0] == "# a \\# b \\<script\\> [c\\](d)"
