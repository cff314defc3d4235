"""The conditional DDPM: the map at the stem of CASDM's network, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarescene.diffusion import DiffusionConfig
from rarescene.generators import (
    CasdmConfig,
    CasdmLearner,
    ConditionalDdpm,
    ConditionalDdpmConfig,
    ConditionalDdpmLearner,
)
from rarescene.networks import one_hot_layout
from rarescene.testing.toys import moved_off_zero
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

CONFIG = ConditionalDdpmConfig(
    height=16, width=16, network=NETWORK, diffusion=DiffusionConfig(prediction="v"), training=TRAINING
)


def test_the_loss_is_the_plain_mean_squared_error() -> None:
    made = ConditionalDdpmLearner(CONFIG, TABLE, seed=0)
    moved_off_zero(made.network)
    batch = batches(CONFIG)(0)
    losses = made(batch, 0)
    t, noise = made.schedule.sample(batch.seeds, batch.images)
    x_t = made.schedule.add_noise(batch.images, noise, t)
    output = made.network(x_t, t, one_hot_layout(batch.masks, 3))
    expected = (output - made.schedule.target(batch.images, noise, t)).square().mean()
    torch.testing.assert_close(losses["mse"], expected)
    assert torch.equal(losses["loss"], losses["mse"])


def test_but_for_the_map_it_is_the_network_of_casdm() -> None:
    """The same layers; only the stem is wider, and the norms of the decoder hold no more than the others."""
    theirs = CasdmLearner(CasdmConfig(network=NETWORK), TABLE, seed=0).network.state_dict()
    ours = ConditionalDdpmLearner(CONFIG, TABLE, seed=0).network.state_dict()
    norms = ("hidden", "gamma_beta")
    shared = {name: value.shape for name, value in theirs.items() if name.split(".")[-2] not in norms}
    added = {name for name in ours if name not in shared}
    assert all(".norm_in." in name or ".norm_out." in name for name in added)
    fold = NETWORK.patch**2
    assert shared.pop("stem.weight")[1] == 3 * fold
    assert ours["stem.weight"].shape[1] == (3 + 4) * fold
    assert all(ours[name].shape == shape for name, shape in shared.items())


@pytest.mark.slow
def test_it_learns_to_paint_each_class_in_its_colour(tmp_path: Path) -> None:
    config = replace(CONFIG, network=QUICK, training=long_training())
    made = ConditionalDdpmLearner(config, TABLE, seed=0)
    fitted = fit(made, batches(config), config.training, tmp_path, seed=0)
    generator = ConditionalDdpm(fitted.average, config, TABLE)  # type: ignore[arg-type]
    assert_painted_in_their_colours(generator.generate(maps(4), seeds=range(4), steps=10), maps(4))
