"""`rarescene segment NAME`: a segmenter, with or without synthetic pairs, at equal optimiser steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.augmentation.refresh_log import refuse_more_steps
from rarescene.augmentation.strategies import Strategies
from rarescene.commands.training_run import TrainingRun, parameters_of
from rarescene.diffusion.config import InsertionConfig, MapSamplingConfig, SamplingConfig
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Count, Side
from rarescene.foundation.console import say
from rarescene.foundation.methods import SegmenterMethod, Surroundings
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.plugins import need_method, package_of
from rarescene.foundation.run_record import RECORD, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import AugmentConfig, SceneSet
from rarescene.scenes.data import decode, say_squashed
from rarescene.scenes.pool import ScenePool
from rarescene.scenes.split import PARTS
from rarescene.sources.composition import CompositionConfig
from rarescene.sources.insertion import check_composition, open_insertions
from rarescene.sources.leakage import agreed_size, open_generator, open_pairs
from rarescene.sources.mask_source import check_map_sampling
from rarescene.training.config import TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rarescene.augmentation.validation import Validation
    from rarescene.foundation.protocols import Batch
    from rarescene.scenes import Request
    from rarescene.segmenters import SegmentationNetwork
    from rarescene.sources.pair_source import PairSource
    from rarescene.training import Batches, Fitted, Learner

RARE = "rare"
"""What --compose says for the classes that are rare in the training part."""

AUGMENT = AugmentConfig(horizontal_flip=0.5, vertical_flip=0.0, rotation=0.0)


@takes_text_for_paths
@writes_folder("training", "segmenter")
def segment(method: SegmenterMethod, *, model: Any, training: TrainingConfig, **options: Any) -> None:
    """Train it on the training recordings, at optimiser steps that are equal whatever joins the real scenes.

    Args:
        method: the segmenter.
        model: sizes and losses of the network.
        training: the training loop; the same for all runs that are compared.
        **options: those of every segmenter.
    """
    from rarescene.augmentation.validation import Validation, spread
    from rarescene.segmenters import save_segmenter

    run = SegmentationRun(method, model, training, **options)
    learner = run.learner()

    def predict(images: Tensor) -> Tensor:  # wherever the network under training is by then
        found: Tensor = learner.network.predict(images.to(next(learner.network.parameters()).device))  # type: ignore[operator]
        return found

    plan = run.strategies.build(run.surroundings(predict))
    scenes = plan.extend(run.source.split.train)
    batches = run.ordered(scenes, plan.weights())
    looked_at = spread(run.source.split.validation, run.validation_scenes)
    cache = run.pool.caches[0]
    validation = Validation(plan, batches.reweigh, cache, looked_at, run.out, training.steps, run.main)
    run.start(
        f"{len(run.train)} real scenes, {len(scenes) - len(run.train)} added by {run.strategies.text!r}; "
        f"{training.steps} steps of {training.batch_size} at {run.width}×{run.height}"
    )
    try:
        fitted = run.fit(
            learner, batches, replace(training, batch_size=batches.batch_size),
            label=run.strategies.text, mix=plan.mix, validate=validation.validate, keeper=validation,
        )  # fmt: skip
    finally:
        plan.close()
    if run.main:
        save_segmenter(fitted.average, run.out / "model", run.table)  # type: ignore[arg-type]
        run.finish(fitted, validation)


class SegmentationRun(TrainingRun):
    """A training of a segmenter: the real scenes, and what its strategies add to them.

    Args:
        method: the segmenter.
        model: sizes and losses of the network.
        training: the training loop.
        strategy: how scenes join the training: one strategy, or several which act in their order, such as
            "gauda,classic"; none takes the real scenes alone.
        strategies: options of strategies, by name.
        synthetic: folder of `rarescene synthesize`, for offline; several as '[SET, SET]'.
        generator: run that trained a generator of pairs, for gauda; with --maps, one of images.
        maps: folder of a `train maps` run, which samples the masks for an image generator.
        compose: instead of whole pairs: the classes whose regions the generator draws into training frames,
            comma-separated, or "rare" for those that are rare in the training part.
        sampling: how pairs are generated while it trains; its block is never larger than gauda.drawing.block
            and gauda.size.
        map_sampling: how maps are sampled, with --maps; as many at once as pairs, whatever its block.
        composition: where a region may be, with --compose.
        insertion: how it is drawn into the frame, with --compose.
        validation_scenes: how many scenes a validation looks at, evenly taken; by default all of that part.
        augment: flips and rotations of the training scenes.
        height: of the images the network sees; by default the generator's, the synthetic set's, or the data's
            up to 256.
        width: likewise.
        **options: those of every training.
    """

    @takes_text_for_paths
    def __init__(
        self,
        method: SegmenterMethod,
        model: Any,
        training: TrainingConfig,
        *,
        strategy: str = "none",
        strategies: Mapping[str, Any] | None = None,
        synthetic: Path | list[Path] | None = None,
        generator: Path | None = None,
        maps: Path | None = None,
        compose: str = "",
        sampling: SamplingConfig = SamplingConfig(block=16),  # noqa: B008 - frozen
        map_sampling: MapSamplingConfig = MapSamplingConfig(block=16),  # noqa: B008
        composition: CompositionConfig = CompositionConfig(),  # noqa: B008 - frozen
        insertion: InsertionConfig = InsertionConfig(),  # noqa: B008 - frozen
        validation_scenes: Count | None = None,
        augment: AugmentConfig = AUGMENT,
        height: Side | None = None,
        width: Side | None = None,
        **options: Any,
    ) -> None:
        from rarescene.training.ranks import spare_device

        self.method, self.model, self.training, self.augment = method, model, training, augment
        self.validation_scenes = validation_scenes
        sets = [synthetic] if isinstance(synthetic, Path) else list(synthetic or ())
        if options.get("resume"):
            _need_strategies(options["out"])
        self.strategies = Strategies.named(strategy, strategies or {})
        self.strategies.check(
            method, training, synthetic=bool(sets), generator=generator, maps=maps, compose=compose
        )
        check_map_sampling(maps, map_sampling)
        check_composition(compose, composition, insertion)
        self.spare = spare_device() if self.strategies.beside else None

        super().__init__(**options)
        self.strategies.check_validation(self.source, validation_scenes)
        made = [read_record(folder, "scene set") for folder in sets]
        pairs = [open_pairs(folder, record, self.source) for folder, record in zip(sets, made, strict=True)]
        behind = [record.provenance for record in made]
        self.fresh: PairSource[Request] | None = None
        if generator is not None:
            # Blocks are padded, and a larger one than what is generated at once would be sampled for nothing.
            sampling = replace(sampling, block=min(sampling.block, self.strategies.block or sampling.block))
            if compose:
                self.fresh = open_insertions(
                    generator, self.source, classes="" if compose == RARE else compose, sampling=sampling,
                    composition=composition, insertion=insertion, on_request=True, device=self.spare,
                )  # fmt: skip
            else:
                self.fresh = open_generator(generator, maps, self.source, sampling, map_sampling, self.spare)
            behind.append(self.fresh.provenance)
            height, width = agreed_size(self.fresh, generator, height, width)
        self.height, self.width = _size(pairs[0] if pairs else self.source.scenes, height, width)
        config = {
            "segmenter": method.name, **package_of(method), "model": asdict(model),
            "training": asdict(training), "augment": asdict(augment), "strategy": self.strategies.text,
            "strategies": self.strategies.settings(), "synthetic": ", ".join(map(str, sets)) or None,
            "generator": None if generator is None else str(generator),
            "maps": None if maps is None else str(maps), "compose": compose or None,
            "drawn": None if self.fresh is None else dict(self.fresh.made_by),
            "validation_scenes": validation_scenes, "height": self.height, "width": self.width,
        }  # fmt: skip
        padded = {"pad": list(pad)} if (pad := self.source.scenes.pad) else {}
        self.begin("segmenter", config | padded, *behind)
        if self.resume and self.strategies.online:
            refuse_more_steps(self.out, training.steps)
        say_squashed(self.source.scenes, self.height, self.width)
        everything = (self.source.scenes, *pairs)
        self.pool = ScenePool([decode(one, self.height, self.width) for one in everything])
        real, *drawn = self.pool.caches
        parts = {part: real.subset(getattr(self.source.split, part)) for part in PARTS}
        self.learn_from(parts | {f"synthetic {n}": one for n, one in enumerate(drawn, start=1)})

    def learner(self) -> Learner:
        """Return the network as the loop trains it.

        Its weights come from the run's seed, and from where the options name weights that were learned
        before; a run that goes on from a checkpoint has all of them there.
        """
        import torch

        from rarescene.segmenters import build_segmenter
        from rarescene.segmenters.schedules import PRETRAINED_RATE
        from rarescene.training import Learner
        from rarescene.training.checkpoints import checkpoints

        begun = self.resume and checkpoints(self.out / "checkpoints")
        build = self.method.build if begun else build_segmenter
        model, table, seed = self.model, self.table, self.seed

        class SegmentationLearner(Learner):
            """Hands the segmenter's own loss to the loop."""

            network: SegmentationNetwork

            def __init__(self) -> None:
                super().__init__()
                with torch.random.fork_rng():
                    torch.manual_seed(derive_seed(seed, "weights"))
                    self.network = build(model, len(table), table.ignore_index)

            def groups(self) -> list[tuple[list[nn.Parameter], float]]:
                groups = super().groups()
                if (backbone := self.network.backbone) is None:
                    return groups
                learned, weights = set(backbone.parameters()), groups[0][0]
                new = [weight for weight in weights if weight not in learned]
                return [(new, 1.0), ([weight for weight in weights if weight in learned], PRETRAINED_RATE)]

            def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
                terms: dict[str, Tensor] = self.network(batch.images, batch.masks)
                return terms

        return SegmentationLearner()

    def surroundings(self, predict: Any) -> Surroundings:
        """Return what strategies may be made from, given what the segmenter under training predicts."""
        from rarescene.training import agreed

        train = self.source.split.train
        return Surroundings(self.pool, train, self.seed, self.fresh, self.spare, predict, agreed)

    def ordered(self, scenes: Sequence[int], weights: Sequence[float] | None) -> Batches | Any:
        """Return batches of these scenes of the pool; each member of an ensemble has an order of its own."""
        from rarescene.scenes import augment
        from rarescene.training import MemberBatches, SceneBatches

        def in_order(seed: int) -> SceneBatches:
            return SceneBatches(
                self.pool.take, scenes, self.training.batch_size, seed,
                augment=lambda images, masks, seeds: augment(
                    images, masks, seeds, self.augment, self.table.ignore_index
                ),
                weights=weights,
            )  # fmt: skip

        if (members := self.method.members(self.model)) == 1:
            return in_order(self.seed)
        return MemberBatches([in_order(derive_seed(self.seed, "member", m)) for m in range(members)])

    def finish(self, fitted: Fitted, validation: Validation) -> None:
        """End the record, and write the card and the page about what each refresh decided."""
        from rarescene.reports.cards import write_segmenter_card
        from rarescene.reports.refreshes_page import PAGE, write_page
        from rarescene.scenes import class_statistics

        ended = self.record.ended(fitted.seconds, fitted.metrics)
        write_segmenter_card(self.out, ended, parameters_of(fitted.average))
        if self.strategies.online:
            rare = class_statistics(self.pool.caches[0].subset(self.source.split.train)).rare
            write_page(self.out, ended, validation.end(), [entry.name for entry in rare])
            say(f"what each refresh decided: {self.out / PAGE}")
        ended.write(self.out)
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {self.out / 'model'}")


def _need_strategies(out: Path) -> None:
    """Raise `CheckpointError` where a strategy of the run that is resumed is not installed here."""
    if (out / RECORD).is_file():
        for name, told in read_record(out, "segmenter").config["strategies"].items():
            need_method("strategies", name, told.get("package"), out)


def _size(scenes: SceneSet, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the size that was asked for, or else that of the first scene, its longer side at most 256."""
    real = scenes[0].mask.shape
    scale = min(1.0, 256 / max(real))
    return height or round(real[0] * scale), width or round(real[1] * scale)
