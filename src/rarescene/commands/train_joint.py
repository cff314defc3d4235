"""`rarescene train joint`: a generator of pairs in the latents of two VQ-GANs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.commands.training_run import TrainingRun, parameters_of
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.generators.joint_latent_config import JointLatentConfig
from rarescene.generators.latents import training_latents
from rarescene.scenes.data import Data
from rarescene.sources.pair_source import weights_hash

if TYPE_CHECKING:
    from torch import nn

    from rarescene.generators import JointLatent, LabelCondition, PairCodec, TextCondition
    from rarescene.scenes import ClassTable, RequestPool


@takes_text_for_paths
@writes_folder("training", "joint_latent")
def train_joint(
    *,
    images: Path,
    masks: Path,
    model: JointLatentConfig = JointLatentConfig(),  # noqa: B008 - frozen
    **options: Any,
) -> None:
    """Train joint latent diffusion, which samples an image and its mask at once, on the training recordings.

    `torchrun --nproc_per_node N -m rarescene.cli train joint …` trains on N devices.

    Args:
        images: folder of a `train image-vqgan` run.
        masks: folder of a `train mask-vqgan` run; the model of OUT holds both, and needs no other folder.
        model: sizes, condition and training; `--config joint-paper|joint-small|joint-tiny` gives sensible
            ones. `--model.condition text` asks in prompts, with numbers and places.
        **options: those of every training.
    """
    from rarescene.generators import JointLatent, JointLatentLearner, LatentBatches, rare_scene_weights
    from rarescene.scenes import Request, RequestPool
    from rarescene.training import this_rank

    behind = read_record(images, "image_vqgan"), read_record(masks, "mask_vqgan")
    run = TrainingRun(**options)
    for folder, trained in zip((images, masks), behind, strict=True):
        _check(trained, folder, run.source, model)
    codec = _open_codec(images, masks, model.network.stride, run.table)
    hashes = weights_hash(images), weights_hash(masks)
    config = {"model": asdict(model), "image_vqgan": hashes[0], "mask_vqgan": hashes[1]}
    run.begin(JointLatent.name, config, *(trained.provenance for trained in behind))

    scenes = run.decode(model.height, model.width)
    ids, mirrored = scenes.take_masks(range(len(scenes))), model.horizontal_flip > 0
    pool = RequestPool.of_masks(ids, run.table)
    shown = [Request.from_mask(mask, run.table) for mask in ids]
    shown += [Request.from_mask(mask[:, ::-1], run.table) for mask in ids] if mirrored else []
    condition = _condition(model, run.table, pool, (scenes.class_pixels > 0).mean(axis=0).tolist())
    learner = JointLatentLearner(model, condition, codec.channels, shown, run.seed)
    size = parameters_of(learner.network)
    channels, height, width = codec.shape(model.height, model.width)
    run.start(
        f"{len(run.train)} scenes of {len(run.train.groups)} recordings, {len(pool)} different requests; "
        f"latents of {width}×{height}×{channels}; {size / 1e6:.1f} M parameters",
        pool,
    )
    latents = training_latents(codec, scenes, hashes, mirrored=mirrored, device=this_rank().device)
    codec.to("cpu")  # the memory of the device is for the training
    batches = LatentBatches(
        latents.standardised, len(scenes), model.horizontal_flip, model.training.batch_size, run.seed,
        weights=rare_scene_weights(scenes.class_pixels, model.rare_scenes),
    )  # fmt: skip

    def generator_of(average: nn.Module) -> JointLatent:
        return JointLatent(average, model, codec, latents.scales, condition).to(this_rank().device)

    watch = run.watch("pairs", generator_of, model.height, model.width, model.training.steps)
    fitted = run.fit(learner, batches, model.training, watch=watch)
    if run.main:
        generator = generator_of(fitted.average)
        generator.save(run.out / "model")
        run.end(generator.summary, size, latents.seconds + fitted.seconds, fitted.metrics)


def _check(trained: RunRecord, folder: Path, source: Data, model: JointLatentConfig) -> None:
    """Refuse a VQ-GAN that is unfinished, of other classes or another size, or that saw what is held out."""
    if trained.finished is None:
        raise CheckpointError(
            f"the {trained.kind} is not trained to its end", "Repeat its command with --resume.", folder
        )
    trained.provenance.seen.refuse(
        source.places((*source.split.validation, *source.split.test)), f"the {trained.kind}", folder
    )
    theirs = tuple(trained.config["model"][side] for side in ("height", "width"))
    if theirs != (model.height, model.width):
        raise ConfigError(
            f"the {trained.kind} was trained on {theirs[1]}×{theirs[0]}, and the generator is to make "
            f"{model.width}×{model.height}",
            "Set model.height and model.width to the VQ-GAN's, or train that anew.",
            folder,
        )


def _open_codec(images: Path, masks: Path, stride: int, table: ClassTable) -> PairCodec:
    from rarescene.generators import ImageVqGan, MaskVqGan, PairCodec

    codec = PairCodec(ImageVqGan.load(images / "model"), MaskVqGan.load(masks / "model"), stride)
    if codec.table.fingerprint != table.fingerprint:
        raise CheckpointError(
            f"knows the classes of {codec.table.name!r}; those of the data are {table.name!r}",
            "Train the VQ-GANs on data of the same class table.",
            masks,
        )
    return codec


def _condition(
    model: JointLatentConfig, table: ClassTable, pool: RequestPool, frequency: list[float]
) -> LabelCondition | TextCondition:
    """Return what the network is told; for `text`, the prompts are encoded now."""
    from rarescene.generators import LabelCondition, PromptBook, TextCondition
    from rarescene.networks import TextEncoder

    if model.condition == "labels":
        return LabelCondition(model, table)
    return TextCondition(
        model, PromptBook.write(table, TextEncoder.open(model.text_encoder), pool.most), frequency
    )
