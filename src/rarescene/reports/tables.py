"""Tables for a terminal of 80 columns. Scores are in per cent, brackets hold intervals over recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rarescene.reports.content import Comparison, Confidence, Estimate, Measure, RunScores
from rarescene.reports.formatting import (
    ABSENT,
    count,
    effect,
    figure,
    interval,
    p_value,
    percent,
    share,
    signed,
    signed_interval,
)
from rarescene.reports.verdict import Verdict

if TYPE_CHECKING:
    from rarescene.scenes import ClassTable, Fault, SceneStatistics

WIDTH = 80
RUNS_ABREAST = 3


def statistics_table(statistics: SceneStatistics, classes: ClassTable) -> RenderableType:
    """Return how often and how large each class is, the rare ones marked, and why they are rare."""
    table = plain_table(f"{count(statistics.frames, 'frame')} of {count(statistics.recordings, 'recording')}")
    table.add_column("class", overflow="fold", ratio=1)
    for head in ("frames", "area where present", "recordings"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for entry in statistics.classes:
        area = share(entry.mean_area) if entry.frames else "–"
        row = (share(entry.share_of_frames), area, str(entry.recordings), "rare" if entry.is_rare else "")
        table.add_row(class_name(entry.name, classes), *row, style="bold" if entry.is_rare else "")
    parts: list[RenderableType] = [table]
    if statistics.unlabelled:
        parts.append(Text(f"unlabelled: {share(statistics.unlabelled)} of the average frame", style="dim"))
    return Group(
        *parts,
        *(Text(f"{entry.name}: {entry.why}", style="dim") for entry in statistics.classes if entry.why),
    )


def overlap_table(
    runs: Sequence[RunScores], classes: ClassTable, *, rare: Sequence[str] = (), score: str = "iou"
) -> RenderableType:
    """Return the IoU (or `score="dice"`) of each class, runs side by side, rare classes first.

    More than three runs do not fit beside each other; the next ones follow underneath.
    """
    word = {"iou": "IoU", "dice": "Dice"}[score]
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    tables = [_overlap(part, classes, rare, score, word) for part in _abreast(runs)]
    return Group(*tables, *(Text(note, style="dim") for note in notes))


def comparison_table(comparisons: Sequence[Comparison]) -> RenderableType:
    """Return what each strategy changed, in points of IoU, with interval, Cohen's d and p."""
    parts: list[RenderableType] = []
    for one in comparisons:
        basis = f"{count(one.seeds, 'seed')}, {count(one.recordings, 'test recording')}"
        table = plain_table(f"{one.candidate} against {one.baseline}: {basis}")
        table.add_column(f"{one.score} in per cent", overflow="fold", ratio=1)
        for head in (one.baseline, one.candidate):
            table.add_column(Text(head), justify="right", overflow="fold", max_width=12)
        for head in ("change", "95 % interval", "d", "p"):
            table.add_column(head, justify="right", no_wrap=True)
        for line in one.differences:
            scores = (percent(line.before, missing="–"), percent(line.after, missing="–"))
            change = (signed(line.mean), signed_interval(line) or "–", effect(line.effect), p_value(line.p))
            table.add_row(Text(line.of), *scores, *change)
        reasons = dict.fromkeys(f"{line.of}: {line.reason}" for line in one.differences if line.reason)
        parts += [table, *(Text(reason, style="dim") for reason in reasons)]
        parts += [Text(one.conclusion)] if one.conclusion else []
    notes = dict.fromkeys(note for one in comparisons for note in one.notes)
    return Group(*parts, *(Text(note, style="dim") for note in notes))


def realism_table(measures: Sequence[Measure], *, title: str = "Synthetic pictures") -> RenderableType:
    """Return the figures about the synthetic pictures beside those of real frames against real frames."""
    table = plain_table(title)
    table.add_column("measure", overflow="fold", ratio=1)
    for head in ("synthetic", "real against real", "better"):
        table.add_column(head, justify="right", no_wrap=True)
    for measure in measures:
        better = "" if measure.better == "neither" else measure.better
        table.add_row(Text(measure.name), figure(measure.value), figure(measure.reference), better)
    return Group(table, *(Text(f"{one.name}: {one.note}", style="dim") for one in measures if one.note))


def faults_table(faults: Sequence[Fault], notes: Sequence[str] = ()) -> RenderableType:
    """Return every fault of a data set with its remedy, then the notes on what is merely unusual."""
    parts: list[RenderableType] = []
    if faults:
        table = plain_table(count(len(faults), "fault"), style="bold red")
        table.add_column("where", overflow="fold", ratio=2)
        table.add_column("what, and what to do", overflow="fold", ratio=3)
        for fault in faults:
            what = Text(fault.what).append(f"\n{fault.remedy}", style="dim")
            table.add_row(Text("" if fault.file is None else str(fault.file)), what)
        parts.append(table)
    else:
        parts.append(Text("No faults.", style="bold green"))
    parts += [Text("note: ", style="bold").append(note, style="not bold") for note in notes]
    return Group(*parts)


def verdict_text(judged: Verdict) -> RenderableType:
    """Return the verdict as it stands at the end of a terminal run."""
    style = {"gain": "bold green", "loss": "bold red", "open": "bold yellow", "missing": "bold yellow"}[
        judged.tone
    ]
    head = Text(f"{judged.word}: ", style=style).append(judged.sentence, style="not bold default")
    return Group(head, *(Text(f"· {caveat}", style="dim") for caveat in judged.caveats))


def _overlap(
    runs: Sequence[RunScores], classes: ClassTable, rare: Sequence[str], score: str, word: str
) -> Table:
    table = plain_table(f"{word} in per cent, with 95 % intervals over test recordings")
    table.add_column("class", overflow="fold", ratio=1)
    for run in runs:
        table.add_column(Text(run.name), justify="right", overflow="fold", max_width=18)
    digits = 1 if len(runs) < RUNS_ABREAST else 0
    lines = {run.name: {entry.name: entry for entry in run.classes} for run in runs}
    for name in rare_first(classes.names, rare):
        known = [lines[run.name].get(name) for run in runs]
        cells = [_score(None if one is None else getattr(one, score), digits) for one in known]
        table.add_row(class_name(name, classes), *cells, style="bold" if name in rare else "")
        if rare and name == rare[-1]:
            table.add_section()
    table.add_section()
    for head, field in (
        ("label mean", "label_mean"),
        ("sample mean", "sample_mean"),
        ("sample median", "sample_median"),
    ):
        table.add_row(head, *(_score(getattr(getattr(run, field), score), digits) for run in runs))
    return table


def rare_first(names: Sequence[str], rare: Sequence[str]) -> list[str]:
    """Return the class names with the rare ones in front, each part in its own order."""
    return [*rare, *(name for name in names if name not in rare)]


def _score(estimate: Estimate | None, digits: int) -> Text:
    if estimate is None or estimate.value is None:
        return Text(ABSENT, style="dim")
    return Text(percent(estimate.value)).append(
        f" {interval(estimate, digits)}".rstrip(), style="dim not bold"
    )


def class_name(name: str, classes: ClassTable) -> Text:
    """Return a class's name behind a square of its colour."""
    red, green, blue = classes.classes[classes.id_of(name)].colour
    return Text("■ ", style=f"rgb({red},{green},{blue})").append(name, style="default")


def plain_table(title: str, style: str = "bold") -> Table:
    """Return an empty table of the full width, its title at the left."""
    return Table(
        title=Text(title, style=style),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        width=WIDTH,
        padding=(0, 1),
        pad_edge=False,
    )


def _abreast(runs: Sequence[RunScores]) -> list[tuple[RunScores, ...]]:
    return [tuple(runs[start : start + RUNS_ABREAST]) for start in range(0, len(runs), RUNS_ABREAST)]


TITLE = "Probabilities in per cent, uncertainty in thousandths"


_MEANS = ("label mean", "sample mean", "sample median", "all pixels")


def read_confidence(metrics: Mapping[str, Any], names: Sequence[str]) -> Confidence | None:
    """Return average precision and calibration error of each class, and a Bayesian segmenter's uncertainty.

    Args:
        metrics: what `rarescene evaluate` wrote; what it lacks is left out.
        names: the classes, in the order of their ids.

    Returns:
        None where the file holds nothing of it, as one of an earlier version.
    """
    columns: list[
        tuple[str, list[str], Mapping[str, str]]
    ] = []  # heading, a cell a class, cells of the means
    if precision := metrics.get("average_precision"):
        means = {name: percent(precision[name.replace(" ", "_")], missing="–") for name in _MEANS[:3]}
        columns.append(
            ("average precision", [percent(one, missing="–") for one in precision["classes"]], means)
        )
    if calibration := metrics.get("calibration"):
        cells = [percent(one, missing="–") for one in calibration["classes"]]
        columns.append(("calibration error", cells, {_MEANS[3]: percent(calibration["error"], missing="–")}))
    for measure, found in metrics.get("uncertainty", {}).items():
        cells = ["–" if value is None else f"{1000 * value:.1f}" for value in found["values"]]
        columns.append((measure.replace("_", " "), cells, {}))
    if not columns:
        return None
    return Confidence(
        headings=tuple(heading for heading, _, _ in columns),
        classes={name: tuple(cells[i] for _, cells, _ in columns) for i, name in enumerate(names)},
        means={name: tuple(means.get(name, "") for _, _, means in columns) for name in _MEANS},
    )


def confidence_table(found: Confidence, classes: ClassTable) -> RenderableType:
    """Return the table of a run for a terminal of 80 columns."""
    table = plain_table(TITLE)
    table.add_column("class", overflow="fold", ratio=1)
    for heading in found.headings:
        table.add_column(Text(heading), justify="right", max_width=11)
    for name, cells in found.classes.items():
        table.add_row(class_name(name, classes), *cells)
    table.add_section()
    for name, cells in found.means.items():
        table.add_row(name, *cells)
    return table
