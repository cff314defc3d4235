"""`rarescene train NAME`: a generator of images, of maps or of pairs, or an autoencoder before one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.commands.training_run import TrainingRun, parameters_of
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import ShareBelowOne
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.plugins import package_of
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_record import read_record
from rarescene.scenes.data import decode
from rarescene.sources.leakage import open_frames_of_set

if TYPE_CHECKING:
    from rarescene.reports import Measure


@takes_text_for_paths
@writes_folder("training")
def train(
    method: GeneratorMethod,
    *,
    model: Any,
    unlabelled: Path | None = None,
    unlabelled_share: ShareBelowOne = 0.5,
    **options: Any,
) -> None:
    """Train it on the training recordings of a data set.

    `torchrun --nproc_per_node N -m rarescene.cli train NAME …` trains on N devices. Where images are not
    needed, a set of masks alone will do.

    Args:
        method: the generator.
        model: sizes, losses and training; the example below names a shipped configuration.
        unlabelled: folder of a `pseudolabel` set, whose frames train a generator of images for masks too:
            with what is labelled of them, and the rest as unlabelled.
        unlabelled_share: how often a sampled scene is one of those.
        **options: those of every training.
    """
    from rarescene.generators import rare_scene_weights
    from rarescene.scenes import RequestPool

    if unlabelled is not None and method.generates != "images":
        what = f"a {method.command} generates no images for masks, by which it would learn from --unlabelled"
        raise ConfigError(what, "Leave it out, or train casdm, sdm or conditional-ddpm.")
    if unlabelled is None and unlabelled_share != 0.5:
        remedy = "Add --unlabelled SET, or leave it out."
        raise ConfigError("--unlabelled_share speaks of --unlabelled", remedy)
    run = TrainingRun(**options)
    config: dict[str, Any] = {"model": asdict(model), **package_of(method)}
    behind: list[Provenance] = []
    frames = None
    if method.generates == "images":
        config["unlabelled"] = None
    if unlabelled is not None:
        config |= {"unlabelled": str(unlabelled), "unlabelled_share": unlabelled_share}
        made = read_record(unlabelled, "scene set")
        frames = decode(open_frames_of_set(unlabelled, made, run.source), model.height, model.width)
        behind.append(made.provenance)
    run.begin(method.name, config, *behind)
    scenes = run.decode(model.height, model.width, images=method.needs_images)
    if frames is not None:
        run.learn_from({"train": scenes, "unlabelled": frames})
    assert method.learner is not None
    learner = method.learner.load().of_scenes(model, scenes, run.seed)
    size = parameters_of(learner.network)
    said = f"{len(run.train)} scenes of {len(run.train.groups)} recordings; "
    pool = None
    if method.generates in ("maps", "pairs"):  # what may be asked of it later
        pool = RequestPool.of_masks(scenes.take_masks(range(len(scenes))), run.table)
        said += f"{len(pool)} different requests; "
    if frames is not None:
        said += f"{len(frames)} frames of {len(frames.groups)} recordings without masks; "
    remark = getattr(learner, "remark", "")
    run.start(f"{said}{f'{remark}; ' if remark else ''}{size / 1e6:.1f} M parameters", pool)
    weights = rare_scene_weights(scenes.class_pixels, getattr(model, "rare_scenes", 0.0))
    if frames is not None:
        usual = np.ones(len(scenes)) if weights is None else np.asarray(weights, np.float64)
        others = np.full(len(frames), unlabelled_share / len(frames))
        weights = [*(usual * (1 - unlabelled_share) / usual.sum()), *others]
    batches = run.batches(
        scenes, model.training, model.augment, weights, images=method.needs_images, others=frames
    )
    shown: dict[str, Any] = {}
    if method.generates != "latents":
        height, width, steps = model.height, model.width, model.training.steps
        shown["watch"] = run.watch(method.generates, learner.generator, height, width, steps)
    fitted = run.fit(learner, batches, model.training, **shown)
    if run.main:
        generator = learner.generator(fitted.average)
        generator.save(run.out / "model")
        measures = _judged(run, method, generator) if method.generates == "latents" else ()
        run.end(generator.summary, size, fitted.seconds, fitted.metrics, measures)


def _judged(run: TrainingRun, method: GeneratorMethod, autoencoder: Any) -> tuple[Measure, ...]:
    """Return how well an autoencoder brings back scenes of the validation recordings."""
    from rarescene.reports.reconstruction import judge_images, judge_masks, judged_scenes

    config = autoencoder.config
    part, scenes = judged_scenes(run.source, config.height, config.width, images=method.needs_images)
    judge = judge_images if method.needs_images else judge_masks
    return tuple(judge(run.out, autoencoder, part, scenes))
