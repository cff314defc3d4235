"""`rarescene segment`: a segmenter, trained with or without synthetic pairs, at equal optimiser steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.augmentation.config import AdaptiveSamplingConfig, ClassicConfig, GaudaConfig, OfflineConfig
from rarescene.augmentation.refresh_log import refuse_more_steps
from rarescene.augmentation.strategies import StrategyOptions, build_strategy, placed, strategy_names
from rarescene.augmentation.validation import spread
from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.console import say
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.reports.cards import write_segmenter_card
from rarescene.reports.refreshes_page import PAGE, write_page
from rarescene.scenes import AugmentConfig, SceneSet
from rarescene.scenes.data import decode, open_data
from rarescene.scenes.pool import ScenePool
from rarescene.segmenters.config import (
    Mask2FormerConfig,
    PHiSegConfig,
    SegFormerConfig,
    SegmenterConfig,
    UNetConfig,
    UNetEnsembleConfig,
    training_defaults,
)
from rarescene.sources.leakage import agreed_size, open_generator, open_pairs
from rarescene.sources.mask_source import check_map_sampling
from rarescene.training.config import TrainingConfig
from rarescene.training.ranks import accelerator, is_main_process, processes

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.foundation.protocols import Batch

UNET_TRAINING = training_defaults(UNetConfig())
SEGFORMER_TRAINING = training_defaults(SegFormerConfig())
MASK2FORMER_TRAINING = training_defaults(Mask2FormerConfig())
PHISEG_TRAINING = training_defaults(PHiSegConfig())
UNET_ENSEMBLE_TRAINING = training_defaults(UNetEnsembleConfig())
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


def segment_phiseg(
    *,
    model: PHiSegConfig = PHiSegConfig(),  # noqa: B008 - frozen
    training: TrainingConfig = PHISEG_TRAINING,
    **options: Any,
) -> None:
    """Train PHiSeg, whose posterior samples tell what else a scene could show.

    Args:
        model: levels and latents of the network.
        training: the training loop; the same for all runs that are compared.
        **options: those of every segmenter.
    """
    _segment(model, training, **options)


def segment_unet_ensemble(
    *,
    model: UNetEnsembleConfig = UNetEnsembleConfig(),  # noqa: B008 - frozen
    training: TrainingConfig = UNET_ENSEMBLE_TRAINING,
    **options: Any,
) -> None:
    """Train an ensemble of U-Nets, which agree where they know and differ where they guess.

    Args:
        model: number and widths of the members.
        training: the training loop; its batch is that of each member.
        **options: those of every segmenter.
    """
    _segment(model, training, **options)


def _segment(
    model: SegmenterConfig,
    training: TrainingConfig,
    *,
    data: str,
    out: Path,
    strategy: str = "none",
    synthetic: Path | list[Path] | None = None,
    generator: Path | None = None,
    maps: Path | None = None,
    classes: str = "",
    copies: int | None = None,
    offline: OfflineConfig = OfflineConfig(),  # noqa: B008 - frozen
    classic: ClassicConfig = ClassicConfig(),  # noqa: B008
    adaptive: AdaptiveSamplingConfig = AdaptiveSamplingConfig(),  # noqa: B008
    gauda: GaudaConfig = GaudaConfig(),  # noqa: B008
    sampling: SamplingConfig = SamplingConfig(block=16),  # noqa: B008
    map_sampling: MapSamplingConfig = MapSamplingConfig(block=16),  # noqa: B008
    validation_scenes: int | None = None,
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
        strategy: none (real scenes alone), classic (crops, mirror images, rotations), duplicate (copies of
            rare scenes), adaptive (scenes of needy classes more often), offline (plus synthetic sets), gauda
            (pairs of the most uncertain classes, drawn while it trains); or several, which act in their
            order, such as "gauda,classic".
        synthetic: folder of `rarescene synthesize`, for offline; several as '[SET, SET]'.
        generator: run that trained a generator of pairs (joint, datasetgan), for gauda; with --maps, an image
            generator.
        maps: folder of a `train maps` run, which draws the masks for an image generator.
        classes: comma-separated rare classes, for duplicate; by default those that the statistics call rare.
        copies: how many, for duplicate; by default as many as there are training scenes.
        offline: how many synthetic scenes join, and how often they are drawn; a probability of 1 trains on
            them alone.
        classic: how much is cropped, mirrored and rotated.
        adaptive: what leads the drawing of real scenes, for adaptive.
        gauda: how many classes are asked for, how many pairs are drawn, how often they take a scene's place.
        sampling: how pairs are drawn, for gauda; its block is never larger than gauda.drawing.block and
            gauda.size.
        map_sampling: how maps are drawn, for gauda with --maps; as many at once as pairs, whatever its block.
        validation_scenes: how many scenes a validation looks at, evenly taken; by default all of that part.
        augment: flips and rotations of the training scenes.
        height: of the images the network sees; by default the generator's, the synthetic set's, or the data's
            up to 256.
        width: likewise.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation and strategy.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.augmentation.validation import Refreshing
    from rarescene.scenes import augment as augmented
    from rarescene.scenes import class_statistics
    from rarescene.segmenters import SEGMENTERS, save_segmenter
    from rarescene.training import MemberBatches, SceneBatches, fit

    sets = [synthetic] if isinstance(synthetic, Path) else list(synthetic or ())
    segmenter = next(name for name, kind in SEGMENTERS.items() if isinstance(model, kind))
    names = strategy_names(strategy)
    options = StrategyOptions(names, classes, copies, offline, classic, adaptive, gauda)
    options.check(segmenter, model, training, synthetic=bool(sets), generator=generator, maps=maps)
    check_map_sampling(maps, map_sampling)
    here, spare = placed(gauda) if "gauda" in names else (gauda, None)
    main = is_main_process()
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    options.check_validation(source, validation_scenes)
    table = source.scenes.classes
    made = [read_record(folder, "scene set") for folder in sets]
    pairs = [open_pairs(folder, record, source) for folder, record in zip(sets, made, strict=True)]
    behind = [record.provenance for record in made]
    fresh = None
    if generator is not None:
        # Blocks are padded, and a larger one than what is drawn at once would be drawn for nothing.
        block = min(sampling.block, gauda.drawing.block, gauda.size)
        fresh = open_generator(generator, maps, source, replace(sampling, block=block), map_sampling, spare)
        behind.append(fresh.provenance)
        height, width = agreed_size(fresh, generator, height, width)
    height, width = _size(pairs[0] if pairs else source.scenes, height, width)
    config = {
        "segmenter": segmenter,
        "model": asdict(model), "training": asdict(training), "augment": asdict(augment),
        "strategy": ",".join(names), "synthetic": ", ".join(map(str, sets)) or None, "classes": classes,
        "copies": copies, "strategies": options.settings(),
        "generator": None if generator is None else str(generator),
        "maps": None if maps is None else str(maps),
        "drawn": None if fresh is None else dict(fresh.made_by), "validation_scenes": validation_scenes,
        "height": height, "width": width,
    }  # fmt: skip
    record = RunRecord.begin(
        kind="segmenter", config=config, seed=seed,
        provenance=source.provenance().union(*behind), class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )  # fmt: skip
    if resume:
        same_run(out, record)
        if options.online:
            refuse_more_steps(out, training.steps)

    cache = decode(source.scenes, height, width)
    pool = ScenePool([cache, *(decode(one, height, width) for one in pairs)])
    learner = _learner(model, len(table), table.ignore_index, seed)
    predict = _in_between(learner.network)
    plan = build_strategy(replace(options, gauda=here), pool, source, fresh, predict, seed)
    real, scenes = len(source.split.train), plan.extend(source.split.train)

    def in_order(seed: int) -> SceneBatches:
        return SceneBatches(
            pool.take, scenes, training.batch_size, seed,
            augment=lambda images, masks, seeds: augmented(images, masks, seeds, augment, table.ignore_index),
            weights=plan.weights(),
        )  # fmt: skip

    batches: SceneBatches | MemberBatches = in_order(seed)
    if isinstance(model, UNetEnsembleConfig):
        batches = MemberBatches([in_order(derive_seed(seed, "member", m)) for m in range(model.members)])
    refreshing = Refreshing(
        plan, batches, cache, spread(source.split.validation, validation_scenes), out, training.steps, main
    )
    if main:
        record.write(out)
        say(
            f"{real} real scenes, {len(scenes) - real} added by {strategy!r}; "
            f"{training.steps} steps of {training.batch_size} at {width}×{height}"
        )

    try:
        fitted = fit(
            learner, batches, replace(training, batch_size=batches.batch_size), out, seed=seed, resume=resume,
            label=strategy, mix=plan.mix, validate=refreshing.validate, keeper=refreshing,
        )  # fmt: skip
    finally:
        plan.close()
    if main:
        save_segmenter(fitted.average, out / "model", table)  # type: ignore[arg-type]
        ended = record.end(out, fitted.seconds, fitted.metrics)
        write_segmenter_card(out, ended, sum(weight.numel() for weight in fitted.average.parameters()))
        if options.online:
            rare = class_statistics(cache.subset(source.split.train)).rare
            write_page(out, ended, refreshing.end(), [entry.name for entry in rare])
            say(f"what each refresh decided: {out / PAGE}")
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")


def _learner(model: SegmenterConfig, classes: int, ignore_index: int, seed: int) -> Any:
    import torch

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
            return self.network(batch.images, batch.masks)

    return SegmentationLearner()


def _in_between(network: Any) -> Callable[[Tensor], Tensor]:
    """Return the class probabilities of images by a network under training, wherever it is by then."""
    return lambda images: network.predict(images.to(next(network.parameters()).device))


def _size(scenes: SceneSet, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the size that was asked for, or else that of the first scene, its longer side at most 256."""
    real = scenes[0].mask.shape
    scale = min(1.0, 256 / max(real))
    return height or round(real[0] * scale), width or round(real[1] * scale)
