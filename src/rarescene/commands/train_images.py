"""`rarescene train casdm | sdm | conditional-ddpm`: image generators that follow masks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.foundation.console import say
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord
from rarescene.generators.config import (
    CasdmConfig,
    ConditionalDdpmConfig,
    ImageDiffusionConfig,
    SdmConfig,
)
from rarescene.reports.cards import write_generator_card
from rarescene.scenes.data import decode, open_data
from rarescene.training.ranks import accelerator, is_main_process, processes

if TYPE_CHECKING:
    from rarescene.generators import ImageDiffusion, ImageDiffusionLearner


def train_casdm(
    *,
    model: CasdmConfig = CasdmConfig(),  # noqa: B008 - frozen
    **options: Any,
) -> None:
    """Train CASDM, which draws an image for a mask, on the training recordings of a data set.

    `torchrun --nproc_per_node N -m rarescene.cli train casdm …` trains on N devices.

    Args:
        model: sizes, losses and training; `--config paper|small|tiny` gives sensible ones.
        **options: those of every image generator.
    """
    from rarescene.generators import Casdm, CasdmLearner

    _train(Casdm, CasdmLearner, model, **options)


def train_sdm(
    *,
    model: SdmConfig = SdmConfig(),  # noqa: B008 - frozen
    **options: Any,
) -> None:
    """Train SDM, a baseline with plain MSE, learned variance and guidance, on the training recordings.

    `torchrun --nproc_per_node N -m rarescene.cli train sdm …` trains on N devices.

    Args:
        model: sizes, losses and training; `--config sdm-paper|sdm-small|sdm-tiny` gives sensible ones.
        **options: those of every image generator.
    """
    from rarescene.generators import Sdm, SdmLearner

    _train(Sdm, SdmLearner, model, **options)


def train_conditional_ddpm(
    *,
    model: ConditionalDdpmConfig = ConditionalDdpmConfig(),  # noqa: B008 - frozen
    **options: Any,
) -> None:
    """Train a conditional DDPM, a baseline that sees maps beside noisy images, on the training recordings.

    `torchrun --nproc_per_node N -m rarescene.cli train conditional-ddpm …` trains on N devices.

    Args:
        model: sizes and training; `--config conditional-ddpm-paper|-small|-tiny` gives sensible ones.
        **options: those of every image generator.
    """
    from rarescene.generators import ConditionalDdpm, ConditionalDdpmLearner

    _train(ConditionalDdpm, ConditionalDdpmLearner, model, **options)


def _train(
    kind: type[ImageDiffusion[Any]],
    learner_kind: type[ImageDiffusionLearner[Any]],
    model: ImageDiffusionConfig,
    *,
    data: str,
    out: Path,
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train an image generator.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation and noise.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.scenes import augment
    from rarescene.training import SceneBatches, fit

    main = is_main_process()
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    record = RunRecord.begin(
        kind=kind.name,
        config={"model": asdict(model)},
        seed=seed,
        provenance=source.provenance(),
        class_table=source.scenes.classes.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    if resume:
        same_run(out, record)

    train = source.scenes.subset(source.split.train)
    cache = decode(train, model.height, model.width)
    batches = SceneBatches(
        cache.take,
        range(len(train)),
        model.training.batch_size,
        seed,
        augment=lambda images, masks, seeds: augment(
            images, masks, seeds, model.augment, ignore_index=train.classes.ignore_index
        ),
    )
    learner = learner_kind(model, train.classes, seed)
    size = sum(weight.numel() for weight in learner.network.parameters())
    if main:
        record.write(out)
        say(f"{len(train)} scenes of {len(train.groups)} recordings; {size / 1e6:.1f} M parameters")
    fitted = fit(learner, batches, model.training, out, seed=seed, resume=resume, label=kind.name)
    if main:
        kind(fitted.average, model, train.classes).save(out / "model")  # type: ignore[arg-type]
        write_generator_card(out, record.end(out, fitted.seconds, fitted.metrics), size)
        say(f"trained in {fitted.seconds / 60:.1f} min; weights in {out / 'model'}")
