"""`rarescene train maps`: a generator of segmentation maps that follows requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rarescene.foundation.console import say
from rarescene.foundation.files import write_json
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord
from rarescene.generators.config import PromptedMapsConfig
from rarescene.reports.cards import write_generator_card
from rarescene.scenes.data import decode, open_data
from rarescene.training.ranks import accelerator, is_main_process, processes

REQUESTS = "requests.json"


def train_maps(
    *,
    data: str,
    out: Path,
    model: PromptedMapsConfig = PromptedMapsConfig(),  # noqa: B008 - frozen
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train a generator that draws segmentation maps from prompts, on the masks of the training recordings.

    Images are not needed. `torchrun --nproc_per_node N -m rarescene.cli train maps …` trains on N devices.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        model: sizes, prompts and training; `--config maps-paper|maps-small|maps-tiny` gives sensible ones.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation, prompts and noise.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.generators import (
        MapCode,
        PromptBook,
        PromptedMaps,
        PromptedMapsLearner,
        rare_scene_weights,
        touching_classes,
    )
    from rarescene.networks import TextEncoder
    from rarescene.scenes import RequestPool, augment
    from rarescene.training import SceneBatches, fit

    main = is_main_process()
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    table = source.scenes.classes
    record = RunRecord.begin(
        kind="maps",
        config={"model": asdict(model)},
        seed=seed,
        provenance=source.provenance(),
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    if resume:
        same_run(out, record)

    train = source.scenes.subset(source.split.train)
    cache = decode(train, model.height, model.width, images=False)
    everything = range(len(cache))
    masks = cache.take_masks(everything)
    pool = RequestPool.of_masks(masks, table)
    code = MapCode.of(model.representation, touching_classes(masks, len(table)))
    book = PromptBook.write(table, TextEncoder.open(model.text_encoder), pool.most)

    def take(indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        masks = cache.take_masks(indices)
        return np.zeros((*masks.shape, 3), np.uint8), masks  # the loop carries images, which nobody sees

    batches = SceneBatches(
        take,
        everything,
        model.training.batch_size,
        seed,
        augment=lambda images, masks, seeds: augment(
            images, masks, seeds, model.augment, ignore_index=table.ignore_index
        ),
        weights=rare_scene_weights(cache.class_pixels, model.rare_scenes),
    )
    learner = PromptedMapsLearner(model, book, code, seed, (cache.class_pixels > 0).mean(axis=0).tolist())
    size = sum(weight.numel() for weight in learner.network.parameters())
    if main:
        record.write(out)
        write_json(out / REQUESTS, pool.to_dict(table))
        say(
            f"{len(train)} masks of {len(train.groups)} recordings, {len(pool)} different requests; "
            f"{size / 1e6:.1f} M parameters; prompts encoded by {book.encoder}"
        )
    fitted = fit(learner, batches, model.training, out, seed=seed, resume=resume, label="maps")
    if main:
        PromptedMaps(fitted.average, model, book, code).save(out / "model")  # type: ignore[arg-type]
        ended = record.end(out, fitted.seconds, fitted.metrics)
        write_generator_card(
            out,
            ended,
            size,
            summary=f"Draws a segmentation map for a request; prompts are encoded by {book.encoder}.",
        )
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")
