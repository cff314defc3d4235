"""The losses of StyleGAN2 against their closed forms, and two optimisers in one."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.foundation.protocols import Batch
from rarescene.generators.discriminator_views import varied
from rarescene.generators.stylegan2_training import (
    Sampled,
    StyleGan2Learner,
    gradient_penalty,
    path_lengths,
    sample_latents,
    standard_normal,
)
from rarescene.testing.toys import equal
from rarescene.training import SceneBatches, fit

from .gan_toy import GAN, GAN_TRAINING, generator
from .toy import toy_scenes


class Linear(nn.Module):
    """D(x) = ⟨a, x⟩."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(3, 4, 4))

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.a).sum(dim=(1, 2, 3))


class LinearGenerator(nn.Module):
    """G(w) = Σ_l A_l w_l, of 3 × 4 × 6 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(5, 72, 7))

    def forward(self, w: Tensor, noise: list[Tensor]) -> Tensor:
        return torch.einsum("lpd,bld->bp", self.a, w).view(-1, 3, 4, 6)


def batch(count: int = 4, first: int = 0) -> Batch:
    images, masks = toy_scenes()
    return Batch(
        torch.tensor(images[:count]).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.tensor(masks[:count]).long(),
        [first + index for index in range(count)],
    )


@pytest.mark.parametrize("count", [1, 3])
def test_the_penalty_of_a_linear_discriminator_is_its_squared_norm(count: int) -> None:
    linear = Linear()
    penalty = gradient_penalty(linear, torch.randn(count, 3, 4, 4))
    torch.testing.assert_close(penalty, linear.a.square().sum())
    penalty.backward()
    torch.testing.assert_close(linear.a.grad, 2 * linear.a.detach())


@pytest.mark.parametrize("count", [1, 3])
def test_the_path_length_of_a_linear_generator_is_that_of_its_matrices(count: int) -> None:
    linear, y = LinearGenerator(), torch.randn(count, 3, 4, 6)
    w = torch.randn(count, 5, 7, requires_grad=True)
    found = path_lengths(linear, Sampled(w, []), y)
    for index in range(count):
        pulled = [matrix.T @ y[index].flatten() / 24**0.5 for matrix in linear.a]  # J_wᵀ y, layer by layer
        expected = torch.stack([one.square().sum() for one in pulled]).mean().sqrt()
        torch.testing.assert_close(found[index], expected)
    found.sum().backward()
    assert linear.a.grad is not None
    assert linear.a.grad.abs().min() > 0


def losses(learner: StyleGan2Learner, scenes: Batch) -> tuple[Tensor, Tensor]:
    """Both losses, written as if there were two optimisers."""
    sampled = sample_latents(learner.network, scenes.seeds, GAN.adversarial.mixing)
    fake = learner.network(sampled.latents, sampled.noise)
    judge = learner.discriminator
    view = lambda images, what: learner._view(images, scenes.seeds, what)  # noqa: E731
    of_generator = -F.logsigmoid(judge(view(fake, "drawn"))).mean()
    on_fake, on_real = judge(view(fake.detach(), "drawn")), judge(view(scenes.images, "real"))
    return of_generator, -F.logsigmoid(-on_fake).mean() - F.logsigmoid(on_real).mean()


def test_each_loss_moves_its_own_network_alone() -> None:
    learner, scenes = StyleGan2Learner(GAN, seed=0), batch()
    scalars = learner(scenes, step=1)  # a step without penalties
    assert set(scalars) == {"loss", "generator", "discriminator", "told_apart"}
    scalars["loss"].backward()
    of_generator, of_discriminator = losses(learner, scenes)
    torch.testing.assert_close(scalars["generator"], of_generator)
    torch.testing.assert_close(scalars["discriminator"], of_discriminator)
    for loss, network in ((of_generator, learner.network), (of_discriminator, learner.discriminator)):
        weights = list(network.parameters())
        for weight, expected in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad, expected, atol=1e-6, rtol=1e-4)


def test_one_optimiser_is_exactly_two() -> None:
    learner = StyleGan2Learner(GAN, seed=0)
    twin = copy.deepcopy(learner)
    options = {"lr": 2e-3, "betas": (0.0, 0.99), "weight_decay": 0.0}
    one = torch.optim.AdamW(learner.parameters(), **options)  # type: ignore[arg-type]
    two = [
        torch.optim.Adam(part.parameters(), lr=2e-3, betas=(0.0, 0.99))
        for part in (twin.network, twin.discriminator)
    ]
    for step in (1, 5, 7):
        scenes = batch(first=step)
        one.zero_grad()
        learner(scenes, step)["loss"].backward()
        one.step()
        for index, optimiser in enumerate(two):
            part = (twin.network, twin.discriminator)[index]
            weights = list(part.parameters())
            if index == 0:
                both = losses(twin, scenes)
                gradients = [
                    torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
                    for loss, network in zip(both, (twin.network, twin.discriminator), strict=True)
                ]
            for weight, gradient in zip(weights, gradients[index], strict=True):
                weight.grad = gradient
            optimiser.step()
    for mine, theirs in zip(learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_the_penalties_come_now_and_then_and_weigh_the_more() -> None:
    learner, scenes = StyleGan2Learner(GAN, seed=0), batch()
    names = [
        set(learner(scenes, step)) - {"loss", "generator", "discriminator", "told_apart"} for step in range(7)
    ]
    assert names == [{"r1", "path"}, set(), {"r1"}, {"path"}, {"r1"}, set(), {"r1", "path"}]
    assert learner.path_length > 0
    scalars = learner(scenes, 2)
    plain = scalars["generator"] + scalars["discriminator"]
    torch.testing.assert_close(scalars["loss"], plain + 2 * GAN.adversarial.r1_weight / 2 * scalars["r1"])
    scalars["r1"].backward()
    assert all(weight.grad is None for weight in learner.network.parameters())


def test_latents_and_noise_are_each_scenes_own() -> None:
    network = generator()
    together = sample_latents(network, [5, 6, 7], 0.9)
    alone = sample_latents(network, [6], 0.9)
    torch.testing.assert_close(alone.latents[0], together.latents[1])
    for one, three in zip(alone.noise, together.noise, strict=True):
        assert torch.equal(one[0], three[1])
    assert not torch.equal(together.noise[0][0], together.noise[0][1])
    assert [tuple(part.shape[2:]) for part in together.noise] == network.noise_sizes
    assert torch.cat(
        [part.flatten() for part in sample_latents(network, range(40), 0).noise]
    ).std() == pytest.approx(1, abs=0.02)


def test_mixed_latents_change_once() -> None:
    network = generator()
    plain = sample_latents(network, range(30), 0.0).latents
    assert torch.equal(plain, plain[:, :1].expand_as(plain))
    cuts = set()
    for one in sample_latents(network, range(60), 1.0).latents:
        changes = [
            index for index in range(1, network.latents) if not torch.equal(one[index], one[index - 1])
        ]
        assert len(changes) == 1
        cuts.update(changes)
    assert cuts == set(range(1, network.latents))


def test_noise_by_seed_and_purpose() -> None:
    one = standard_normal([1, 2], "direction", (3, 5))
    assert torch.equal(standard_normal([2], "direction", (3, 5))[0], one[1])
    assert not torch.equal(standard_normal([1], "latent", (3, 5))[0], one[0])


def test_views_change_each_image_by_its_own_seed() -> None:
    images = torch.rand(3, 3, 8, 12) * 2 - 1
    assert varied(images, [1, 2, 3], shift=0.0, colour=0.0) is images
    seen = varied(images, [1, 2, 3], shift=0.25, colour=1.0)
    torch.testing.assert_close(varied(images[1:2], [2], shift=0.25, colour=1.0), seen[1:2])
    # A shift alone moves pixels and makes none up: each is where it was, by one offset an image, or gray.
    moved = varied(images, range(3), shift=0.25, colour=0.0)
    for one, before in zip(moved, images, strict=True):
        offsets = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-3, 4)
            if torch.equal(
                one[:, max(0, y) : 8 + min(0, y), max(0, x) : 12 + min(0, x)],
                before[:, max(0, -y) : 8 + min(0, -y), max(0, -x) : 12 + min(0, -x)],
            )
        ]
        assert len(offsets) == 1
    images.requires_grad_()
    varied(images, [1, 2, 3], shift=0.0, colour=1.0).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    images, masks = toy_scenes()

    def train(folder: str, steps: int, resume: bool = False) -> nn.Module:
        config = replace(GAN_TRAINING, steps=steps)
        batches = SceneBatches(lambda index: (images[index], masks[index]), range(12), 4, seed=1)
        learner = StyleGan2Learner(GAN, seed=0)
        return fit(learner, batches, config, tmp_path / folder, seed=0, resume=resume).average

    whole = train("whole", 6)
    train("cut", 4)
    assert equal(train("cut", 6, resume=True), whole)  # the path length's average included
    assert not equal(StyleGan2Learner(GAN, seed=0).network, whole)
    assert equal(StyleGan2Learner(GAN, seed=1).network, StyleGan2Learner(GAN, seed=1).network)
