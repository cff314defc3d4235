"""Cards: what a model or a synthetic set is, what it saw, and what it must not be used for. In Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.files import write_text
from rarescene.foundation.run_record import RunRecord
from rarescene.generators.loading import METHODS, PAIR_METHODS, VQGANS
from rarescene.reports.content import PHANTOM_WARNING, Measure, Provenance, RunScores
from rarescene.reports.formatting import count, figure, interval, listing, percent

if TYPE_CHECKING:
    from rarescene.scenes import SceneSet


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


CARD = "README.md"


def write_generator_card(
    folder: Path,
    record: RunRecord,
    parameters: int,
    *,
    name: str | None = None,
    summary: str = "Draws an image for a mask.",
    measures: Sequence[Measure] = (),
) -> None:
    """Write the model card of a generator or autoencoder; by default it bears the folder's name."""
    from rarescene.reports import ModelCard, model_card, provenance

    model = record.config["model"]
    single = {name: value for name, value in model.items() if not isinstance(value, Mapping)}
    card = ModelCard(
        name=name or folder.resolve().name,
        kind=_generator(record.kind),
        summary=summary,
        provenance=provenance([record]),
        phantom=record.provenance.phantom,
        config=single
        | _flat({name: model[name] for name in ("network", "diffusion", "adversarial") if name in model})
        | model["training"],
        parameters=parameters,
        measures=tuple(measures),
    )
    write_text(folder / CARD, model_card(card))


def write_segmenter_card(
    folder: Path, record: RunRecord, parameters: int, scores: RunScores | None = None
) -> None:
    """Write the model card of a segmenter, with its scores on held-out recordings once it has them."""
    from rarescene.reports import ModelCard, model_card, provenance

    config = record.config
    added = f", {config['synthetic']}" if config["synthetic"] else ""
    if config.get("drawn"):
        added += f", pairs drawn by {config['drawn']['generator']} ({config['generator']}) while it trained"
    size = f"{config['width']}×{config['height']}"
    card = ModelCard(
        name=folder.resolve().name,
        kind=f"{config['segmenter']} segmenter",
        summary=f"Trained with the strategy {config['strategy']}{added}, on images of {size}.",
        provenance=provenance([record]),
        phantom=record.provenance.phantom,
        config=_flat({"model": config["model"]}) | config["training"],
        parameters=parameters,
        scores=scores,
        limits=() if scores else ("It has not been scored on held-out recordings yet.",),
    )
    write_text(folder / CARD, model_card(card))


def write_set_card(folder: Path, record: RunRecord, trained: RunRecord, pairs: SceneSet) -> None:
    """Write the data card of a synthetic set, given the record of the generator that drew it."""
    from rarescene.reports import DataCard, data_card, provenance

    config, model = record.config, trained.config["model"]
    shown = Counter(
        class_id for index in range(len(pairs)) for class_id in np.unique(pairs.mask(index)).tolist()
    )
    card = DataCard(
        name=folder.resolve().name,
        pairs=len(pairs),
        size=(model["height"], model["width"]),
        generator=f"{config['generator']} ({config['run']}), {how_drawn(config)}",
        masks=_origin(config),
        classes={name: shown[index] for index, name in enumerate(pairs.classes.names)},
        provenance=provenance([trained, record]),
        phantom=record.provenance.phantom,
    )
    write_text(folder / CARD, data_card(card))


def write_curated_card(
    folder: Path, record: RunRecord, made: RunRecord, pairs: SceneSet, filtered: str
) -> None:
    """Write the data card of a curated set, given the record of the set that its pairs come from."""
    from rarescene.reports import DataCard, data_card, provenance

    config = record.config
    presence = [set(np.unique(pairs.mask(index)).tolist()) for index in range(len(pairs))]
    card = DataCard(
        name=folder.resolve().name,
        pairs=len(pairs),
        size=pairs.mask(0).shape,
        generator=f"{config['generator']}, of the set {config['curation']['of']}",
        masks="the same set",
        classes={
            name: sum(index in shown for shown in presence) for index, name in enumerate(pairs.classes.names)
        },
        provenance=provenance([made, record]),
        phantom=record.provenance.phantom,
        filtered=f"filtered: {filtered[0].lower()}{filtered[1:].rstrip('.')}",
    )
    write_text(folder / CARD, data_card(card))


def how_drawn(config: Mapping[str, Any]) -> str:
    """Say how the pairs of a set were drawn, given its run's configuration."""
    sampling = config["sampling"]
    return f"{sampling['sampler']} in {sampling['steps']} steps" if "sampler" in sampling else "in one pass"


def _generator(kind: str) -> str:
    if kind in VQGANS:
        return VQGANS[kind]
    if kind in METHODS:
        return f"{METHODS[kind]} image generator"
    return f"{PAIR_METHODS[kind]} pair generator" if kind in PAIR_METHODS else "Map generator"


def _origin(config: Mapping[str, Any]) -> str:
    """Say where the masks of a set come from."""
    if config["generator"] in PAIR_METHODS:
        return f"the same draw, asked for: {config['requests']}"
    if "maps" in config:
        return f"a map generator (weights {config['maps']}), asked for: {config['requests']}"
    return f"the {config['part']} part of {config['masks']}" + (
        ", flipped and rotated" if config["vary"] else ""
    )


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()
    }
