"""PHiSeg's bound against its definition, its samples, and what each of its networks may see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.plugins import method_for
from rarescene.segmenters import PHiSegConfig, build_segmenter
from rarescene.segmenters.phiseg import Gaussian, PHiSeg

CLASSES = 4
IGNORE = 255
CONFIG = PHiSegConfig(widths=(16, 16, 24, 24), latent_levels=3, convolutions=1, samples=4)


def build(config: PHiSegConfig = CONFIG, seed: int = 0) -> PHiSeg:
    torch.manual_seed(seed)
    network = build_segmenter(config, CLASSES, IGNORE)
    assert isinstance(network, PHiSeg)
    return network


def scenes(count: int, height: int = 16, width: int = 24) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(count)
    masks = torch.randint(0, CLASSES, (count, height, width), generator=draw)
    return torch.rand(count, 3, height, width, generator=draw) * 2 - 1, masks


def test_divergence_is_that_of_normal_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = (
        Gaussian(torch.randn(3, 2, 4, 5, generator=draw), 0.1 + torch.rand(3, 2, 4, 5, generator=draw))
        for _ in range(2)
    )
    expected = kl_divergence(Normal(*one), Normal(*other)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(one.divergence(other), expected)
    torch.testing.assert_close(one.divergence(one), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("weight", "growth"), [(1.0, 4.0), (0.5, 1.0)])
def test_the_bound_has_the_value_of_its_definition(count: int, weight: float, growth: float) -> None:
    """Written out: sums over pixels and places at full resolution, Σ CE_l + weight Σ growth^{l-1} KL_l."""
    network = build(replace(CONFIG, kl_weight=weight, kl_growth=growth))
    images, masks = scenes(count)
    masks[0, :5] = IGNORE
    torch.manual_seed(7)
    terms = network.terms(images, masks)

    torch.manual_seed(7)
    prepared, labelled = network.prepare(images), masks != IGNORE
    channels = F.one_hot(masks.masked_fill(~labelled, CLASSES), CLASSES + 1).permute(0, 3, 1, 2) - 0.5
    seen = network.posterior_given_mask.look(torch.cat([prepared, channels], dim=1))
    posteriors, latents = network.posterior_given_mask.descend(
        seen, lambda _, q: q.mean + q.deviation * torch.randn_like(q.mean)
    )
    priors, _ = network.prior.descend(network.prior.look(prepared), lambda level, _: latents[level])
    pixels = labelled.sum()
    reconstruction = torch.zeros(())
    for logits in network.likelihood(latents):
        full = F.interpolate(logits, size=masks.shape[1:], mode="nearest")
        reconstruction = reconstruction + F.cross_entropy(full, masks, ignore_index=IGNORE, reduction="sum")
    divergences = [
        kl_divergence(Normal(*q), Normal(*p)).sum() for q, p in zip(posteriors, priors, strict=True)
    ]
    expected = reconstruction + weight * sum(growth**level * one for level, one in enumerate(divergences))
    torch.testing.assert_close(terms["loss"], expected / pixels, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["reconstruction"], (reconstruction / pixels).detach())
    for level, divergence in enumerate(divergences, start=1):
        torch.testing.assert_close(terms[f"kl_{level}"], (divergence / count).detach(), rtol=1e-4, atol=1e-5)


def test_the_logits_are_the_sum_of_the_levels() -> None:
    network = build()
    latents = [torch.randn(2, 2, 16 // 2**level, 24 // 2**level) for level in (1, 2, 3)]
    whole = network.likelihood(latents)
    assert [tuple(one.shape[-2:]) for one in whole] == [(16, 24), (8, 12), (4, 6)]
    with torch.no_grad():
        network.likelihood.heads[0].weight.zero_()
        network.likelihood.heads[0].bias.zero_()
    without = network.likelihood(latents)
    torch.testing.assert_close(without[0], F.interpolate(whole[1], scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(without[1], whole[1])


def test_each_latent_depends_on_all_coarser_ones_and_on_no_finer() -> None:
    network = build().eval()
    seen = network.prior.look(network.prepare(scenes(1)[0]))

    def distributions(moved: int) -> list[Tensor]:
        found, _ = network.prior.descend(seen, lambda level, p: p.mean + 3.0 * (level == moved))
        return [torch.cat([one.mean, one.deviation]) for one in found]

    still = distributions(-1)
    for moved in range(3):
        changed = [
            not torch.equal(before, after) for before, after in zip(still, distributions(moved), strict=True)
        ]
        assert changed == [level < moved for level in range(3)]


def test_the_mask_reaches_the_posterior_alone() -> None:
    """The prior, which draws the samples, has no way to a mask; the posterior tells ignored from labelled."""
    network = build()
    assert network.prior.encoder[0][0].in_channels == 3
    assert network.posterior_given_mask.encoder[0][0].in_channels == 3 + CLASSES + 1
    images, masks = scenes(2)
    torch.manual_seed(0)
    labelled = network.terms(images, masks)
    masks[:, 3:9] = IGNORE
    torch.manual_seed(0)
    ignored = network.terms(images, masks)
    assert labelled["kl_3"] != ignored["kl_3"]


def test_ignored_pixels_send_no_gradient() -> None:
    network = build()
    images, masks = scenes(3)
    masks[0, 4:12, 8:20] = IGNORE
    masks[2] = IGNORE
    kept: list[Tensor] = []

    def keep(_: object, __: object, logits: list[Tensor]) -> None:
        for one in logits:
            one.retain_grad()
            kept.append(one)

    network.likelihood.register_forward_hook(keep)
    network.loss(images, masks).backward()
    for level, logits in enumerate(kept):
        labelled = F.max_pool2d((masks != IGNORE).float()[:, None], 2**level)[:, 0] > 0
        # A coarse prediction is part of the finer ones: its gradient gathers theirs, over the same cells.
        assert logits.grad is not None
        sent = logits.grad.abs().sum(dim=1)
        assert (sent[~labelled] == 0).all()
        assert (sent[labelled] > 0).all()
        assert 0 < labelled.float().mean() < 0.7


def test_a_scene_without_labels_has_no_part_in_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build()
    images, masks = scenes(3)
    masks[1] = IGNORE
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    together, alone = network.terms(images, masks), network.terms(images[::2], masks[::2])
    assert together.keys() == alone.keys() == {"loss", "reconstruction", "kl_1", "kl_2", "kl_3"}
    for name, value in together.items():
        torch.testing.assert_close(value, alone[name])


@pytest.mark.parametrize(("height", "width"), [(16, 24), (13, 9)])
def test_a_sample_depends_on_image_number_and_seed_alone(height: int, width: int) -> None:
    network = build().train()
    images, _ = scenes(3, height, width)
    state = torch.random.get_rng_state()
    together = network.posterior(images, 5)
    assert together.shape == (5, 3, CLASSES, height, width)
    assert torch.equal(torch.random.get_rng_state(), state)
    for place in range(3):
        alone = network.posterior(images[place : place + 1], 3)
        torch.testing.assert_close(alone[:, 0], together[:3, place], atol=1e-5, rtol=0)
    turned = network.posterior(images.flip(0), 5)
    torch.testing.assert_close(turned.flip(1), together, atol=1e-5, rtol=0)
    other = network.posterior(images, 5, seed=1)
    assert (other - together).abs().max() > 1e-3
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_a_prediction_is_the_mean_of_the_samples() -> None:
    """Eq. 7."""
    network = build()
    images, _ = scenes(3, 13, 9)
    torch.testing.assert_close(network.predict(images), network.posterior(images).mean(dim=0))
    assert len(network.posterior(images)) == CONFIG.samples


def test_the_paper_s_levels_go_from_a_quarter_to_a_64th_and_fit_64_pixels() -> None:
    config = PHiSegConfig(samples=1)
    assert (config.widths, config.latent_levels) == ((32, 64, 128, 192, 192, 192, 192), 5)
    training = method_for("segmenters", config).training(config)
    assert (training.steps, training.batch_size, training.validate_every) == (50_000, 100, 200)
    assert (training.decay, training.warmup_steps, training.weight_decay) == ("none", 0, 0.0)
    network = build(config)
    images, masks = scenes(1, 64, 64)
    with torch.no_grad():
        shapes = [tuple(one.shape[-2:]) for one in network.prior.look(network.prepare(images))]
        assert shapes == [(side, side) for side in (16, 8, 4, 2, 1)]
        assert network.loss(images, masks).isfinite()
    first, second = network.posterior(images, 2)
    assert (first - second).abs().max() > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"widths": ()},
        {"widths": (8, 16)},
        {"widths": (16, 20)},
        {"latent_levels": 0},
        {"latent_levels": 8},
        {"latent_channels": 0},
        {"convolutions": 0},
        {"samples": 0},
        {"kl_weight": 0.0},
        {"kl_growth": 0.5},
    ],
)
def test_impossible_options_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(PHiSegConfig(), **change)  # type: ignore[arg-type]
