"""CASDM: what it learns, what it draws, and that both can be interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from rarescene.diffusion import ClassAwareConfig, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.protocols import Batch, ImageGenerator
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner
from rarescene.scenes import AugmentConfig
from rarescene.training import fit

from .toy import (
    NETWORK,
    TABLE,
    TRAINING,
    assert_painted_in_their_colours,
    batches,
    equal,
    long_training,
    maps,
    moved_off_zero,
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


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = fit(learner(), batches(CONFIG), TRAINING, tmp_path / "whole", seed=0)

    class Dying(CasdmLearner):
        def before_step(self, step: int, average: nn.Module) -> None:
            if step == 5:
                raise KeyboardInterrupt
            super().before_step(step, average)

    with pytest.raises(KeyboardInterrupt):
        fit(Dying(CONFIG, TABLE, seed=0), batches(CONFIG), TRAINING, tmp_path / "cut", seed=0)
    resumed = fit(learner(), batches(CONFIG), TRAINING, tmp_path / "cut", seed=0, resume=True)
    assert equal(whole.average, resumed.average)


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


def test_the_loss_of_a_scene_does_not_depend_on_its_batch() -> None:
    made = learner()
    batch = batches(CONFIG)(0)
    whole = made(batch, 0)["loss"]
    alone = [
        made(Batch(batch.images[i : i + 1], batch.masks[i : i + 1], batch.seeds[i : i + 1]), 0)["loss"]
        for i in range(4)
    ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddpm", "ddim", "unipc"])
def test_an_image_depends_on_its_mask_and_seed_alone(sampler: str) -> None:
    generator = trained()
    together = generator.generate(maps(3), seeds=[5, 6, 7], sampler=sampler, steps=4)
    alone = generator.generate(maps(3)[1:2], seeds=[6], sampler=sampler, steps=4)
    assert (together[1:2] - alone).abs().max() <= 2 / 127.5
    other = generator.generate(maps(3)[1:2], seeds=[8], sampler=sampler, steps=4)
    assert (other - alone).abs().max() > 0.05
    assert torch.equal(together, generator.generate(maps(3), seeds=[5, 6, 7], sampler=sampler, steps=4))


def test_half_precision_draws_nearly_the_same_and_leaves_the_weights_alone() -> None:
    generator = trained()
    whole = generator.generate(maps(2), seeds=[1, 2], steps=4)
    half = generator.generate(maps(2), seeds=[1, 2], steps=4, precision="bf16")
    assert 0 < (whole - half).abs().mean() < 0.05
    assert torch.equal(whole, generator.generate(maps(2), seeds=[1, 2], steps=4))


def test_sizes_that_the_strides_do_not_divide_are_padded_and_cut_back() -> None:
    generator = trained()
    odd = generator.generate(maps(1, 13, 18), seeds=[1], steps=3)
    assert odd.shape == (1, 3, 13, 18)
    assert torch.isfinite(odd).all()


def test_a_saved_generator_draws_the_same(tmp_path: Path) -> None:
    generator = trained()
    assert isinstance(generator, ImageGenerator)
    generator.save(tmp_path)
    loaded = Casdm.load(tmp_path)
    assert loaded.config == generator.config
    assert loaded.table == TABLE
    arguments = {"seeds": [1, 2], "steps": 3}
    assert torch.equal(generator.generate(maps(2), **arguments), loaded.generate(maps(2), **arguments))  # type: ignore[arg-type]
    assert not list(tmp_path.rglob("*.pt"))
    assert not list(tmp_path.rglob("*.bin"))


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
    with pytest.raises(CheckpointError, match="do not fit"):
        Casdm.load(tmp_path)


@pytest.mark.slow
def test_it_learns_to_paint_each_class_in_its_colour(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        training=long_training(),
        self_perceptual=SelfPerceptualConfig(weight=0.02, warmup_steps=200, refresh_every=100),
    )
    fitted = fit(learner(config), batches(config), config.training, tmp_path, seed=0)
    generator = Casdm(fitted.average, config, TABLE)  # type: ignore[arg-type]
    masks = maps(4)
    assert_painted_in_their_colours(generator.generate(masks, seeds=range(4), steps=10), masks)
