"""`rarescene coherence`: do image and mask of synthetic pairs belong together? RO and SO, beside the copies.

One segmenter is trained on real scenes (or given), and once more on the pairs of each set alone, in all else
alike. The first is scored on the pairs (RO) and on the real test scenes, the second on the same test scenes
(SO).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rarescene.commands.coherence_segmenters import (
    SegmenterName,
    never_saw_test,
    synthetic_segmenter,
    train_alone,
    train_real,
)
from rarescene.evaluation.config import CopyConfig
from rarescene.evaluation.pair_scores import find_copies
from rarescene.foundation.console import CONSOLE, say
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import atomic, write_json, write_text
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.reports.realism import distances_to_real, paired_measures, realism_config
from rarescene.scenes import SceneSet
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.statistics import rare_classes
from rarescene.sources.leakage import open_judge, open_pairs, real_segmenter
from rarescene.training.ranks import accelerator

if TYPE_CHECKING:
    from rarescene.evaluation.config import RealismConfig
    from rarescene.reports import CoherenceReport, SetCoherence

SCORES, PAGE, CHART = "coherence.json", "coherence.md", "coherence.png"


@dataclass(frozen=True)
class PairSet:
    """A synthetic set, opened.

    Attributes:
        folder: where it lies.
        record: its run record.
        scenes: its pairs.
    """

    folder: Path
    record: RunRecord
    scenes: SceneSet

    @property
    def guidance(self) -> float | None:
        """The guidance scale that it was drawn with; None where there is none."""
        scale = (self.record.config.get("sampling") or {}).get("guidance")
        return None if scale is None else float(scale)


def coherence(
    pairs: list[Path],
    *,
    out: Path,
    data: str | None = None,
    real: Path | None = None,
    synthetic: Path | list[Path] | None = None,
    segmenter: SegmenterName = "unet",
    steps: int | None = None,
    ro_alone: bool = False,
    classes: str = "",
    score: Literal["iou", "dice"] = "iou",
    inception: Path | None = None,
    copies: CopyConfig = CopyConfig(),  # noqa: B008 - frozen
    split: str | None = None,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Measure how well image and mask of synthetic pairs belong together: RO and SO, beside the copy check.

    RO is the score of a segmenter trained on real scenes, on the pairs; SO that of one trained on the pairs
    alone, on the real test scenes. Both are given as shares of real on real. Segmenters that are not given
    are trained.

    Args:
        pairs: folders of synthetic sets; each becomes a row. Sets that differ in their guidance scale alone
            also give a chart.
        out: folder of the page (coherence.md), the figures (coherence.json), and of what is trained.
        data: real data, NAME:PATH or a YAML file; by default those of --real, or those the set was made from.
        real: folder of a `rarescene segment` run on real scenes alone; by default OUT/real is trained.
        synthetic: folder of a run on the pairs alone (--strategy offline --offline.probability 1), one a set
            and in their order, several as '[RUN, RUN]'; by default OUT/synthetic-SET is trained like --real.
        segmenter: what to train where --real is not given.
        steps: its optimiser steps; by default 1500. The GAUDA paper trains phiseg for 50,000 and
            unet-ensemble for 15,000.
        ro_alone: leave SO out, and with it a training for each set.
        classes: comma-separated rare classes, which come first; by default those that the statistics of the
            data call rare.
        score: iou or dice.
        inception: TorchScript file of Inception v3 (inception-2015-12-05.pt), for FID and KID.
        copies: how copies are looked for.
        split: how DATA is split; by default as those of --real or of the set were.
        group_by: regular expression that tells the recordings of a folder apart; by default likewise.
        seed: of the segmenter that is trained where --real is not given.
        resume: go on with a command that was stopped.

    Raises:
        LeakError: a set or a segmenter saw test recordings.
        CheckpointError: a segmenter was trained on something else than it should have been.
    """
    from rarescene.reports import coherence_chart, coherence_markdown, coherence_table

    began = time.perf_counter()
    if ro_alone and synthetic:
        raise ConfigError("--ro-alone leaves out what --synthetic names", "Give one of the two.")
    given = [synthetic] if isinstance(synthetic, Path) else list(synthetic or ())
    if given and len(given) != len(pairs):
        what = f"{len(given)} segmenters were given for {len(pairs)} sets"
        raise ConfigError(what, "Give a --synthetic run for each set, in their order, or none.")
    compared = realism_config(inception)
    fresh_folder(out, resume, "measurement")
    made = [read_record(folder, "scene set") for folder in pairs]
    trained = None if real is None else real_segmenter(real)
    source = open_as_in((trained or made[0]).provenance, data, split=split, group_by=group_by)
    if not source.split.test:
        raise DataError(f"{source.spec} has no test scenes to score on", "Choose another --split.")
    sets = [open_set(folder, source) for folder in pairs]
    rare = rare_classes(source.scenes, classes)

    names = _names(pairs)

    real = real or train_real(out / "real", source, sets[0].scenes, segmenter, steps, seed)
    judge = real_segmenter(real)
    never_saw_test(judge, source, real)
    runs: list[Path | None] = list(given) or [None] * len(sets)
    if not (given or ro_alone):
        runs = [
            train_alone(out / f"synthetic-{name}", source, judge, one.folder)
            for name, one in zip(names, sets, strict=True)
        ]
    learners = [read_record(run, "segmenter") for run in filter(None, runs)]
    record = RunRecord.begin(
        kind="coherence",
        config={
            "pairs": [str(folder) for folder in pairs], "real": str(real), "score": score,
            "synthetic": [None if run is None else str(run) for run in runs], "classes": list(rare),
        },
        seed=judge.seed,
        provenance=source.provenance(None).union(*(one.provenance for one in (*made, judge, *learners))),
        class_table=source.scenes.classes.to_dict(), accelerator=accelerator(),
    )  # fmt: skip
    if resume:
        same_run(out, record)
    record.write(out)
    found = [
        measure(one, source, real, run, name=name, rare=rare, score=score, copies=copies, compared=compared)
        for one, run, name in zip(sets, runs, names, strict=True)
    ]
    report = _report(found, sets, source, judge, record)
    ended = record.end(out, time.perf_counter() - began, _headlines(found))
    write_json(out / SCORES, {"run": ended.command, "commit": ended.commit, **report.to_dict()})
    chart = coherence_chart(report)
    if chart is not None:
        from PIL import Image

        with atomic(out / CHART) as temporary:
            Image.fromarray(chart).save(temporary, format="PNG")
    write_text(out / PAGE, coherence_markdown(report, None if chart is None else CHART))
    CONSOLE.print(coherence_table(report))
    say(f"written to {out / PAGE}")


def open_set(folder: Path, source: Data) -> PairSet:
    """Open a synthetic set that is to be measured on these data.

    Raises:
        DataError: it is not finished, or holds masks alone.
        LeakError: it was made from validation or test recordings.
    """
    record = read_record(folder, "scene set")
    scenes = open_pairs(folder, record, source)
    scenes.need_images()
    return PairSet(folder, record, scenes)


def measure(
    pairs: PairSet,
    source: Data,
    real: Path,
    synthetic: Path | None = None,
    *,
    name: str | None = None,
    rare: Sequence[str] = (),
    score: Literal["iou", "dice"] = "iou",
    copies: CopyConfig = CopyConfig(),  # noqa: B008 - frozen
    compared: RealismConfig | None = None,
) -> SetCoherence:
    """Measure one set: RO, SO, copies, distances.

    Pairs and test scenes are scored at the size of the pairs, so that the shares compare like with like.

    Args:
        pairs: the set.
        source: the real data, split.
        real: run of a segmenter trained on real scenes alone.
        synthetic: run of the same segmenter, trained on the pairs alone; None leaves SO out.
        name: what tables call the set; by default its folder's name.
        rare: classes that come first, and have a mean of their own.
        score: iou or dice.
        copies: how copies are looked for.
        compared: how images are compared.

    Raises:
        LeakError: a segmenter saw test recordings.
        CheckpointError: a segmenter was trained on something else than it should have been.
    """
    from rarescene.evaluation import coherence_scores, copy_rate
    from rarescene.reports import SetCoherence

    judge = real_segmenter(real)
    never_saw_test(judge, source, real)
    learner = None
    if synthetic is not None:
        learner = synthetic_segmenter(synthetic, pairs.folder, judge)
        never_saw_test(learner, source, synthetic)
    table, split = source.scenes.classes, source.split
    cache = decode(pairs.scenes, *pairs.scenes.mask(0).shape)
    test = decode(source.scenes.subset(split.test), *cache.size)
    if not split.train:
        raise DataError(f"{source.spec} has no training frames", "Choose another --split.")
    training = decode(source.scenes.subset(split.train), *cache.size)
    unseen = decode(source.scenes.subset((*split.validation, *split.test)), *cache.size)

    groups, recordings = _groups(pairs.scenes, source), list(test.recordings)
    who = open_judge(real, judge, table)
    on_real = who.overlaps(test, recordings, "real on real")
    ro = who.overlaps(cache, groups, "real on synthetic")
    so = None
    if synthetic is not None and learner is not None:
        so = open_judge(synthetic, learner, table).overlaps(test, recordings, "synthetic on real")
    near = find_copies(cache, training, unseen, copies)
    return SetCoherence(
        name=name or pairs.folder.resolve().name,
        guidance=pairs.guidance,
        scores=coherence_scores(on_real, ro, so, table.names, rare=rare, score=score),
        copies=tuple(copy_rate(one, groups) for one in near.values()),
        realism=(
            *distances_to_real(cache, test, training, compared or realism_config(None)),
            *paired_measures(pairs.folder),
        ),
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each set: its folder's, or with the folder above it where two are alike."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{folder.resolve().parent.name}-{folder.resolve().name}" for folder in folders]
    if len(set(names)) < len(names):
        raise ConfigError("a set is given twice, or two have one name", "Give each set once.")
    return names


def _groups(pairs: SceneSet, source: Data) -> list[str]:
    """Return the recording that each pair was made from, or a name of its own where it was made from none."""
    known = set(source.scenes.groups)
    return [one.group if one.group in known else one.name for one in pairs.records]


def _report(
    found: Sequence[SetCoherence], sets: Sequence[PairSet], source: Data, judge: RunRecord, record: RunRecord
) -> CoherenceReport:
    from rarescene.reports import PHANTOM_WARNING, CoherenceReport

    config, parts = judge.config, record.provenance.recordings
    height, width = sets[0].scenes.mask(0).shape
    settings = (
        f"{config['segmenter']}, {config['training']['steps']} steps of {config['training']['batch_size']}, "
        f"one seed ({judge.seed}): intervals are over recordings and say nothing of another training.",
        f"{source.scenes.name}, split {source.split.how!r}: {len(parts['train'])} training, "
        f"{len(parts['validation'])} validation and {len(parts['test'])} test recordings; "
        f"scored at {width}×{height}.",
        "Where pairs were made from no recording, the intervals of RO are over pairs.",
        "Real frames, copies: validation and test frames, as near to a training frame as a copy; distances: "
        "as many training frames to the same test frames.",
    )
    warnings = (PHANTOM_WARNING,) if record.provenance.phantom else ()
    return CoherenceReport(
        title="Coherence of synthetic pairs: RO and SO",
        settings=settings,
        sets=tuple(found),
        swept=_swept(sets),
        command=record.command,
        warnings=warnings + ((source.split.warning,) if source.split.warning else ()),
    )


def _swept(sets: Sequence[PairSet]) -> bool:
    """Return whether several sets differ in their guidance scale, and in nothing else."""
    scales = [one.guidance for one in sets]
    if len(sets) < 2 or None in scales or len(set(scales)) < len(scales):
        return False
    rest = [
        ({**one.config, "sampling": {**one.config["sampling"], "guidance": None}}, one.provenance)
        for one in (pairs.record for pairs in sets)
    ]
    return all(entry == rest[0] for entry in rest)


def _headlines(found: Sequence[SetCoherence]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for one in found:
        line = one.scores.of("label mean")
        values = {
            "RO": line.ro.value, "SO": None if line.so is None else line.so.value,
            "copies": one.copies[0].pairs if one.copies else None,
        }  # fmt: skip
        figures |= {f"{name} {one.name}": value for name, value in values.items() if value is not None}
    return figures
