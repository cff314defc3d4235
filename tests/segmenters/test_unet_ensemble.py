"""The ensemble: who gets which scene, who answers, and that no member knows of another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.plugins import method_for
from rarescene.segmenters import UNetEnsembleConfig, build_segmenter
from rarescene.segmenters.unet_ensemble import UNetEnsemble

CLASSES = 4
IGNORE = 255
CONFIG = UNetEnsembleConfig(members=3, widths=(8, 16), dice=0.5)


def build(config: UNetEnsembleConfig = CONFIG) -> UNetEnsemble:
    torch.manual_seed(0)
    network = build_segmenter(config, CLASSES, IGNORE)
    assert isinstance(network, UNetEnsemble)
    return network


def scenes(count: int, height: int = 12, width: int = 9) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(count)
    masks = torch.randint(0, CLASSES, (count, height, width), generator=draw)
    masks[:, :2] = IGNORE
    return torch.rand(count, 3, height, width, generator=draw) * 2 - 1, masks


@pytest.mark.parametrize("each", [1, 3])
def test_scenes_are_dealt_in_order_and_each_member_learns_from_its_own(each: int) -> None:
    network = build()
    images, masks = scenes(3 * each)
    loss = network.loss(images, masks)
    parts = [slice(each * m, each * (m + 1)) for m in range(3)]
    own = [unet.loss(images[part], masks[part]) for unet, part in zip(network.networks, parts, strict=True)]  # type: ignore[operator]
    torch.testing.assert_close(loss, torch.stack(own).mean())
    loss.backward()
    for unet, alone in zip(network.networks, own, strict=True):
        weights = list(unet.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(alone, weights), strict=True):
            torch.testing.assert_close(3 * weight.grad, gradient)  # type: ignore[operator]


def test_another_member_s_scenes_change_nothing() -> None:
    network = build()
    images, masks = scenes(6)
    network.loss(images, masks).backward()
    before = [weight.grad.clone() for weight in network.networks[0].parameters()]  # type: ignore[union-attr]
    network.zero_grad()
    images[2:] = -images[2:]
    network.loss(images, masks).backward()
    after = [weight.grad for weight in network.networks[0].parameters()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))  # type: ignore[arg-type]


def test_scenes_that_cannot_be_dealt_evenly_are_refused() -> None:
    with pytest.raises(DataError, match="4 scenes cannot be dealt evenly to 3 members"):
        build().loss(*scenes(4))


def test_members_start_apart_and_answer_in_turn() -> None:
    network = build()
    images, _ = scenes(3)
    samples = network.posterior(images)
    assert samples.shape == (3, 3, CLASSES, 12, 9)
    for unet, sample in zip(network.networks, samples, strict=True):
        torch.testing.assert_close(unet.predict(images), sample)  # type: ignore[operator]
    assert (samples[0] - samples[1]).abs().max() > 1e-2
    assert torch.equal(network.posterior(images, 2), samples[:2])
    assert torch.equal(network.posterior(images, 16), samples)  # there are no more than members
    torch.testing.assert_close(network.predict(images), samples.mean(dim=0))


def test_certain_members_that_differ_give_a_mean_without_a_logarithm_of_zero() -> None:
    network = build()
    with torch.no_grad():
        for place, unet in enumerate(network.networks):
            unet.head.weight.zero_()  # type: ignore[union-attr]
            unet.head.bias.copy_(500.0 * torch.eye(CLASSES)[place])  # type: ignore[union-attr]
    found = network.predict(scenes(1)[0])
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]))


def test_the_defaults_are_the_paper_s() -> None:
    config = UNetEnsembleConfig()
    assert (config.members, config.widths) == (10, (32, 64, 128, 192, 192, 192, 192))
    training = method_for("segmenters", config).training(config)
    assert (training.steps, training.batch_size, training.validate_every) == (15_000, 100, 200)
    assert (training.decay, training.warmup_steps, training.weight_decay) == ("none", 0, 0.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: UNetEnsembleConfig(members=1),
        lambda: UNetEnsembleConfig(widths=(8, 12)),
        lambda: UNetEnsembleConfig(dice=-1.0),
        lambda: UNetEnsembleConfig(dropout=1.0),
    ],
)
def test_impossible_options_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        make()
