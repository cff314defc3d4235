"""The two segmenters of `rarescene coherence`: trained on real scenes, and on the pairs of one set alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rarescene.augmentation.classic import ClassicConfig
from rarescene.augmentation.offline import OfflineConfig
from rarescene.commands import segment
from rarescene.foundation.configs import config_from
from rarescene.foundation.console import say
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.plugins import by_command, method_for, method_of
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes import AugmentConfig, SceneSet
from rarescene.scenes.data import Data
from rarescene.segmenters.unet_config import UNetConfig
from rarescene.training.config import TrainingConfig

SegmenterName = Literal["unet", "segformer", "mask2former", "phiseg", "unet-ensemble"]

ALONE = OfflineConfig(probability=1.0)
"""Every scene of a batch is synthetic."""


def synthetic_segmenter(run: Path, pairs: Path, real: RunRecord) -> RunRecord:
    """Return the record of a segmenter that was trained on these pairs alone, and else as the real one.

    Raises:
        CheckpointError: it was not.
    """
    record = read_record(run, "segmenter")
    remedy = (
        f"Train it with --strategy offline --synthetic {pairs} --offline.probability 1 and the other options "
        "of the run on real scenes, its --seed too, or leave --synthetic out, to have it trained."
    )
    if record.finished is None:
        raise CheckpointError("the segmenter is not fully trained", "End it with --resume.", run)
    config = record.config
    settings = _strategies(record).get("offline", {})
    if settings.get("probability") != ALONE.probability or config.get("generator"):
        raise CheckpointError("was not trained on synthetic pairs alone", remedy, run)
    if Path(config["synthetic"]).resolve() != pairs.resolve():
        raise CheckpointError(f"was trained on other pairs ({config['synthetic']})", remedy, run)
    differ = [name for name in _ALIKE if config[name] != real.config[name]]
    differ += ["classic"] if _classic(record) != _classic(real) else []
    differ += ["seed"] if record.seed != real.seed else []
    if differ:
        what = f"is another segmenter than the one trained on real scenes: {', '.join(differ)} differ"
        raise CheckpointError(what, remedy, run)
    return record


_ALIKE = ("segmenter", "model", "training", "augment", "height", "width")
"""Settings that the two segmenters must share."""


def _strategies(record: RunRecord) -> Mapping[str, Any]:
    """Return the settings of a run's strategies by name; a run on real scenes alone may name none."""
    return record.config.get("strategies") or {}


def _classic(record: RunRecord) -> Mapping[str, Any] | None:
    """Return the settings of classic augmentation, the one strategy that suits pairs as it suits frames."""
    return _strategies(record).get("classic")


def judge_training(model: Any, steps: int | None) -> TrainingConfig:
    """Return how a judge is trained where nobody trained one.

    As suits it, but in batches no larger than the U-Net's, and no longer unless steps are given: 50,000 steps
    of 100 scenes, as the GAUDA paper trains PHiSeg, are more than a measurement of a set should cost.
    """
    own, unet = (method_for("segmenters", one).training(one) for one in (model, UNetConfig()))
    if steps is None:
        steps = min(own.steps, unet.steps)
    return replace(
        own, steps=steps, batch_size=min(own.batch_size, unet.batch_size),
        warmup_steps=min(own.warmup_steps, steps // 10), save_every=min(own.save_every, steps),
    )  # fmt: skip


def train_real(
    out: Path, source: Data, pairs: SceneSet, segmenter: SegmenterName, steps: int | None, seed: int
) -> Path:
    """Train a segmenter on real scenes alone, at the size of the pairs, or go on with its training."""
    name = segmenter.replace("-", "_")
    method = by_command("segmenters")[segmenter]
    model = method.config()
    training = judge_training(model, steps)
    if _finished(out):
        record = read_record(out, "segmenter")
        begun, took = record.config["segmenter"], record.config["training"]["steps"]
        if (begun, took, record.seed) != (name, training.steps, seed):
            what = f"holds a {begun} of {took} steps and seed {record.seed}"
            raise ConfigError(what, "Repeat the options of that run, or choose another --out.", out)
        return out
    height, width = pairs.mask(0).shape
    say(f"training {segmenter} on real scenes: {training.steps} steps of {training.batch_size}")
    segment.segment(
        method, model=model, training=training, data=source.spec, out=out, height=height, width=width,
        seed=seed, resume=True, **source.options,
    )  # fmt: skip
    return out


def train_alone(out: Path, source: Data, real: RunRecord, pairs: Path) -> Path:
    """Train the segmenter of a real run once more, on the pairs alone, or go on with that training."""
    if _finished(out):
        return out
    config, classic = real.config, _classic(real)
    training = config_from(TrainingConfig, config["training"])
    options: dict[str, Any] = {"offline": ALONE}
    if classic is not None:
        options["classic"] = config_from(ClassicConfig, classic)
    strategy = {"strategy": ",".join(options), "synthetic": pairs, "strategies": options}
    say(f"training {config['segmenter']} on {pairs.name} alone: {training.steps} steps")
    method = method_of("segmenters", config["segmenter"])
    segment.segment(
        method, model=config_from(method.config, config["model"]), training=training,
        data=source.spec, out=out, **strategy, augment=config_from(AugmentConfig, config["augment"]),
        height=config["height"], width=config["width"], seed=real.seed, resume=True, **source.options,
    )  # fmt: skip
    return out


def _finished(run: Path) -> bool:
    return (run / RECORD).is_file() and read_record(run, "segmenter").finished is not None


def never_saw_test(record: RunRecord, source: Data, run: Path) -> None:
    """Raise `LeakError` if a segmenter saw test scenes."""
    record.provenance.seen.refuse(source.places(source.split.test), "the segmenter", run)
