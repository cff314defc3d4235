"""`rarescene segment`: a segmenter, trained with or without synthetic pairs, at equal optimiser steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import RunRecord, Seen, read_record
from rarescene.scenes import AugmentConfig, SceneCache, SceneSet
from rarescene.segmenters.config import (
    Mask2FormerConfig,
    SegFormerConfig,
    SegmenterConfig,
    UNetConfig,
    training_defaults,
)
from rarescene.training.config import TrainingConfig
from rarescene.workflows.cards import write_segmenter_card
from rarescene.workflows.prepared import (
    accelerator,
    class_ids,
    decode,
    fresh_folder,
    is_main_process,
    open_data,
    processes,
    same_run,
    say,
)
from rarescene.workflows.synthetic import open_pairs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rarescene.foundation.protocols import Batch, Strategy

StrategyName = Literal["none", "duplicate", "offline"]

UNET_TRAINING = training_defaults(UNetConfig())
SEGFORMER_TRAINING = training_defaults(SegFormerConfig())
MASK2FORMER_TRAINING = training_defaults(Mask2FormerConfig())
AUGMENT = AugmentConfig(horizontal_flip=0.5, vertical_flip=0.0, rotation=0.0)


def segment_unet(
    *,
    model: UNetConfig = UNetConfig(),  # noqa: B008 - frozen
    training: TrainingConfig = UNET_TRAINING,
    **options: Any,
) -> None:
    """Train the compact U-Net, which answers at full resolution and so sees the smallest targets.

    Args:
        model: widths and losses of the network.
        training: the training loop; the same for all runs that are compared.
        **options: those of every segmenter.
    """
    _segment(model, training, **options)


def segment_segformer(
    *,
    model: SegFormerConfig = SegFormerConfig(),  # noqa: B008 - frozen
    training: TrainingConfig = SEGFORMER_TRAINING,
    **options: Any,
) -> None:
    """Train SegFormer from scratch. It answers at a quarter of the resolution that it sees.

    Args:
        model: size of the network.
        training: the training loop; the same for all runs that are compared. Its defaults suit b0; tiny wants
            a learning rate of 2e-3.
        **options: those of every segmenter.
    """
    _segment(model, training, **options)


def segment_mask2former(
    *,
    model: Mask2FormerConfig = Mask2FormerConfig(),  # noqa: B008 - frozen
    training: TrainingConfig = MASK2FORMER_TRAINING,
    **options: Any,
) -> None:
    """Train Mask2Former from scratch. It answers at a quarter of the resolution that it sees.

    Args:
        model: size of the network, and weights of its loss.
        training: the training loop; the same for all runs that are compared. Its defaults suit swin-t; tiny
            wants a learning rate of 2e-3.
        **options: those of every segmenter.
    """
    _segment(model, training, **options)


def _segment(
    model: SegmenterConfig,
    training: TrainingConfig,
    *,
    data: str,
    out: Path,
    strategy: StrategyName = "none",
    synthetic: Path | list[Path] | None = None,
    classes: str = "",
    copies: int | None = None,
    augment: AugmentConfig = AUGMENT,
    height: int | None = None,
    width: int | None = None,
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train a segmenter.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        strategy: none (real scenes alone), duplicate (copies of rare scenes), offline (plus synthetic sets).
        synthetic: folder of `rarescene synthesize`, for offline; several as '[SET, SET]'.
        classes: comma-separated rare classes, for duplicate; by default those that the statistics call rare.
        copies: how many, for duplicate; by default as many as there are training scenes.
        augment: flips and rotations of the training scenes.
        height: of the images the network sees; by default the synthetic set's, or the data's up to 256.
        width: likewise.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order and augmentation.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.scenes import augment as augmented
    from rarescene.segmenters import SEGMENTERS, save_segmenter
    from rarescene.training import SceneBatches, fit

    sets = [synthetic] if isinstance(synthetic, Path) else list(synthetic or ())
    if bool(sets) != (strategy == "offline"):
        raise ConfigError(
            f"strategy {strategy!r} {'takes no' if sets else 'needs a'} synthetic set",
            "Give --strategy offline and --synthetic SET together, or neither.",
        )
    main = is_main_process()
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    table = source.scenes.classes
    made = [read_record(folder, "scene set") for folder in sets]
    pairs = [open_pairs(folder, record, source) for folder, record in zip(sets, made, strict=True)]
    height, width = _size(pairs[0] if pairs else source.scenes, height, width)
    config = {
        "segmenter": next(name for name, kind in SEGMENTERS.items() if isinstance(model, kind)),
        "model": asdict(model), "training": asdict(training), "augment": asdict(augment),
        "strategy": strategy, "synthetic": ", ".join(map(str, sets)) or None, "classes": classes,
        "copies": copies,
        "height": height, "width": width, **source.options,
    }  # fmt: skip
    seen = reduce(Seen.union, (one.seen for one in made), source.seen("train"))
    record = RunRecord.begin(
        kind="segmenter", config=config, seed=seed, data=source.describe(*made),
        recordings=source.recordings(), seen=seen, class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )  # fmt: skip
    if resume:
        same_run(out, record)

    cache = decode(source.scenes, height, width)
    pool = _Pool([cache, *(decode(one, height, width) for one in pairs)])
    plan = _strategy(strategy, cache, source.split.train, len(pool), classes, copies, seed)
    real, scenes = len(source.split.train), plan.extend(source.split.train)
    batches = SceneBatches(
        pool.take, scenes, training.batch_size, seed,
        augment=lambda images, masks, seeds: augmented(images, masks, seeds, augment, table.ignore_index),
        weights=plan.weights(),
    )  # fmt: skip
    learner = _learner(model, len(table), table.ignore_index, seed)
    if main:
        record.write(out)
        say(
            f"{real} real scenes, {len(scenes) - real} added by {strategy!r}; "
            f"{training.steps} steps of {training.batch_size} at {width}×{height}"
        )

    def validate(step: int, network: nn.Module) -> dict[str, float]:
        scores = score(network, cache, source.split.validation)
        plan.refresh(network, [])  # type: ignore[arg-type]
        return {"validation": scores} if scores is not None else {}

    began = time.perf_counter()
    fitted = fit(
        learner, batches, training, out, seed=seed, resume=resume, label=strategy, mix=plan.mix,
        validate=validate, keeper=plan,
    )  # fmt: skip
    if main:
        save_segmenter(fitted.average, out / "model", table)  # type: ignore[arg-type]
        ended = record.end(out, time.perf_counter() - began, fitted.metrics)
        write_segmenter_card(out, ended, sum(weight.numel() for weight in fitted.average.parameters()))
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")


def score(network: nn.Module, cache: SceneCache, indices: Sequence[int]) -> float | None:
    """Return the label-mean IoU on decoded scenes, at the size they were decoded to; None without any."""
    import torch

    from rarescene.evaluation import OverlapMeter
    from rarescene.training import to_images, to_masks

    if not len(indices):
        return None
    device = next(network.parameters()).device
    meter = OverlapMeter(cache.classes.names, cache.classes.ignore_index)
    for start in range(0, len(indices), 16):
        chosen = list(indices[start : start + 16])
        pixels, ids = cache.take(chosen)
        with torch.inference_mode():
            found = network.predict(to_images(pixels).to(device)).argmax(1).cpu()  # type: ignore[operator]
        meter.update(found, to_masks(ids), [cache.records[index].group for index in chosen])
    return meter.result().label_mean.iou


def _learner(model: SegmenterConfig, classes: int, ignore_index: int, seed: int) -> Any:
    import torch

    from rarescene.foundation.seeds import derive_seed
    from rarescene.segmenters import build_segmenter
    from rarescene.training import Learner

    class SegmentationLearner(Learner):
        """Hands the segmenter's own loss to the loop."""

        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(derive_seed(seed, "weights"))
                self.network = build_segmenter(model, classes, ignore_index)

        def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
            return {"loss": self.network(batch.images, batch.masks)}

    return SegmentationLearner()


def _strategy(
    name: StrategyName,
    cache: SceneCache,
    train: Sequence[int],
    pool: int,
    classes: str,
    copies: int | None,
    seed: int,
) -> Strategy:
    from rarescene.augmentation import Duplicate, DuplicateConfig, NoAugmentation, Offline, OfflineConfig
    from rarescene.scenes import class_statistics

    match name:
        case "none":
            return NoAugmentation()
        case "offline":
            return Offline(OfflineConfig(seed=seed), range(len(cache), pool))
        case "duplicate":
            # What is rare is asked of the training recordings alone.
            rare = (entry.name for entry in class_statistics(cache.subset(train)).rare)
            targets = class_ids(cache.classes, classes) or cache.classes.ids_of(rare)
            return Duplicate(DuplicateConfig(count=copies, seed=seed), cache.class_pixels > 0, targets)


class _Pool:
    """Real scenes, followed by those of each synthetic set."""

    def __init__(self, caches: Sequence[SceneCache]) -> None:
        self.caches = caches
        self.starts = np.cumsum([0, *(len(cache) for cache in caches)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return images and masks in the order of `indices`."""
        places = np.asarray(indices)
        owners = np.searchsorted(self.starts, places, side="right") - 1
        parts = [
            (owners == owner, self.caches[owner].take(places[owners == owner] - self.starts[owner]))
            for owner in np.unique(owners)
        ]
        images, masks = (np.empty((len(places), *parts[0][1][kind].shape[1:]), np.uint8) for kind in (0, 1))
        for which, (pixels, ids) in parts:
            images[which], masks[which] = pixels, ids
        return images, masks


def _size(scenes: SceneSet, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the size that was asked for, or else that of the first scene, its longer side at most 256."""
    real = scenes[0].mask.shape
    scale = min(1.0, 256 / max(real))
    return height or round(real[0] * scale), width or round(real[1] * scale)
