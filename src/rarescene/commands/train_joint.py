"""`rarescene train joint`: a generator of pairs in the latents of two VQ-GANs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rarescene.foundation.console import say
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import write_json
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.generators.config import JointLatentConfig
from rarescene.generators.latents import training_latents
from rarescene.reports.cards import write_generator_card
from rarescene.scenes.data import Data, decode, open_data
from rarescene.sources.pair_source import weights_hash
from rarescene.sources.requests import REQUESTS
from rarescene.training.ranks import accelerator, is_main_process, processes

if TYPE_CHECKING:
    from rarescene.generators import LabelCondition, PairCodec, TextCondition
    from rarescene.scenes import ClassTable, RequestPool


def train_joint(
    *,
    data: str,
    images: Path,
    masks: Path,
    out: Path,
    model: JointLatentConfig = JointLatentConfig(),  # noqa: B008 - frozen
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train joint latent diffusion, which draws an image and its mask at once, on the training recordings.

    `torchrun --nproc_per_node N -m rarescene.cli train joint …` trains on N devices.

    Args:
        data: NAME:PATH or a YAML file.
        images: folder of a `train image-vqgan` run.
        masks: folder of a `train mask-vqgan` run.
        out: folder of the run; its `model` holds the VQ-GANs too and needs no other folder.
        model: sizes, condition and training; `--config joint-paper|joint-small|joint-tiny` gives sensible
            ones. `--model.condition text` asks in prompts, with numbers and places.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, mirroring, condition and noise.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.generators import (
        JointLatent,
        JointLatentLearner,
        LatentBatches,
        rare_scene_weights,
    )
    from rarescene.scenes import Request, RequestPool
    from rarescene.training import fit, this_rank

    main = is_main_process()
    behind = read_record(images, "image_vqgan"), read_record(masks, "mask_vqgan")
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    table = source.scenes.classes
    for folder, trained in zip((images, masks), behind, strict=True):
        _check(trained, folder, source, model)
    codec = _open_codec(images, masks, model.network.stride, table)
    record = RunRecord.begin(
        kind=JointLatent.name,
        config={
            "model": asdict(model), "image_vqgan": weights_hash(images), "mask_vqgan": weights_hash(masks),
        },
        seed=seed,
        provenance=source.provenance().union(*(one.provenance for one in behind)),
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )  # fmt: skip
    if resume:
        same_run(out, record)

    train = source.scenes.subset(source.split.train)
    cache = decode(train, model.height, model.width)
    ids, mirrored = cache.take_masks(range(len(cache))), model.horizontal_flip > 0
    pool = RequestPool.of_masks(ids, table)
    shown = [Request.from_mask(mask, table) for mask in ids]
    shown += [Request.from_mask(mask[:, ::-1], table) for mask in ids] if mirrored else []
    condition = _condition(model, table, pool, (cache.class_pixels > 0).mean(axis=0).tolist())
    learner = JointLatentLearner(model, condition, codec.channels, shown, seed)
    size = sum(weight.numel() for weight in learner.network.parameters())
    if main:
        record.write(out)
        write_json(out / REQUESTS, pool.to_dict(table))
        channels, height, width = codec.shape(model.height, model.width)
        say(
            f"{len(train)} scenes of {len(train.groups)} recordings, {len(pool)} different requests; latents "
            f"of {width}×{height}×{channels}; {size / 1e6:.1f} M parameters"
        )
    weights = record.config["image_vqgan"], record.config["mask_vqgan"]
    latents = training_latents(codec, cache, weights, mirrored=mirrored, device=this_rank().device)
    codec.to("cpu")  # the memory of the device is for the training
    batches = LatentBatches(
        latents.standardised,
        len(cache),
        model.horizontal_flip,
        model.training.batch_size,
        seed,
        weights=rare_scene_weights(cache.class_pixels, model.rare_scenes),
    )
    fitted = fit(learner, batches, model.training, out, seed=seed, resume=resume, label=JointLatent.name)
    if main:
        JointLatent(fitted.average, model, codec, latents.scales, condition).save(out / "model")
        ended = record.end(out, latents.seconds + fitted.seconds, fitted.metrics)
        asked = "prompts with number and place" if condition.words else "the classes that it shows"
        write_generator_card(
            out, ended, size, summary=f"Draws an image and its mask at once; asked for by {asked}."
        )
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")


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
            f"the {trained.kind} was trained on {theirs[1]}×{theirs[0]}, and the generator is to draw "
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
