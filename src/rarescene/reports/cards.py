"""Cards: what a model or a synthetic set is, what it saw, and what it must not be used for. In Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rarescene.reports.content import PHANTOM_WARNING, Measure, Provenance, RunScores
from rarescene.reports.wording import count, figure, interval, listing, percent


@dataclass(frozen=True)
class ModelCard:
    """What the card of a trained run says.

    Attributes:
        name: of the run.
        kind: what it is, such as `CASDM image generator` or `U-Net segmenter`.
        summary: a sentence or two.
        provenance: commands, data, recordings, seeds, machine.
        phantom: whether it was trained on phantom scenes.
        config: the settings that matter, by name.
        parameters: number of trained weights, if known.
        scores: of a segmenter, on held-out recordings.
        measures: of a generator.
        limits: anything else that a user must know.
    """

    name: str
    kind: str
    summary: str
    provenance: Provenance
    phantom: bool = False
    config: Mapping[str, object] = field(default_factory=dict)
    parameters: int | None = None
    scores: RunScores | None = None
    measures: tuple[Measure, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataCard:
    """What the card of a synthetic set says.

    Attributes:
        name: of the set.
        pairs: number of (image, mask) pairs.
        size: height and width in pixels.
        generator: what drew the images, in words.
        masks: where the maps came from, in words.
        classes: pairs that show each class, by name.
        provenance: of the generator and of the set; `train` are the recordings that either has seen.
        phantom: whether the generator was trained on phantom scenes.
        measures: figures about the pictures.
        filtered: how pairs were filtered, in words; empty if they were not.
    """

    name: str
    pairs: int
    size: tuple[int, int]
    generator: str
    masks: str
    classes: Mapping[str, int]
    provenance: Provenance
    phantom: bool = False
    measures: tuple[Measure, ...] = ()
    filtered: str = ""


def model_card(card: ModelCard) -> str:
    """Return the card of a trained run as Markdown."""
    weights = [f"Trained weights: {card.parameters:,}."] if card.parameters is not None else []
    parts = [
        f"# {_plain(card.name)}",
        *_warning(card.phantom),
        f"**{_plain(card.kind)}.** {_plain(card.summary)}",
        *weights,
        *_training(card.provenance),
        *_table(
            "Configuration", ("setting", "value"), [(name, str(value)) for name, value in card.config.items()]
        ),
        *_scores(card.scores),
        *_measures(card.measures),
        "## Limits",
        _bullets([*card.limits, *_model_limits(card)]),
        *_commands(card.provenance),
        *_surroundings(card.provenance),
    ]
    return "\n\n".join(parts) + "\n"


def data_card(card: DataCard) -> str:
    """Return the card of a synthetic set as Markdown."""
    height, width = card.size
    filtered = card.filtered or "not filtered: some pairs may be wrong, and wrong pairs can hurt a segmenter"
    limits = [
        "No picture here shows a patient, and none may be taken for a real frame.",
        "A segmenter may be tested only on recordings that are not in the list above.",
        f"Pairs were {filtered}.",
        "The licence of the real frames may bind what was learned from them. Ask before you pass the set on.",
    ]
    parts = [
        f"# {_plain(card.name)}",
        *_warning(card.phantom),
        f"**{card.pairs:,} synthetic pairs** of image and mask, {width}×{height} pixels. "
        f"Images by {_plain(card.generator)}; maps from {_plain(card.masks)}.",
        *_table(
            "Classes",
            ("class", "pairs that show it"),
            [(name, f"{pairs:,}") for name, pairs in card.classes.items()],
        ),
        *_training(card.provenance),
        *_measures(card.measures),
        "## Limits",
        _bullets(limits),
        *_commands(card.provenance),
        *_surroundings(card.provenance),
    ]
    return "\n\n".join(parts) + "\n"


def _warning(phantom: bool) -> list[str]:
    return [f"> **{PHANTOM_WARNING}**"] if phantom else []


def _training(source: Provenance) -> list[str]:
    lines = [
        f"{head}: {_plain(words)}"
        for head, words in (("Data", source.data), ("Licence", source.licence))
        if words
    ]
    if source.split:
        lines.append(f"Split: {_plain(source.split)}")
    for head, recordings in (
        ("Seen in training", source.train),
        ("Validation", source.validation),
        ("Test", source.test),
    ):
        if recordings:
            names = ", ".join(_plain(recording) for recording in recordings)
            lines.append(f"{head}: {count(len(recordings), 'recording')} ({names})")
    return ["## Data", _bullets(lines)] if lines else []


def _scores(scores: RunScores | None) -> list[str]:
    if scores is None:
        return []
    rows = []
    for entry in scores.classes:
        shown = f"{count(entry.frames, 'frame')}, {count(entry.recordings, 'recording')}"
        iou, dice = f"{percent(entry.iou.value)} {interval(entry.iou)}".strip(), percent(entry.dice.value)
        rows.append((entry.name, iou, dice, shown))
    for head, mean in (("label mean", scores.label_mean), ("sample mean", scores.sample_mean)):
        rows.append(
            (head, f"{percent(mean.iou.value)} {interval(mean.iou)}".strip(), percent(mean.dice.value), "")
        )
    heads = ("class", "IoU, %, 95 % interval over recordings", "Dice, %", "test frames that show it")
    notes = [_bullets(list(scores.notes))] if scores.notes else []
    return [*_table("Scores on held-out recordings", heads, rows), *notes]


def _measures(measures: Sequence[Measure]) -> list[str]:
    rows = [(one.name, figure(one.value), figure(one.reference), one.note) for one in measures]
    return _table(
        "Figures about the pictures", ("measure", "synthetic", "real against real", "on what"), rows
    )


def _model_limits(card: ModelCard) -> list[str]:
    limits = ["Made for research. It is no medical device and must not guide a decision about a patient."]
    if card.phantom:
        limits.append("It learned from procedural pictures alone and knows nothing of real surgery.")
    seeds = card.provenance.seeds
    if len(seeds) == 1:
        limits.append("Trained once, with one seed: its figures are an illustration.")
    if card.provenance.train:
        limits.append("It may be evaluated only on recordings that it has not seen; they are listed above.")
    return limits


def _commands(source: Provenance) -> list[str]:
    if not source.commands:
        return []
    lines = "\n".join(source.commands)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", lines)), default=0))
    return ["## Made by", f"{fence}\n{lines}\n{fence}"]


def _surroundings(source: Provenance) -> list[str]:
    lines = [f"Seeds: {listing([str(seed) for seed in source.seeds])}"] if source.seeds else []
    lines += [
        f"{head}: {_plain(words)}"
        for head, words in (("Commit", source.commit), ("Machine", source.machine))
        if words
    ]
    if source.versions:
        lines.append(
            "Versions: " + ", ".join(f"{name} {version}" for name, version in source.versions.items())
        )
    lines += [f"{_plain(head)}: {_plain(words)}" for head, words in source.more.items()]
    return [_bullets(lines)] if lines else []


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = [
        _line(head),
        _line(["---"] * len(head)),
        *(_line([_plain(cell) for cell in row]) for row in rows),
    ]
    return [f"## {title}", "\n".join(lines)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|<>#]|\](?=[(\[:]))", r"\\\1", " ".join(text.split()))
