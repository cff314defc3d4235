"""`rarescene evaluate`: how well a segmenter does on scenes that it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rarescene.foundation.console import CONSOLE, progress, say
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import write_json
from rarescene.foundation.run_record import read_record
from rarescene.reports.cards import write_segmenter_card
from rarescene.reports.from_json import METRICS, scores_of_run
from rarescene.scenes.data import open_as_in, open_unsplit

if TYPE_CHECKING:
    from rarescene.scenes import Scene, SceneSet


BATCH = 16
"""Scenes that are predicted at once."""


def evaluate(
    run: Path,
    *,
    data: str,
    part: Literal["test", "validation", "all"] = "test",
    split: str | None = None,
    group_by: str | None = None,
    at: Literal["native", "run"] = "native",
    samples: int | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> None:
    """Score a segmenter on held-out recordings: IoU and Dice of every class, with intervals over recordings.

    Beside them stand average precision and calibration error, and, of a Bayesian segmenter, the uncertainty
    of every class at the size of the run's images.

    Args:
        run: folder of a `rarescene segment` run.
        data: NAME:PATH or a YAML file; `set:PATH` scores on all of a synthetic set, which is not split.
        part: part of the split to score on: test, validation or all.
        split: how DATA is split; by default as the run's data were.
        group_by: regular expression that tells the recordings of a folder apart; by default the run's.
        at: score at the masks' own resolution, or at that of the run's images.
        samples: posterior samples of a Bayesian segmenter; by default as many as it predicts with.
        out: the JSON file to write; by default RUN/metrics.json for the test part of real data, and a name
            that tells the part or the set for anything else.
        quiet: write the file and print no table.

    Raises:
        ConfigError: samples are asked for that the segmenter does not draw.
        LeakError: the segmenter saw recordings that it would be scored on.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from rarescene.evaluation import (
        MEASURES,
        AveragePrecisionMeter,
        CalibrationMeter,
        OverlapMeter,
        UncertaintyMeter,
    )
    from rarescene.foundation.protocols import BayesianSegmenter
    from rarescene.reports import confidence_table, overlap_table, read_confidence
    from rarescene.scenes import resize_image, resize_mask
    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images, to_masks

    if samples is not None and samples < 1:
        raise ConfigError(f"samples is {samples}", "Ask for one posterior sample or more.")
    trained = read_record(run, "segmenter")
    settings = trained.config
    synthetic = data.startswith("set:")
    source = (
        open_unsplit(data)
        if synthetic
        else open_as_in(trained.provenance, data, split=split, group_by=group_by)
    )
    table = source.scenes.classes
    network, _ = load_segmenter(run / "model", table)
    bayesian = isinstance(network, BayesianSegmenter)
    if samples is not None and not bayesian:
        what = f"--samples is {samples}, and a {settings['segmenter']} draws no posterior samples"
        raise ConfigError(what, "Leave --samples out, or score a PHiSeg or an ensemble of U-Nets.", run)
    chosen = source.part(part)
    if not chosen:
        raise DataError(f"the {part} part of {data} is empty", "Choose another --part, or another --split.")
    trained.provenance.seen.refuse(source.places(chosen), "the segmenter", run)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    height, width = settings["height"], settings["width"]
    meter = OverlapMeter(table.names, table.ignore_index)
    precision = AveragePrecisionMeter(len(table), table.ignore_index)
    calibration = CalibrationMeter(len(table), table.ignore_index)
    uncertainty = [UncertaintyMeter(len(table), table.ignore_index, one) for one in MEASURES if bayesian]
    done = 0
    with progress("scoring") as advance:
        for batch in _batches(source.scenes, chosen):
            images = to_images(np.stack([resize_image(scene.image, height, width) for scene in batch])).to(
                device
            )
            if isinstance(network, BayesianSegmenter):
                posterior = network.posterior(images, samples)  # (M, B, C, h, w)
                probabilities = posterior.mean(dim=0)
                small = to_masks(np.stack([resize_mask(scene.mask, height, width) for scene in batch]))
                for one in uncertainty:
                    one.update(posterior, small)
            else:
                probabilities = network.predict(images)
            masks = np.stack(
                [scene.mask if at == "native" else resize_mask(scene.mask, height, width) for scene in batch]
            )
            if probabilities.shape[-2:] != masks.shape[1:]:
                probabilities = F.interpolate(
                    probabilities, size=masks.shape[1:], mode="bilinear", align_corners=False
                )
            groups = [scene.record.group for scene in batch]
            meter.update(probabilities.argmax(1).cpu(), masks.astype(np.int64), groups)
            for gathering in (precision, calibration):
                gathering.update(probabilities, to_masks(masks))
            done += len(batch)
            advance(done, len(chosen))

    scores = meter.result()
    metrics = {
        "segmenter": settings["segmenter"], "strategy": settings["strategy"], "seed": trained.seed,
        "steps": settings["training"]["steps"], "batch_size": settings["training"]["batch_size"],
        "size": [height, width],
        "data": source.provenance().describe() | {"part": part, "at": at}, "classes": table.to_dict(),
        "scores": scores.to_dict(),
        "recordings": {name: overlap.to_dict() for name, overlap in meter.recordings.items()},
        "average_precision": precision.result().to_dict(),
        "calibration": calibration.result().to_dict(),
    }  # fmt: skip
    if bayesian:
        metrics["uncertainty"] = {one.measure: one.result().to_dict() for one in uncertainty}
    usual = (
        METRICS
        if not synthetic and part == "test"
        else f"metrics_{source.scenes.name if synthetic else part}.json"
    )
    path = out or run / usual
    write_json(path, metrics)
    column = scores_of_run(run.resolve().name, trained, metrics)
    if path == run / METRICS:
        write_segmenter_card(run, trained, sum(weight.numel() for weight in network.parameters()), column)
    if not quiet:
        CONSOLE.print(overlap_table([column], table))
        if (found := read_confidence(metrics, table.names)) is not None:
            CONSOLE.print(confidence_table(found, table))
        say(f"written to {path}")


def _batches(scenes: SceneSet, indices: Sequence[int]) -> Iterator[list[Scene]]:
    """Yield the scenes in order, several at a time as long as their masks are of one size."""
    batch: list[Scene] = []
    for index in indices:
        scene = scenes[index]
        if batch and (len(batch) == BATCH or scene.mask.shape != batch[0].mask.shape):
            yield batch
            batch = []
        batch.append(scene)
    if batch:
        yield batch
