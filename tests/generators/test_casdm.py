"""CASDM: its two losses, and its weights on disk. What all generators share: test_image_generators.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rarescene.diffusion import ClassAwareConfig, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import CheckpointError
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner
from rarescene.scenes import AugmentConfig
from rarescene.testing.toys import equal, moved_off_zero
from rarescene.training import fit

from .toy import (
    NETWORK,
    QUICK,
    TABLE,
    TRAINING,
    assert_painted_in_their_colours,
    batches,
    long_training,
    maps,
)

CONFIG = CasdmConfig(
    height=16,
    width=16,
    network=NETWORK,
    diffusion=DiffusionConfig(prediction="v"),
    class_aware=ClassAwareConfig(),
    self_perceptual=SelfPerceptualConfig(weight=0.1, warmup_steps=3, refresh_every=2),
    augment=AugmentConfig(),
    training=TRAINING,
)


def learner(config: CasdmConfig = CONFIG) -> CasdmLearner:
    return CasdmLearner(config, TABLE, seed=0)


def trained(config: CasdmConfig = CONFIG) -> Casdm:
    return Casdm(moved_off_zero(learner(config).network), config, TABLE)  # type: ignore[arg-type]


def test_the_perceptual_loss_sets_in_after_its_warmup_and_its_gradients_are_logged(tmp_path: Path) -> None:
    log = fit(learner(), batches(CONFIG), TRAINING, tmp_path, seed=0).log
    assert "casp" not in log[0]
    assert log[1]["casp"] > 0
    assert log[1]["gradient_camse"] > 0
    assert log[1]["gradient_casp"] > 0


def test_phi_is_the_snapshot_of_the_average_and_takes_no_gradient() -> None:
    made = learner()
    average = trained().network
    made.before_step(2, average)  # before the warm-up ends
    assert made.phi is not None
    assert not equal(made.phi, average)
    made.before_step(3, average)
    assert equal(made.phi, average)
    made(batches(CONFIG)(0), 3)["loss"].backward()
    assert all(weight.grad is None for weight in made.phi.parameters())
    assert any(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in made.network.parameters()
    )


def test_without_weight_there_is_no_phi() -> None:
    plain = replace(CONFIG, self_perceptual=SelfPerceptualConfig(weight=0.0))
    made = learner(plain)
    assert made.phi is None
    assert set(made(batches(plain)(0), 10)) == {"loss", "camse"}


def test_damaged_or_foreign_weights_are_named(tmp_path: Path) -> None:
    trained().save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        Casdm.load(tmp_path)
    wide = replace(CONFIG, network=replace(CONFIG.network, base_channels=32))
    trained(wide).save(tmp_path / "wide")
    weights.write_bytes((tmp_path / "wide" / "weights.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="tells another content"):
        Casdm.load(tmp_path)
    (tmp_path / "weights.safetensors.sha256").unlink()  # as in a folder that an earlier version wrote
    with pytest.raises(CheckpointError, match="do not fit"):
        Casdm.load(tmp_path)


@pytest.mark.slow
def test_it_learns_to_paint_each_class_in_its_colour(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        network=QUICK,
        training=long_training(),
        self_perceptual=SelfPerceptualConfig(weight=0.02, warmup_steps=60, refresh_every=30),
    )
    fitted = fit(learner(config), batches(config), config.training, tmp_path, seed=0)
    generator = Casdm(fitted.average, config, TABLE)  # type: ignore[arg-type]
    masks = maps(4)
    assert_painted_in_their_colours(generator.generate(masks, seeds=range(4), steps=10), masks)
