"""`rarescene evaluate`: how well a segmenter does on scenes that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.run_record import read_record
from rarescene.workflows.prepared import CONSOLE, open_data, progress

METRICS = "metrics.json"


def evaluate(
    run: Path,
    *,
    data: str,
    part: str = "test",
    split: str | None = None,
    at: Literal["native", "run"] = "native",
    out: Path | None = None,
    quiet: bool = False,
) -> None:
    """Score a segmenter on held-out recordings: IoU and Dice of every class, with intervals over recordings.

    Args:
        run: folder of a `rarescene segment` run.
        data: NAME:PATH or a YAML file; `set:PATH` scores on a synthetic set.
        part: part of the split to score on: test, validation or all.
        split: how DATA is split; by default as the run's data were, and not at all for a synthetic set.
        at: score at the masks' own resolution, or at that of the run's images.
        out: the JSON file to write; RUN/metrics.json by default.
        quiet: write the file and print no table.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from rarescene.evaluation import OverlapMeter
    from rarescene.reports import overlap_table, run_scores
    from rarescene.scenes import resize_image, resize_mask
    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images

    trained = read_record(run, "segmenter")
    settings = trained.config
    source = open_data(
        data, split or settings["split"], settings["split_seed"], settings["fractions"], settings["group_by"]
    )
    table = source.scenes.classes
    network, _ = load_segmenter(run / "model", table)
    chosen = source.part(part)
    if not chosen:
        raise DataError(f"the {part} part of {data} is empty", "Choose another --part, or another --split.")
    trained.seen.refuse(source.places(chosen), "the segmenter", run)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    height, width = settings["height"], settings["width"]
    meter = OverlapMeter(table.names, table.ignore_index)
    with progress("scoring") as advance:
        for done, index in enumerate(chosen, start=1):
            scene = source.scenes[index]
            image = to_images(resize_image(scene.image, height, width)[None]).to(device)
            probabilities = network.predict(image)
            mask = scene.mask if at == "native" else resize_mask(scene.mask, height, width)
            if probabilities.shape[-2:] != mask.shape:
                probabilities = F.interpolate(probabilities, size=mask.shape, mode="bilinear", align_corners=False)
            meter.update(probabilities.argmax(1).cpu(), mask[None].astype(np.int64), [scene.record.group])
            advance(done, len(chosen))

    scores = meter.result()
    path = out or run / METRICS
    metrics = {
        "segmenter": settings["segmenter"], "strategy": settings["strategy"], "seed": trained.seed,
        "steps": settings["training"]["steps"], "batch_size": settings["training"]["batch_size"],
        "data": source.describe() | {"part": part, "at": at}, "classes": table.to_dict(),
        "scores": scores.to_dict(),
        "recordings": {name: overlap.to_dict() for name, overlap in meter.recordings.items()},
    }  # fmt: skip
    write_json(path, metrics)
    if quiet:
        return
    CONSOLE.print(overlap_table([run_scores(run.name, metrics["scores"])], table))
    CONSOLE.print(f"written to {path}")


def read_metrics(run: Path) -> dict[str, Any]:
    """Return what `evaluate` wrote in a run folder. Raises `CheckpointError` when it has not been called yet."""
    if not (run / METRICS).is_file():
        raise CheckpointError("has not been scored yet", f"First: rarescene evaluate {run} --data DATA", run)
    return dict(read_json(run / METRICS))
