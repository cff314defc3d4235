"""Cards in Markdown: what a model or a synthetic set is, what it saw, and what it must not be used for.

And where numbers come from, which cards and pages tell alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.foundation.console import say
from rarescene.foundation.files import read_text, write_text
from rarescene.foundation.plugins import methods
from rarescene.foundation.run_record import RunRecord
from rarescene.generators import kinds_that_generate
from rarescene.reports.formatting import count, listing, number, percent, with_interval
from rarescene.reports.gallery import class_areas
from rarescene.reports.tables import markdown_table

if TYPE_CHECKING:
    from rarescene.reports.realism import Measure
    from rarescene.reports.tables import RunScores
    from rarescene.scenes import SceneSet

CARD = "README.md"

_OWN = re.compile(r"<!-- rarescene ([0-9a-f]{16}) -->\n\Z")
"""Ends every card: a hash of the text before it, which tells whether somebody has edited the card."""

PHANTOM_WARNING = "Phantom scenes: procedural pictures. No number here is a surgical one."


@dataclass(frozen=True)
class Origins:
    """Where numbers come from: commands in order, data, recordings of each part, seeds, code and machine.

    `commit` ends in `+` where files were changed; `versions` are those of packages, and `more` holds anything
    else worth a line, by its label.
    """

    commands: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    split: str = ""
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    commit: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


def origins_of(records: Sequence[RunRecord], **more: str) -> Origins:
    """Return where numbers come from, told by the records of the runs behind them, each fact once.

    `more` adds lines, such as the wall time. What the runs trained on is what any of them has seen.
    """
    behind = [record.provenance for record in records]
    machines = (", ".join(f"{name} {value}" for name, value in one.machine.items()) for one in records)

    def joined(values: Iterable[str | None]) -> str:
        return "; ".join(dict.fromkeys(value for value in values if value))

    def held_out(part: str) -> tuple[str, ...]:
        return tuple(sorted({name for one in behind for name in one.recordings.get(part, ())}))

    return Origins(
        commands=tuple(dict.fromkeys(record.command for record in records if record.command)),
        data=joined(f"{one.name} ({one.spec})" for one in behind),
        licence=joined(one.licence for one in behind),
        split=joined(one.split for one in behind),
        train=tuple(sorted({name for one in behind for name in one.seen.spans})),
        validation=held_out("validation"),
        test=held_out("test"),
        seeds=tuple(sorted({record.seed for record in records})),
        commit=joined(record.commit for record in records),
        machine=joined(machines),
        versions={name: version for record in records for name, version in record.versions.items()},
        more={name.replace("_", " "): words for name, words in more.items()},
    )


def model_card(
    name: str,
    kind: str,
    summary: str,
    source: Origins,
    *,
    phantom: bool = False,
    config: Mapping[str, object] | None = None,
    parameters: int | None = None,
    scores: RunScores | None = None,
    measures: Sequence[Measure] = (),
    limits: Sequence[str] = (),
) -> str:
    """Return the card of a trained run as Markdown.

    Args:
        kind: what it is, such as `CASDM image generator` or `unet segmenter`.
        config: the settings that matter, by name.
        parameters: number of trained weights, if known.
    """
    settings = [(name, str(value)) for name, value in (config or {}).items()]
    of_images = [(one.name, number(one.value), number(one.reference), one.note) for one in measures]
    heads = ("measure", "synthetic", "real against real", "on what")
    limits = [
        *limits, "Made for research. It is no medical device and must not guide a decision about a patient."
    ]  # fmt: skip
    if phantom:
        limits.append("It learned from procedural pictures alone and knows nothing of real surgery.")
    if len(source.seeds) == 1:
        limits.append("Trained once, with one seed: its scores are an illustration.")
    if source.train:
        limits.append("It may be evaluated only on recordings that it has not seen; they are listed above.")
    about = [
        f"**{_plain(kind)}.** {_plain(summary)}",
        *([f"Trained weights: {parameters:,}."] if parameters is not None else []),
        *_training(source),
        *_table("Configuration", ("setting", "value"), settings),
        *_scores(scores),
        *_table("Scores of the pictures", heads, of_images),
    ]
    return _card(name, phantom, about, limits, source)


def data_card(
    name: str,
    *,
    pairs: int,
    size: tuple[int, ...],
    generator: str,
    masks: str,
    classes: Mapping[str, int],
    source: Origins,
    phantom: bool = False,
    filtered: str = "",
    real: bool = False,
) -> str:
    """Return the card of a set as Markdown.

    Args:
        size: height and width in pixels.
        generator: what made the images, in words; empty where they are frames that were given.
        masks: where the maps came from, in words.
        source: of the generator and of the set; `train` are the recordings that either has seen.
        filtered: how pairs were filtered, in words; empty if they were not.
        real: whether the images are, or hold, frames that were given.
    """
    height, width = size
    kind, images = "synthetic pairs", f"Images by {_plain(generator)}; maps"
    if not generator:
        kind, images = "labelled frames", "Images as they were given; masks"
    filtered = filtered or "not filtered: some pairs may be wrong, and wrong pairs can hurt a segmenter"
    limits = [
        "The pictures hold frames that were given: share them only where those may be shared."
        if real
        else "No picture here shows a patient, and none may be taken for a real frame.",
        "A segmenter may be tested only on recordings that are not in the list above.",
        f"Pairs were {filtered}.",
        "The licence of the real frames may bind what was learned from them. Ask before you pass the set on.",
    ]
    shown = [(name, f"{many:,}") for name, many in classes.items()]
    about = [
        f"**{pairs:,} {kind}** of image and mask, {width}×{height} pixels. {images} from {_plain(masks)}.",
        *_table("Classes", ("class", "pairs that show it"), shown),
        *_training(source),
    ]
    return _card(name, phantom, about, limits, source)


def _card(name: str, phantom: bool, about: Sequence[str], limits: Sequence[str], source: Origins) -> str:
    """Return a card: what it is about, its limits, and where all of it comes from."""
    warning = [f"> **{PHANTOM_WARNING}**"] if phantom else []
    head, ends = [f"# {_plain(name)}", *warning, *about], (*_commands(source), *_surroundings(source))
    return "\n\n".join([*head, "## Limits", _bullets(limits), *ends]) + "\n"


def _training(source: Origins) -> list[str]:
    facts = (("Data", source.data), ("Licence", source.licence), ("Split", source.split))
    lines = [f"{head}: {_plain(words)}" for head, words in facts if words]
    parts = {"Seen in training": source.train, "Validation": source.validation, "Test": source.test}
    for head, recordings in parts.items():
        if recordings:
            names = ", ".join(map(_plain, recordings))
            lines.append(f"{head}: {count(len(recordings), 'recording')} ({names})")
    return ["## Data", _bullets(lines)] if lines else []


def _scores(run: RunScores | None) -> list[str]:
    if run is None:
        return []
    scores, rows = run.scores, []
    for entry in scores.classes:
        shown = f"{count(entry.frames, 'frame')}, {count(entry.recordings, 'recording')}"
        rows.append((entry.name, with_interval(entry.iou, entry.iou_interval), percent(entry.dice), shown))
    for head, mean in (("label mean", scores.label_mean), ("sample mean", scores.sample_mean)):
        rows.append((head, with_interval(mean.iou, mean.iou_interval), percent(mean.dice), ""))
    heads = ("class", "IoU, %, 95 % interval over recordings", "Dice, %", "test frames that show it")
    notes = [_bullets(scores.notes)] if scores.notes else []
    return [*_table("Scores on held-out recordings", heads, rows), *notes]


def _commands(source: Origins) -> list[str]:
    if not source.commands:
        return []
    lines = "\n".join(source.commands)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", lines)), default=0))
    return ["## Made by", f"{fence}\n{lines}\n{fence}"]


def _surroundings(source: Origins) -> list[str]:
    lines = [f"Seeds: {listing([str(seed) for seed in source.seeds])}"] if source.seeds else []
    facts = (("Commit", source.commit), ("Machine", source.machine))
    lines += [f"{head}: {_plain(words)}" for head, words in facts if words]
    if source.versions:
        versions = ", ".join(f"{name} {version}" for name, version in source.versions.items())
        lines.append(f"Versions: {versions}")
    lines += [f"{_plain(head)}: {_plain(words)}" for head, words in source.more.items()]
    return [_bullets(lines)] if lines else []


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [f"## {title}", markdown_table(head, [[_plain(cell) for cell in row] for row in rows], "---")]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|<>#]|\](?=[(\[:]))", r"\\\1", " ".join(text.split()))


def write_generator_card(
    folder: Path,
    record: RunRecord,
    parameters: int,
    *,
    name: str | None = None,
    summary: str = "Generates an image for a mask.",
    measures: Sequence[Measure] = (),
) -> None:
    """Write the model card of a generator or autoencoder; by default it bears the folder's name."""
    model = record.config["model"]
    single = {name: value for name, value in model.items() if not isinstance(value, Mapping)}
    parts = {name: model[name] for name in ("network", "diffusion", "adversarial") if name in model}
    card = model_card(
        name or folder.resolve().name,
        methods("generators")[record.kind].thing,
        summary,
        origins_of([record]),
        phantom=record.provenance.phantom,
        config=single | _flat(parts) | model["training"],
        parameters=parameters,
        measures=measures,
    )
    _write(folder / CARD, card)


def write_segmenter_card(
    folder: Path, record: RunRecord, parameters: int, scores: RunScores | None = None
) -> None:
    """Write the model card of a segmenter, with its scores on held-out recordings once it has them."""
    config = record.config
    added = f", {config['synthetic']}" if config["synthetic"] else ""
    if drawn := config.get("drawn"):
        made = (
            f"regions of {drawn['classes'].replace(',', ', ')} drawn into real training frames"
            if config.get("compose")
            else "pairs generated"
        )
        added += f", {made} by {drawn['generator']} ({config['generator']}) while it trained"
    size = f"{config['width']}×{config['height']}"
    card = model_card(
        folder.resolve().name,
        f"{config['segmenter']} segmenter",
        f"Trained with the strategy {config['strategy']}{added}, on images of {size}.",
        origins_of([record]),
        phantom=record.provenance.phantom,
        config=_flat({"model": config["model"]}) | config["training"],
        parameters=parameters,
        scores=scores,
        limits=() if scores else ("It has not been scored on held-out recordings yet.",),
    )
    _write(folder / CARD, card)


def write_set_card(
    folder: Path, record: RunRecord, made: RunRecord, pairs: SceneSet, *, filtered: str = ""
) -> None:
    """Write the data card of a set.

    Args:
        made: record of its generator, or of the segmenter that labelled it; of a curated set, that of the
            set that it was chosen from.
        filtered: how a curated set was chosen, in a sentence.
    """
    config = record.config
    generator = str(config.get("generator") or "")
    if filtered:
        generator = f"{generator}, of the set {config['curation']['of']}" if generator else ""
        masks = f"the set {config['curation']['of']}"
        filtered = f"filtered: {filtered[0].lower()}{filtered[1:].rstrip('.')}"
    else:
        generator = f"{generator} ({config['run']}), {how_sampled(config)}" if generator else ""
        masks = _origin(config)
    shown = (class_areas(pairs) > 0).sum(axis=0).tolist()
    card = data_card(
        folder.resolve().name,
        pairs=len(pairs),
        size=pairs.mask(0).shape,
        generator=generator,
        masks=masks,
        classes=dict(zip(pairs.classes.names, shown, strict=True)),
        source=origins_of([made, record]),
        phantom=record.provenance.phantom,
        filtered=filtered,
        real="pseudolabel" in config or ("compose" in config and not config["insertion"]["whole"]),
    )
    _write(folder / CARD, card)


def how_sampled(config: Mapping[str, Any]) -> str:
    """Say how the pairs of a set were sampled, given its run's configuration."""
    sampling = config["sampling"]
    return f"{sampling['sampler']} in {sampling['steps']} steps" if "sampler" in sampling else "in one pass"


def how_made(config: Mapping[str, Any]) -> str:
    """Say what the scenes of a set are and how they were made, given its run's configuration."""
    if "pseudolabel" in config:
        return f"frames of {config['pseudolabel']}, with masks of {_labelled_by(config)}"
    return f"synthetic pairs, {how_sampled(config)}"


def _labelled_by(config: Mapping[str, Any]) -> str:
    return f"{config['segmenter']} ({config['run']}) where its probability is {config['sure']} or more"


def _origin(config: Mapping[str, Any]) -> str:
    """Say where the masks of a set come from."""
    if "pseudolabel" in config:
        return f"{_labelled_by(config)}, for frames of {config['pseudolabel']}"
    if "compose" in config:
        names = config["classes"].replace(",", ", ")
        if into := config.get("into"):
            return f"frames of the set {into}; {names} of {config['compose']} were put into them"
        return f"real frames, the training part of {config['compose']}; {names} were put into them"
    if config["generator"] in kinds_that_generate("pairs"):
        return f"the same sample, asked for: {config['requests']}"
    if "maps" in config:
        return f"a map generator (weights {config['maps']}), asked for: {config['requests']}"
    return f"the {config['part']} part of {config['masks']}" + (
        ", flipped and rotated" if config["vary"] else ""
    )


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()
    }


def _write(path: Path, card: str) -> None:
    """Write a card, unless the one that is there was edited, or is somebody else's."""
    if path.is_file():
        there = read_text(path)
        mark = _OWN.search(there)
        if mark is None or mark[1] != _hash(there[: mark.start()]):
            say(f"note: {path} is not as rarescene wrote it, and stays; delete it to have it written anew")
            return
    write_text(path, f"{card}\n<!-- rarescene {_hash(card + chr(10))} -->\n")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
