"""SDM: its two losses, its two phases, and its guidance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rarescene.diffusion import DiffusionConfig, sample
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.protocols import Batch
from rarescene.generators import Sdm, SdmConfig, SdmLearner
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

CONFIG = SdmConfig(
    height=16, width=16, network=NETWORK, diffusion=DiffusionConfig(prediction="v"), training=TRAINING,
    finetune_share=0.5,
)  # fmt: skip


def learner(config: SdmConfig = CONFIG) -> SdmLearner:
    made = SdmLearner(config, TABLE, seed=0)
    moved_off_zero(made.network)
    return made


def trained(config: SdmConfig = CONFIG) -> Sdm:
    return Sdm(learner(config).network, config, TABLE)


def test_the_loss_is_the_mean_squared_error_plus_the_weighted_bound() -> None:
    made = learner(replace(CONFIG, variance_weight=0.25))
    losses = made(batches(CONFIG)(0), 0)
    assert set(losses) == {"loss", "mse", "vlb"}
    torch.testing.assert_close(losses["loss"], losses["mse"] + 0.25 * losses["vlb"])


def test_the_bound_trains_the_variance_and_the_error_trains_the_mean() -> None:
    """At the head, which has the channels of both, folded: the mean's come first."""
    made = learner()
    means = 3 * NETWORK.patch**2
    for name, trained_part, other in (("mse", slice(0, means), slice(means, None)),
                                      ("vlb", slice(means, None), slice(0, means))):  # fmt: skip
        made.zero_grad()
        made(batches(CONFIG)(0), 0)[name].backward()
        gradient = made.network.head.weight.grad
        assert gradient is not None
        assert gradient[trained_part].abs().sum() > 0
        assert gradient[other].abs().sum() == 0


def test_maps_are_left_out_from_the_fine_tune_on_as_each_scene_decides() -> None:
    made = learner(replace(CONFIG, map_dropout=0.3))
    seen: list[torch.Tensor] = []
    made.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2]))
    masks, images = maps(1).expand(400, -1, -1), torch.zeros(400, 3, 16, 16)
    batch = Batch(images, masks, list(range(400)))
    whole = one_hot_layout(masks, 3)
    made(batch, 2)
    assert torch.equal(seen[0], whole)
    made(batch, 3)
    dropped = seen[1].flatten(1).sum(1) == 0
    assert torch.equal(seen[1][~dropped], whole[~dropped])
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 400))
    made(Batch(images[:7], masks[:7], list(range(100, 107))), 3)
    assert torch.equal(seen[2], seen[1][100:107])


def test_the_fine_tune_is_slower_and_both_phases_are_in_the_log(tmp_path: Path) -> None:
    log = fit(SdmLearner(CONFIG, TABLE, seed=0), batches(CONFIG), TRAINING, tmp_path, seed=0).log
    assert [line["step"] for line in log] == [2, 4, 6]
    assert [line["lr"] for line in log] == pytest.approx([1e-3, 2e-4, 2e-4])
    assert all({"mse", "vlb"} <= set(line) for line in log)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddpm"])
@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_guidance_is_two_passes_of_the_network(scale: float, sampler: str, batch: int) -> None:
    """Against both passes as one batch, from the bare layouts: another way to the same picture."""
    generator, masks, seeds = trained(), maps(batch), range(batch)
    layout = one_hot_layout(masks, 3)

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        both = torch.cat([layout, torch.zeros_like(layout)])
        given, free = generator.network(x_t.repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
        mean = free[:, :3] + scale * (given[:, :3] - free[:, :3])
        return torch.cat([mean, given[:, 3:]], dim=1)

    expected = sample(
        denoise, (3, 16, 16), seeds, generator.schedule, sampler=sampler, steps=4, learned_variance=True
    )
    drawn = generator.generate(masks, seeds=seeds, sampler=sampler, steps=4, guidance=scale)
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [1, 3])
def test_guidance_is_on_at_every_batch_size_and_the_config_says_how_strong(batch: int) -> None:
    generator, masks, seeds = trained(), maps(batch), range(batch)
    without, usual, strong = (
        generator.generate(masks, seeds=seeds, steps=4, guidance=scale) for scale in (1.0, None, 3.0)
    )
    assert torch.equal(usual, generator.generate(masks, seeds=seeds, steps=4, guidance=1.5))
    for one, other in ((without, usual), (usual, strong)):
        assert ((one - other).flatten(1).abs().amax(1) > 0.002).all()


def test_only_ancestral_sampling_draws_with_the_learned_variance() -> None:
    generator, wider = trained(), trained()
    wider.network.head.bias.data[3 * NETWORK.patch**2 :] += 1.0
    for sampler, differs in (("ddpm", True), ("ddim", False), ("dpm-solver++", False), ("unipc", False)):
        one, other = (
            made.generate(maps(1), seeds=[1], sampler=sampler, steps=5) for made in (generator, wider)
        )
        assert torch.equal(one, other) is not differs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variance_weight": 0.0}, "variance_weight"),
        ({"finetune_share": 1.5}, "finetune_share"),
        ({"map_dropout": -0.1}, "map_dropout"),
        ({"finetune_rate": 0.0}, "finetune_rate"),
        ({"guidance": -1.0}, "guidance is -1.0\nGive a number from 0"),
        ({"map_dropout": 0.0}, "no map is ever dropped"),
        ({"finetune_share": 0.0}, "no map is ever dropped"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_an_sdm_that_never_drew_without_maps_cannot_be_guided() -> None:
    unguided = trained(replace(CONFIG, finetune_share=0.0, guidance=1.0))
    unguided.check(4, None)
    with pytest.raises(ConfigError, match="never saw a scene without"):
        unguided.check(4, 3.0)
    with pytest.raises(ConfigError, match=r"guidance is -2\.0\nTake 0 or more"):
        trained().check(4, -2.0)
    for scale in (0.0, 0.5):
        trained().check(4, scale)


def test_the_phases_follow_the_length_of_the_training() -> None:
    for steps, share, first in ((100, 0.2, 80), (10, 1.0, 0), (7, 0.2, 6)):
        config = replace(CONFIG, training=replace(TRAINING, steps=steps), finetune_share=share)
        assert config.finetune_from == first
    never = replace(CONFIG, finetune_share=0.0, guidance=1.0)
    assert never.finetune_from == TRAINING.steps


@pytest.mark.slow
def test_it_learns_to_paint_each_class_in_its_colour_and_guidance_deepens_it(tmp_path: Path) -> None:
    config = replace(CONFIG, network=QUICK, training=long_training(), finetune_share=0.2, finetune_rate=1.0)
    fitted = fit(SdmLearner(config, TABLE, seed=0), batches(config), config.training, tmp_path, seed=0)
    generator = Sdm(fitted.average, config, TABLE)  # type: ignore[arg-type]
    masks = maps(4)
    for sampler, steps in (("dpm-solver++", 10), ("ddpm", 25)):
        usual, without, strong = (
            generator.generate(masks, seeds=range(4), sampler=sampler, steps=steps, guidance=scale)
            for scale in (None, 1.0, 2.5)
        )
        assert_painted_in_their_colours(usual, masks)
        reds = [drawn[:, 0][masks == 1].mean().item() for drawn in (without, usual, strong)]
        assert reds == sorted(reds)
