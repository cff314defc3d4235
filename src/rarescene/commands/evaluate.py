"""`rarescene evaluate`: how well a segmenter does on scenes that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Samples
from rarescene.foundation.console import progress, say, show
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import alone_at, alone_in, need_own_file
from rarescene.foundation.plugins import methods
from rarescene.foundation.run_record import read_record
from rarescene.reports.cards import write_segmenter_card
from rarescene.scenes.data import open_as_in, open_unsplit

BATCH = 16
"""Scenes that are predicted at once."""


@takes_text_for_paths
def evaluate(
    run: Path,
    *,
    data: str,
    part: Literal["test", "validation", "all"] = "test",
    split: str | None = None,
    group_by: str | None = None,
    at: Literal["native", "run"] = "native",
    samples: Samples | None = None,
    label: str = "",
    out: Path | None = None,
    quiet: bool = False,
) -> None:
    """Score a segmenter on held-out recordings: IoU and Dice of every class, with intervals over recordings.

    Masks that any other model predicted are scored by `rarescene score`.

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
        label: what `compare` and `report` call the run's arm; runs of one label are its seeds. By default it
            is called by its strategy, and by what differs from other runs of that.
        out: the JSON file to write; by default RUN/metrics.json for the test part of real data, and a name
            that tells the part or the set for anything else.
        quiet: write the file and print no table.

    Raises:
        CheckpointError: the segmenter is not trained to its end.
        ConfigError: samples are asked for that the segmenter does not have.
        LeakError: the segmenter saw recordings that it would be scored on.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from rarescene.evaluation import METRICS, OverlapMeter, RunMetrics
    from rarescene.evaluation.run_metrics import FIELDS, NEEDED
    from rarescene.foundation.protocols import BayesianSegmenter, Predicted
    from rarescene.reports import metric_columns, metric_table, overlap_table
    from rarescene.reports.tables import scores_of_run
    from rarescene.scenes import data_digest, pixel_digest, resize_image, resize_mask
    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images, to_masks

    need_own_file(out, *(f'"{name}"' for name in NEEDED))
    trained = read_record(run, "segmenter")
    if trained.finished is None:
        raise CheckpointError(
            "the segmenter is not trained to its end", "Repeat its command with --resume.", run
        )
    settings = trained.config
    synthetic = data.startswith("set:")
    source = (
        open_unsplit(data)
        if synthetic
        else open_as_in(trained.provenance, data, split=split, group_by=group_by).padded_as_in(trained)
    )
    table = source.scenes.classes
    network, _ = load_segmenter(run / "model", table)
    bayesian = isinstance(network, BayesianSegmenter)
    if samples is not None and not bayesian:
        what = f"--samples is {samples}, and a {settings['segmenter']} has no posterior samples"
        raise ConfigError(what, "Leave --samples out, or score a PHiSeg or an ensemble of U-Nets.", run)
    chosen = source.part(part)
    if not chosen:
        raise DataError(f"the {part} part of {data} is empty", "Choose another --part, or another --split.")
    trained.provenance.seen.refuse(source.places(chosen), "the segmenter", run)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    height, width = settings["height"], settings["width"]
    overlap = OverlapMeter(table.names, table.ignore_index)
    meters = {
        name: meter
        for name, metric in methods("metrics").items()
        if (meter := metric.build(table, network)) is not None
    }
    if taken := [name for name in meters if name in FIELDS]:
        what = f"the metric {taken[0]!r} bears the name of a field of {METRICS}"
        raise ConfigError(what, f"Rename it, or uninstall {methods('metrics')[taken[0]].package}.")
    pixels: list[str] = []
    with progress("scoring") as advance:
        for batch in source.scenes.subset(chosen).batches(BATCH):
            seen = np.stack([resize_image(scene.image, height, width) for scene in batch])
            ids = np.stack(
                [resize_mask(one.mask, height, width, ignore_index=table.ignore_index) for one in batch]
            )
            pixels += [pixel_digest(image, mask) for image, mask in zip(seen, ids, strict=True)]
            small, images, posterior = to_masks(ids), to_images(seen).to(device), None
            if isinstance(network, BayesianSegmenter):
                posterior = network.posterior(images, samples)  # (M, B, C, h, w)
            probabilities = network.predict(images) if posterior is None else posterior.mean(dim=0)
            masks = small if at == "run" else to_masks(np.stack([scene.mask for scene in batch]))
            if probabilities.shape[-2:] != masks.shape[1:]:
                probabilities = F.interpolate(
                    probabilities, size=masks.shape[1:], mode="bilinear", align_corners=False
                )
            groups = [scene.record.group for scene in batch]
            overlap.update(probabilities.argmax(1).cpu(), masks, groups)
            for meter in meters.values():
                meter.update(Predicted(probabilities, masks, groups, posterior, small))
            advance(len(pixels), len(chosen))
    names = [source.scenes.records[index].name for index in chosen]
    told = trained.decoded.get(part)
    theirs, ours = trained.provenance.recordings.get(part, ()), source.split.recordings.get(part, ())
    the_same = source.scenes.name == trained.provenance.name and tuple(theirs) == tuple(ours)
    if told and the_same and data_digest(table, names, pixels) != told:
        say(
            f"note: the {part} scenes are not as they were when {run} was trained: masks, images or what "
            "the class table says of them were changed since"
        )

    metrics = RunMetrics(
        segmenter=settings["segmenter"],
        strategy=settings["strategy"],
        seed=trained.seed,
        steps=settings["training"]["steps"],
        batch_size=settings["training"]["batch_size"],
        size=(height, width),
        data=source.provenance().describe() | {"part": part, "at": at},
        classes=table,
        scores=overlap.result(),
        recordings=overlap.recordings,
        measured={name: meter.result().to_dict() for name, meter in meters.items()},
        label=label,
    )
    usual = (
        METRICS
        if not synthetic and part == "test"
        else f"metrics_{source.scenes.name if synthetic else part}.json"
    )
    path = out or run / usual
    column = scores_of_run(run.resolve().name, trained, metrics)
    with alone_in(run, wait=True) if path.parent == run else alone_at(path):
        if path == run / METRICS:
            write_segmenter_card(run, trained, sum(weight.numel() for weight in network.parameters()), column)
        write_json(path, metrics.to_dict())  # last, since a recipe takes a run that has it for scored
    if not quiet:
        show(overlap_table([column], table))
        if columns := metric_columns(metrics.measured):
            show(metric_table(columns, table))
        say(f"written to {path}")
