"""Comparisons of strategies as tables, and docs/does-it-help.md, with a line for each: `page.py` writes both."""

from __future__ import annotations

from typing import Any

from harness import RESULTS

from rarescene.foundation.files import read_json

COMPARISONS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "Rare classes put into real frames, a U-Net that has learned its own frames": (
        "evidence-phantom",
        ("values", "tables", 0, "against", "none"),
    ),
    "The same, with frames of 60 more recordings that nobody has labelled": (
        "evidence-unlabelled",
        ("values", "tables", 0, "against", "none"),
    ),
    "Rare classes put into real frames, in few steps": ("insertions", ("against", "none")),
    "New images for training maps, U-Net": ("strategies", ("comparison",)),
    "New images for training maps and prompted maps, SegFormer": (
        "casdm-table2",
        ("values", "segformer", "iou"),
    ),
    "The same, Mask2Former": ("casdm-table2", ("values", "mask2former", "iou")),
    "GAUDA and its opponents, PHiSeg": ("gauda-table1", ("values", "tested")),
    "GAUDA and its opponents, an ensemble of five U-Nets": ("gauda-table2", ("values", "tested")),
}
"""What was compared → file in benchmarks/results, and where in it the table lies."""

WEAK = 0.2
"""Mean IoU of the rare classes below which a baseline says nothing about them."""

CELLS = "IoU in per cent; in brackets the change and its 95 % interval over recordings."


def does_it_help() -> list[str]:
    """Return the page that answers the one question, with a line a strategy."""
    lines = [
        "# Does it help?",
        "",
        "Every strategy that was measured, against training on the real scenes alone, at equal steps, on test recordings that",
        "neither generators nor segmenters have seen. **All of it on phantom scenes of 64×64**, with generators trained for",
        "minutes to an hour: it says how strategies behave there, and nothing about surgery. This page is made from",
        "`benchmarks/results/` by `python benchmarks/page.py`; [Results](results.md) has each table whole, with its command.",
        "",
        "*Helped*, *harmed*: the 95 % interval over recordings of the change on the rare classes' mean IoU excludes 0.",
        "*Confirmed*: so does a sign-flip test, corrected for all comparisons of that table. Where the baseline has less than",
        f"{100 * WEAK:.0f} points on the rare classes it has hardly learned them, and nothing is concluded.",
    ]
    for title, (name, path) in COMPARISONS.items():
        file = RESULTS / f"{name}.json"
        if not file.is_file():
            continue
        found = read_json(file)
        table = found
        for key in path:
            table = table[key]
        rows = {(row["strategy"], row["measure"]): row for row in table["rows"]}
        baseline, *others = table["strategies"]
        base = rows[baseline, "label mean"], rows[baseline, "rare mean"]
        lines += [
            "",
            f"## {title}",
            "",
            f"{len(table['recordings'])} test recordings, {len(table['seeds'])} seeds. `{baseline}`: "
            f"{100 * base[0]['mean']:.1f} on the mean of all classes, {100 * base[1]['mean']:.1f} on that of the rare ones.",
            "",
            "| strategy | all classes | rare classes | |",
            "| --- | ---: | ---: | --- |",
        ]
        for strategy in others:
            of_all, of_rare = rows[strategy, "label mean"], rows[strategy, "rare mean"]
            word = verdict(of_rare) if base[1]["mean"] >= WEAK else "segmenter too weak to say"
            lines.append(f"| {strategy} | {change(of_all)} | {change(of_rare)} | {word} |")
        if "on_training_frames" in found:
            lines += ["", *learned(found["on_training_frames"])]
        if name.startswith("evidence"):
            own = found["values"]["tables"][0]["own_training_frames"]
            told = ", ".join(f"{arm} {100 * scores['rare mean']:.1f}" for arm, scores in own.items())
            lines += ["", f"On their own training frames the rare classes' mean is: {told}."]
    return lines


def learned(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return what segmenters score on the frames that they were trained on, and what that means."""
    names = list(next(iter(found.values())))
    rows = [
        f"| {arm} | {' | '.join(' '.join(f'{100 * one:.0f}' for one in scores[name]) for name in names)} |"
        for arm, scores in found.items()
    ]
    return [
        "IoU on their own training frames, a number a seed:",
        "",
        f"| | {' | '.join(names)} |",
        "| --- |" + " --- |" * len(names),
        *rows,
        "",
        "Where the real scenes alone have not taught a class even there, a gain says that the added scenes teach it in as many",
        "steps. It does not say that a longer training on the real scenes would not.",
    ]


def change(row: dict[str, Any]) -> str:
    """Return a change and its interval, in points of IoU."""
    bounds = row["difference_interval"]
    return f"{100 * row['difference']:+.1f} ({100 * bounds['low']:+.1f} to {100 * bounds['high']:+.1f})"


def verdict(row: dict[str, Any]) -> str:
    """Say what a change means."""
    bounds = row["difference_interval"]
    if bounds["low"] <= 0 <= bounds["high"]:
        return "not shown"
    word = "helped" if bounds["low"] > 0 else "harmed"
    return f"**{word}**" + (", confirmed" if row["p_holm"] is not None and row["p_holm"] < 0.05 else "")


def compared(table: dict[str, Any]) -> list[str]:
    """Return a table of strategies against a baseline, and what it means."""
    rows = {(row["strategy"], row["measure"]): row for row in table["rows"]}
    baseline, *others = table["strategies"]
    lines = [f"| | {baseline} | {' | '.join(others)} |", "| --- | --- |" + " --- |" * len(others)]
    for measure in dict.fromkeys(measure for _, measure in rows):
        cells = []
        for strategy in table["strategies"]:
            row = rows[strategy, measure]
            bounds = row["difference_interval"]
            change = (
                ""
                if bounds is None
                else f" ({100 * row['difference']:+.1f}, {100 * bounds['low']:+.1f} to {100 * bounds['high']:+.1f})"
            )
            cells.append("absent" if row["mean"] is None else f"{100 * row['mean']:.1f}{change}")
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return [*lines, "", *(f"- {words}" for words in (*table["conclusions"], *table["notes"]))]
