"""Tables for a terminal of 80 columns and for Markdown.

Scores are in per cent, brackets hold intervals over recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rarescene.foundation.configs import config_from
from rarescene.foundation.console import say_once
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.methods import Column
from rarescene.foundation.plugins import method_of, methods
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.formatting import (
    ABSENT,
    SCORES,
    count,
    effect,
    interval,
    number,
    p_value,
    percent,
    share,
    signed,
    signed_interval,
)
from rarescene.reports.verdict import Verdict
from rarescene.scenes.faults import by_kind

if TYPE_CHECKING:
    from rarescene.evaluation import ComparisonTable, Interval, OverlapScores, RunMetrics
    from rarescene.evaluation.confusion import Confusion
    from rarescene.reports.realism import Measure
    from rarescene.scenes import ClassTable, Fault, Recording, SceneStatistics

WIDTH = 80
RUNS_ABREAST = 3
ALL_NAMED, SOME_NAMED = 10, 3  # up to so many faults of a kind all are named, of more so many


@dataclass(frozen=True)
class RunScores:
    """The scores of one run, or of one strategy over several seeds.

    Attributes:
        name: short; it heads a column.
        cell: pixels of the picture that one output cell of the segmenter spans along a side.
        confusion: of all test recordings and seeds, int64 `(C, C)`, rows by label; None where not kept.
    """

    name: str
    scores: OverlapScores
    seeds: Sequence[int] = ()
    cell: float = 1
    confusion: Confusion | None = None

    def support(self, name: str) -> str:
        """Say how much of a class the test shows, and its size in output cells where these are coarse."""
        entry = self.scores.of(name)
        if entry.pixels == 0:
            return "not in the test recordings"
        text = f"{count(entry.frames, 'frame')}, {count(entry.recordings, 'recording')}"
        if self.cell > 1 and entry.frames:
            text += f", {entry.pixels / entry.frames / self.cell**2:.2g} output cells a frame"
        return text


def scores_of_run(name: str, record: RunRecord, metrics: RunMetrics) -> RunScores:
    """Return the column of a scored run, headed by `name`."""
    from rarescene.evaluation.overlap import added_up

    confusion = added_up(metrics.recordings.values())
    return RunScores(name, metrics.scores, (record.seed,), cell_of_run(record), confusion)


def cell_of_run(record: RunRecord) -> float:
    """Return the side of a segmenter's output cell, in pixels of the images that it sees; 1 if not known."""
    if record.kind != "segmenter":
        return 1.0
    method = method_of("segmenters", record.config["segmenter"], record.config.get("package"))
    cell: float = method.cell(config_from(method.config, record.config["model"]))
    return cell


def statistics_table(statistics: SceneStatistics, classes: ClassTable) -> RenderableType:
    """Return how often and how large each class is, the rare ones marked, and why they are rare."""
    title = f"{count(statistics.frames, 'frame')} of {count(statistics.recordings, 'recording')}"
    table = plain_table(title, "class", "frames", "area where present", "recordings")
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


def recordings_table(recordings: Sequence[Recording], most: int = 8) -> RenderableType:
    """Return how many frames each recording has, and its first and last one; of many, the first ones."""
    table = plain_table(count(len(recordings), "recording"))
    table.add_column("recording", overflow="fold", ratio=2)
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("first", overflow="fold", ratio=3)
    table.add_column("last", overflow="fold", ratio=3)
    for one in recordings[:most]:
        table.add_row(Text(one.name), f"{one.frames:,}", Text(one.first), Text(one.last))
    more = len(recordings) - most
    if more <= 0:
        return Group(table)
    sizes = [one.frames for one in recordings]
    told = f"and {more:,} more; they have {min(sizes):,} to {max(sizes):,} frames"
    return Group(table, Text(told, style="dim"))


def overlap_table(
    runs: Sequence[RunScores], classes: ClassTable, *, rare: Sequence[str] = (), score: str = "iou"
) -> RenderableType:
    """Return the IoU (or `score="dice"`) of each class, runs side by side, rare classes first.

    More than three runs do not fit beside each other; the next ones follow underneath.
    """
    notes = dict.fromkeys(note for run in runs for note in run.scores.notes)
    parts = [runs[start : start + RUNS_ABREAST] for start in range(0, len(runs), RUNS_ABREAST)]
    tables = [_overlap(part, classes, rare, score) for part in parts]
    return Group(*tables, *(Text(note, style="dim") for note in notes))


def comparison_table(comparison: ComparisonTable) -> RenderableType:
    """Return what each strategy changed, in points of IoU, with interval, Cohen's d and p."""
    parts: list[RenderableType] = []
    baseline = comparison.baseline
    basis = f"{count(len(comparison.seeds), 'seed')}, {count(len(comparison.recordings), 'test recording')}"
    for strategy, conclusion in zip(comparison.strategies[1:], comparison.conclusions, strict=True):
        table = plain_table(
            f"{strategy} against {baseline}: {basis}", f"{SCORES[comparison.score]} in per cent"
        )
        for head in (baseline, strategy):
            table.add_column(Text(head), justify="right", overflow="fold", max_width=12)
        for head in ("change", "95 % interval", "d", "p"):
            table.add_column(head, justify="right", no_wrap=True)
        rows = comparison.rows_of(strategy)
        for row in rows:
            before = comparison.of(baseline, row.measure).mean
            change = (signed(row.difference), signed_interval(row.difference_interval) or "–")
            table.add_row(
                Text(row.measure), percent(before, missing="–"), percent(row.mean, missing="–"), *change,
                effect(row.effect_size), p_value(row.p_holm),
            )  # fmt: skip
        notes = [Text(f"{row.measure}: {row.note}", style="dim") for row in rows if row.note]
        parts += [table, *notes, Text(conclusion)]
    return Group(*parts, *(Text(note, style="dim") for note in comparison.notes))


def realism_table(measures: Sequence[Measure], *, title: str = "Synthetic pictures") -> RenderableType:
    """Return what is known of the synthetic images beside the same of real frames against real frames."""
    table = plain_table(title, "measure", "synthetic", "real against real", "better")
    for measure in measures:
        better = "" if measure.better == "neither" else measure.better
        table.add_row(Text(measure.name), number(measure.value), number(measure.reference), better)
    return Group(table, *(Text(f"{one.name}: {one.note}", style="dim") for one in measures if one.note))


def faults_table(faults: Sequence[Fault], notes: Sequence[str] = ()) -> RenderableType:
    """Return each kind of fault of a data set, then the notes on what is merely unusual.

    Of a kind are told the number of its faults, its files or the first of many, and the remedy of the first.
    """
    parts: list[RenderableType] = []
    if faults:
        table = plain_table(count(len(faults), "fault"), style="bold red")
        table.add_column("faults", justify="right")
        table.add_column("what, where, and what to do", overflow="fold", ratio=1)
        for alike in by_kind(faults):
            table.add_row(f"{len(alike):,}", _kind_of_fault(alike))
        parts.append(table)
    else:
        parts.append(Text("No faults.", style="bold green"))
    parts += [Text("note: ", style="bold").append(note, style="not bold") for note in notes]
    return Group(*parts)


def _kind_of_fault(alike: Sequence[Fault]) -> Text:
    """Return what is wrong, the first files with what is theirs alone, and the remedy of the first one."""
    first, same = alike[0], len({fault.what for fault in alike}) == 1
    text = Text().append(first.what if same else first.kind, style="bold")
    named = alike if len(alike) <= ALL_NAMED else alike[:SOME_NAMED]
    for fault in named:
        own = "" if same else fault.what.removeprefix(fault.kind)
        text.append(f"\n{'' if fault.file is None else fault.file}{own}")
    if len(alike) > len(named):
        text.append(f"\nand {len(alike) - len(named):,} more, which --out FILE lists")
    return text.append(f"\n{first.remedy}", style="dim")


def verdict_text(judged: Verdict) -> RenderableType:
    """Return the verdict as it stands at the end of a terminal run."""
    style = {"gain": "bold green", "loss": "bold red", "open": "bold yellow", "missing": "bold yellow"}[
        judged.tone
    ]
    head = Text(f"{judged.word}: ", style=style).append(judged.sentence, style="not bold default")
    return Group(head, *(Text(f"· {caveat}", style="dim") for caveat in judged.caveats))


def _overlap(
    runs: Sequence[RunScores], classes: ClassTable, rare: Sequence[str], score: str
) -> RenderableType:
    table = plain_table(f"{SCORES[score]} in per cent, with 95 % intervals over test recordings", "class")
    for run in runs:
        table.add_column(Text(run.name), justify="right", overflow="fold", max_width=18)
    digits = 1 if len(runs) < RUNS_ABREAST else 0

    def cell(found: object) -> Text:
        return _score(getattr(found, score, None), getattr(found, f"{score}_interval", None), digits)

    lines = [{entry.name: entry for entry in run.scores.classes} for run in runs]
    for name in rare_first(classes.names, rare):
        cells = [cell(known.get(name)) for known in lines]
        table.add_row(class_name(name, classes), *cells, style="bold" if name in rare else "")
        if rare and name == rare[-1]:
            table.add_section()
    table.add_section()
    for mean in ("label_mean", "sample_mean", "sample_median"):
        table.add_row(mean.replace("_", " "), *(cell(getattr(run.scores, mean)) for run in runs))
    return table


def rare_first(names: Sequence[str], rare: Sequence[str]) -> list[str]:
    """Return the class names with the rare ones in front, each part in its own order."""
    return [*rare, *(name for name in names if name not in rare)]


def _score(value: float | None, bounds: Interval | None, digits: int) -> Text:
    if value is None:
        return Text(ABSENT, style="dim")
    return Text(percent(value)).append(f" {interval(bounds, digits)}".rstrip(), style="dim not bold")


def class_name(name: str, classes: ClassTable) -> Text:
    """Return a class's name behind a square of its colour."""
    red, green, blue = classes.classes[classes.id_of(name)].colour
    return Text("■ ", style=f"rgb({red},{green},{blue})").append(name, style="default")


def plain_table(title: str, *heads: str, style: str = "bold") -> Table:
    """Return an empty table of the full width, its title at the left.

    The first of `heads` stands over names, which fold, the others over numbers, which do not.
    """
    table = Table(
        title=Text(title, style=style), title_justify="left", box=box.SIMPLE_HEAD, width=WIDTH,
        padding=(0, 1), pad_edge=False,
    )  # fmt: skip
    for place, head in enumerate(heads):
        if place:
            table.add_column(Text(head), justify="right", no_wrap=True)
        else:
            table.add_column(Text(head), overflow="fold", ratio=1)
    return table


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: str = "---:") -> str:
    """Return a table in Markdown; `numbers` aligns all columns but the first."""
    lines = [heads, ["---", *[numbers] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


MEANS = ("label mean", "sample mean", "sample median", "all pixels")
"""Lines under the classes of a table of metrics."""


def metric_columns(measured: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return what the installed metrics show of what they measured.

    `measured` holds JSON values by the metric's name. One whose metric is not installed here is left out, and
    the terminal says so.
    """
    known = methods("metrics")
    if missing := [name for name in measured if name not in known]:
        say_once(f"note: not shown, since the metric is not installed here: {', '.join(missing)}")
    columns: list[Column] = []
    for name in [name for name in known if name in measured]:
        try:
            columns += known[name].columns(measured[name])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"what the metric {name!r} found cannot be read ({error!r})"
            raise CheckpointError(what, "Score the run again: rarescene evaluate RUN --data DATA") from error
    return tuple(columns)


def metric_table(columns: Sequence[Column], classes: ClassTable) -> RenderableType:
    """Return what metrics found of a run, class by class, for a terminal of 80 columns."""
    table = plain_table("Probabilities in per cent, uncertainty in thousandths", "class")
    for column in columns:
        table.add_column(Text(column.heading), justify="right", max_width=11)
    for name, *cells in zip(classes.names, *(column.classes for column in columns), strict=True):
        table.add_row(class_name(name, classes), *cells)
    table.add_section()
    for name in MEANS:
        table.add_row(name, *(column.means.get(name, "") for column in columns))
    return table
