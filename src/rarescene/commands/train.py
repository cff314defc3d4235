"""`rarescene train NAME`: a generator of images, of maps or of pairs, or an autoencoder before one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rarescene.commands.training_run import TrainingRun, parameters_of
from rarescene.foundation.methods import GeneratorMethod
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.plugins import package_of

if TYPE_CHECKING:
    from rarescene.reports import Measure


@writes_folder("training")
def train(method: GeneratorMethod, *, model: Any, **options: Any) -> None:
    """Train it on the training recordings of a data set.

    `torchrun --nproc_per_node N -m rarescene.cli train NAME …` trains on N devices. Where images are not
    needed, a set of masks alone will do.

    Args:
        method: the generator.
        model: sizes, losses and training; the example below names a shipped configuration.
        **options: those of every training.
    """
    from rarescene.generators import rare_scene_weights
    from rarescene.scenes import RequestPool

    run = TrainingRun(**options)
    run.begin(method.name, {"model": asdict(model), **package_of(method)})
    scenes = run.decode(model.height, model.width, images=method.needs_images)
    assert method.learner is not None
    learner = method.learner.load().of_scenes(model, scenes, run.seed)
    size = parameters_of(learner.network)
    said = f"{len(run.train)} scenes of {len(run.train.groups)} recordings; "
    pool = None
    if method.generates in ("maps", "pairs"):  # what may be asked of it later
        pool = RequestPool.of_masks(scenes.take_masks(range(len(scenes))), run.table)
        said += f"{len(pool)} different requests; "
    remark = getattr(learner, "remark", "")
    run.start(f"{said}{f'{remark}; ' if remark else ''}{size / 1e6:.1f} M parameters", pool)
    weights = rare_scene_weights(scenes.class_pixels, getattr(model, "rare_scenes", 0.0))
    batches = run.batches(scenes, model.training, model.augment, weights, images=method.needs_images)
    fitted = run.fit(learner, batches, model.training)
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
