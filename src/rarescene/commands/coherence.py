"""`rarescene coherence`: do image and mask of synthetic pairs belong together? RO and SO, beside the copies.

One segmenter is trained on real scenes (or given), and once more on the pairs of each set alone, in all else
alike. The first is scored on the pairs (RO) and on the real test scenes, the second on the same test scenes
(SO).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rarescene.augmentation.classic import ClassicConfig
from rarescene.augmentation.offline import OfflineConfig
from rarescene.commands import segment
from rarescene.evaluation.config import CopyConfig
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Seed, Steps, config_from
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import atomic, write_json, write_text
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.plugins import by_command, method_for, method_of
from rarescene.foundation.run_folder import same_data, same_run
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes import AugmentConfig, SceneSet
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.statistics import rare_classes
from rarescene.segmenters.unet_config import UNetConfig
from rarescene.sources.leakage import real_segmenter
from rarescene.training.config import TrainingConfig
from rarescene.training.ranks import accelerator

SCORES, PAGE, CHART = "coherence.json", "coherence.md", "coherence.png"

SegmenterName = Literal["unet", "segformer", "mask2former", "phiseg", "unet-ensemble"]


@takes_text_for_paths
@writes_folder("measurement", "coherence")
def coherence(
    pairs: list[Path],
    *,
    out: Path,
    data: str | None = None,
    real: Path | None = None,
    synthetic: Path | list[Path] | None = None,
    segmenter: SegmenterName = "unet",
    steps: Steps | None = None,
    ro_alone: bool = False,
    classes: str = "",
    score: Literal["iou", "dice"] = "iou",
    inception: Path | None = None,
    copies: CopyConfig = CopyConfig(),  # noqa: B008 - frozen
    split: str | None = None,
    group_by: str | None = None,
    seed: Seed = 0,
    resume: bool = False,
) -> None:
    """Measure how well image and mask of synthetic pairs belong together: RO and SO, beside the copy check.

    RO is the score of a segmenter trained on real scenes, on the pairs; SO that of one trained on the pairs
    alone, on the real test scenes. Both are given as shares of real on real. Segmenters that are not given
    are trained.

    Args:
        pairs: folders of synthetic sets; each becomes a row. Sets that differ in their guidance scale alone
            also give a chart.
        out: folder of the page (coherence.md), the numbers (coherence.json), and of what is trained.
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
    from rarescene.reports.coherence_of_sets import coherence_report, measure, never_saw_test, open_set
    from rarescene.reports.realism import realism_config

    began = time.perf_counter()
    if ro_alone and synthetic:
        raise ConfigError("--ro-alone leaves out what --synthetic names", "Give one of the two.")
    given = [synthetic] if isinstance(synthetic, Path) else list(synthetic or ())
    if given and len(given) != len(pairs):
        what = f"{len(given)} segmenters were given for {len(pairs)} sets"
        raise ConfigError(what, "Give a --synthetic run for each set, in their order, or none.")
    compared = realism_config(inception)
    made = [read_record(folder, "scene set") for folder in pairs]
    trained = None if real is None else real_segmenter(real)
    source = open_as_in((trained or made[0]).provenance, data, split=split, group_by=group_by)
    if not source.split.test:
        raise DataError(f"{source.spec} has no test scenes to score on", "Choose another --split.")
    sets = [open_set(folder, source) for folder in pairs]
    rare = rare_classes(source, classes)

    names = _names(pairs)
    alone = [None if ro_alone else out / f"synthetic-{name}" for name in names]
    runs: list[Path | None] = [*given] or [*alone]
    decoded = {
        f"pairs {name}": decode(one.scenes, *one.scenes.mask(0).shape)
        for name, one in zip(names, sets, strict=True)
    } | {
        part: decode(source.scenes.subset(source.part(part)), *sets[0].scenes.mask(0).shape)
        for part in ("train", "test")
        if source.part(part)
    }
    record = RunRecord.begin(
        kind="coherence",
        config={
            "pairs": [str(folder) for folder in pairs], "real": str(real or out / "real"), "score": score,
            "synthetic": [None if run is None else str(run) for run in runs], "classes": list(rare),
        },
        seed=seed if trained is None else trained.seed,
        provenance=source.provenance(None).union(*(one.provenance for one in made)),
        class_table=source.scenes.classes.to_dict(), accelerator=accelerator(),
        decoded={name: one.digest for name, one in decoded.items()},
    )  # fmt: skip
    if resume:
        same_run(out, record)
        same_data(out, record)
    record.write(out)
    real = real or train_real(out / "real", source, sets[0].scenes, segmenter, steps, seed)
    judge = real_segmenter(real)
    never_saw_test(judge, source, real)
    if not given:
        for run, one in zip(alone, sets, strict=True):
            if run is not None:
                train_alone(run, source, judge, one.folder)
    behind = [judge, *(read_record(run, "segmenter") for run in filter(None, runs))]
    provenance = record.provenance.union(*(one.provenance for one in behind))
    record = replace(record, provenance=provenance)
    found = [
        measure(one, source, real, run, name=name, rare=rare, score=score, copies=copies, compared=compared)
        for one, run, name in zip(sets, runs, names, strict=True)
    ]
    report = coherence_report(found, sets, source, judge, record)
    ended = record.ended(time.perf_counter() - began, report.headlines())
    write_json(out / SCORES, {"run": ended.command, "commit": ended.commit, **report.to_dict()})
    chart = coherence_chart(report)
    if chart is not None:
        from PIL import Image

        with atomic(out / CHART) as temporary:
            Image.fromarray(chart).save(temporary, format="PNG")
    write_text(out / PAGE, coherence_markdown(report, None if chart is None else CHART))
    ended.write(out)
    show(coherence_table(report))
    say(f"written to {out / PAGE}")


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each set: its folder's, or with the folder above it where two are alike."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{folder.resolve().parent.name}-{folder.resolve().name}" for folder in folders]
    if len(set(names)) < len(names):
        raise ConfigError("a set is given twice, or two have one name", "Give each set once.")
    return names


def judge_training(model: Any, steps: int | None) -> TrainingConfig:
    """Return how a judge is trained where nobody trained one.

    As suits it, but in batches no larger than the U-Net's, and no longer unless steps are given: 50,000 steps
    of 100 scenes, as the GAUDA paper trains PHiSeg, are more than a measurement of a set should cost.
    """
    own, unet = (method_for("segmenters", one).training(one) for one in (model, UNetConfig()))
    if steps is None:
        steps = min(own.steps, unet.steps)
    return replace(
        own, steps=steps, batch_size=min(own.batch_size, unet.batch_size),
        warmup_steps=min(own.warmup_steps, steps // 10), save_every=min(own.save_every, steps),
    )  # fmt: skip


def train_real(
    out: Path, source: Data, pairs: SceneSet, segmenter: SegmenterName, steps: int | None, seed: int
) -> Path:
    """Train a segmenter on real scenes alone, at the size of the pairs, or go on with its training."""
    method = by_command("segmenters")[segmenter]
    model = method.config()
    training = judge_training(model, steps)
    if _finished(out):
        record = read_record(out, "segmenter")
        begun, took = record.config["segmenter"], record.config["training"]["steps"]
        if (begun, took, record.seed) != (method.name, training.steps, seed):
            what = f"holds a {begun} of {took} steps and seed {record.seed}"
            raise ConfigError(what, "Repeat the options of that run, or choose another --out.", out)
        return out
    height, width = pairs.mask(0).shape
    say(f"training {segmenter} on real scenes: {training.steps} steps of {training.batch_size}")
    segment.segment(
        method, model=model, training=training, data=source.spec, out=out, height=height, width=width,
        seed=seed, resume=True, **source.options,
    )  # fmt: skip
    return out


def train_alone(out: Path, source: Data, real: RunRecord, pairs: Path) -> Path:
    """Train the segmenter of a real run once more, on the pairs alone, or go on with that training."""
    from rarescene.reports.coherence_of_sets import ALONE, classic_of

    if _finished(out):
        return out
    config, classic = real.config, classic_of(real)
    training = config_from(TrainingConfig, config["training"])
    options: dict[str, Any] = {"offline": OfflineConfig(probability=ALONE)}
    if classic is not None:
        options["classic"] = config_from(ClassicConfig, classic)
    strategy = {"strategy": ",".join(options), "synthetic": pairs, "strategies": options}
    say(f"training {config['segmenter']} on {pairs.name} alone: {training.steps} steps")
    method = method_of("segmenters", config["segmenter"])
    segment.segment(
        method, model=config_from(method.config, config["model"]), training=training,
        data=source.spec, out=out, **strategy, augment=config_from(AugmentConfig, config["augment"]),
        height=config["height"], width=config["width"], seed=real.seed, resume=True, **source.options,
    )  # fmt: skip
    return out


def _finished(run: Path) -> bool:
    return (run / RECORD).is_file() and read_record(run, "segmenter").finished is not None
