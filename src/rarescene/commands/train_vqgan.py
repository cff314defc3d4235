"""`rarescene train image-vqgan | mask-vqgan`: the autoencoders in front of the joint generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.console import say
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord
from rarescene.generators.config import ImageVqGanConfig, MaskVqGanConfig, VqGanConfig
from rarescene.reports.cards import write_generator_card
from rarescene.reports.reconstruction import judge_images, judge_masks, judged_scenes
from rarescene.scenes.data import Data, decode, open_data
from rarescene.training.ranks import accelerator, is_main_process, processes

if TYPE_CHECKING:
    from rarescene.generators import ImageVqGanLearner, MaskVqGanLearner
    from rarescene.scenes import SceneCache
    from rarescene.training import Fitted, Take


def train_image_vqgan(
    *,
    data: str,
    out: Path,
    model: ImageVqGanConfig = ImageVqGanConfig(),  # noqa: B008 - frozen
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train a VQ-GAN of images on the training recordings, and judge it on the validation ones.

    `torchrun --nproc_per_node N -m rarescene.cli train image-vqgan …` trains on N devices.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        model: sizes, losses and training; `--config image-vqgan-paper|-small|-tiny` gives sensible ones.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation and revived codes.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.generators import ImageVqGan, ImageVqGanLearner

    source, record = _begin(
        ImageVqGan.name, model, data, out, (split, fractions, split_seed, group_by), seed, resume
    )
    train = decode(source.scenes.subset(source.split.train), model.height, model.width)
    learner = ImageVqGanLearner(model, train.classes, seed)
    fitted = _fit(learner, model, train, train.take, record, out, seed, resume)
    if is_main_process():
        vqgan = ImageVqGan(fitted.average, model, train.classes)  # type: ignore[arg-type]
        vqgan.save(out / "model")
        part, scenes = judged_scenes(source, model.height, model.width, images=True)
        measures = judge_images(out, vqgan, part, scenes)
        write_generator_card(
            out,
            record.end(out, fitted.seconds, fitted.metrics),
            _size(learner),
            summary="Encodes images as small latents on a codebook, and decodes them.",
            measures=measures,
        )
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")


def train_mask_vqgan(
    *,
    data: str,
    out: Path,
    model: MaskVqGanConfig = MaskVqGanConfig(),  # noqa: B008 - frozen
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train a VQ-GAN of masks on the training recordings, and judge it on the validation ones.

    Images are not needed. `torchrun --nproc_per_node N -m rarescene.cli train mask-vqgan …` trains on N
    devices.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        model: sizes, losses and training; `--config mask-vqgan-paper|-small|-tiny` gives sensible ones.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation and revived codes.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.generators import MaskVqGan, MaskVqGanLearner

    source, record = _begin(
        MaskVqGan.name, model, data, out, (split, fractions, split_seed, group_by), seed, resume
    )
    train = decode(source.scenes.subset(source.split.train), model.height, model.width, images=False)

    def take(indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        masks = train.take_masks(indices)
        return np.zeros((*masks.shape, 3), np.uint8), masks  # the loop carries images, which nobody sees

    learner = MaskVqGanLearner(model, train.classes, seed)
    fitted = _fit(learner, model, train, take, record, out, seed, resume)
    if is_main_process():
        vqgan = MaskVqGan(fitted.average, model, train.classes)  # type: ignore[arg-type]
        vqgan.save(out / "model")
        part, scenes = judged_scenes(source, model.height, model.width, images=False)
        measures = judge_masks(out, vqgan, part, scenes)
        write_generator_card(
            out,
            record.end(out, fitted.seconds, fitted.metrics),
            _size(learner),
            summary="Encodes masks as small latents on a codebook, and decodes them to class probabilities.",
            measures=measures,
        )
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")


def _begin(
    kind: str,
    model: VqGanConfig,
    data: str,
    out: Path,
    options: tuple[str, tuple[float, float, float] | None, int, str | None],
    seed: int,
    resume: bool,
) -> tuple[Data, RunRecord]:
    """Open the data, and begin the run's record or see that it is the one that was begun."""
    if is_main_process():
        fresh_folder(out, resume, "training")
    split, fractions, split_seed, group_by = options
    source = open_data(data, split, split_seed, fractions, group_by)
    record = RunRecord.begin(
        kind=kind,
        config={"model": asdict(model)},
        seed=seed,
        provenance=source.provenance(),
        class_table=source.scenes.classes.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    if resume:
        same_run(out, record)
    return source, record


def _fit(
    learner: ImageVqGanLearner | MaskVqGanLearner,
    model: VqGanConfig,
    train: SceneCache,
    take: Take,
    record: RunRecord,
    out: Path,
    seed: int,
    resume: bool,
) -> Fitted:
    """Train, and return the outcome."""
    from rarescene.generators import rare_scene_weights
    from rarescene.scenes import augment
    from rarescene.training import SceneBatches, fit

    batches = SceneBatches(
        take,
        range(len(train)),
        model.training.batch_size,
        seed,
        augment=lambda images, masks, seeds: augment(
            images, masks, seeds, model.augment, ignore_index=train.classes.ignore_index
        ),
        weights=rare_scene_weights(train.class_pixels, model.rare_scenes),
    )
    if is_main_process():
        record.write(out)
        factor, channels = model.network.factor, model.network.channels
        say(
            f"{len(train)} scenes of {len(set(train.recordings))} recordings; latents of "
            f"{-(-model.width // factor)}×{-(-model.height // factor)}×{channels}; "
            f"{_size(learner) / 1e6:.1f} M parameters"
        )
    return fit(learner, batches, model.training, out, seed=seed, resume=resume, label=record.kind)


def _size(learner: Any) -> int:
    return sum(weight.numel() for weight in learner.network.parameters())
