"""Sampling beside what is known: it stays, at every step at the step's own noise, and the rest follows it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rarescene.diffusion import SAMPLERS, Known, sample

from .test_sampling import MEAN, exact_denoiser, schedule

SEEDS = [3, 4, 5]
DETERMINISTIC = [name for name in SAMPLERS if name != "ddpm"]


def half_known(value: float = 0.6) -> Known:
    """Return what is known of samples `(3, 1, 4, 4)`: the left half."""
    free = torch.zeros(1, 1, 4, 4)
    free[..., 2:] = 1
    return Known(torch.full((3, 1, 4, 4), value), free)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_what_is_known_stays(sampler: str, prediction: str) -> None:
    it = schedule(prediction)
    denoise = exact_denoiser(it, 0.2)
    found = sample(denoise, (1, 4, 4), SEEDS, it, sampler=sampler, steps=20, known=half_known())
    assert torch.allclose(found[..., :2], torch.tensor(0.6), atol=1e-5)
    assert (found[..., 2:] - MEAN).abs().mean() < 0.3  # the rest is sampled
    assert found[..., 2:].std() > 0.1


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_at_every_step_it_has_the_noise_of_that_step(sampler: str) -> None:
    """x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, with the ε that sampling began with."""
    it, seen = schedule(), list[tuple[Tensor, Tensor]]()
    denoise = exact_denoiser(it, 0.2)

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t.clone(), t))
        return denoise(x_t, t)

    begun = list[Tensor]()
    sample(lambda x_t, t: begun.append(x_t.clone()) or x_t, (1, 4, 4), SEEDS, it, steps=1)  # type: ignore[func-returns-value]
    sample(spy, (1, 4, 4), SEEDS, it, sampler=sampler, steps=12, known=half_known())
    assert len(seen) == 12
    for x_t, t in seen:
        bar = torch.tensor(it.alphas_cumprod[int(t[0])])
        wanted = bar.sqrt() * 0.6 + (1 - bar).sqrt() * begun[0][..., :2]
        assert torch.allclose(x_t[..., :2], wanted.float(), atol=2e-4)


def test_where_all_is_free_nothing_changes() -> None:
    it = schedule()
    denoise = exact_denoiser(it, 0.2)
    everything = Known(torch.zeros(3, 1, 4, 4), torch.ones(1, 1, 4, 4))
    alone = sample(denoise, (1, 4, 4), SEEDS, it, steps=10)
    assert torch.equal(sample(denoise, (1, 4, 4), SEEDS, it, steps=10, known=everything), alone)


def test_the_free_part_follows_the_known_one() -> None:
    """Of two pixels with correlation 0.9 one is known: the other one's mean is drawn towards 0.9 times it.

    Not all of the way: a denoiser that is shown both as if both were sampled is surer of its own than it
    ought to be, which is the known bias of replacing.
    """
    it, correlation = schedule(), 0.9
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64) * 0.09

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        bar = torch.tensor(it.alphas_cumprod[int(t[0])])
        gain = bar.sqrt() * covariance @ torch.linalg.inv(bar * covariance + (1 - bar) * torch.eye(2))
        x0 = x_t.double() @ gain.T.double()
        return ((x_t - bar.sqrt() * x0) / (1 - bar).sqrt()).float()

    known = Known(torch.tensor([[0.3, 0.0]]).expand(400, 2), torch.tensor([[0.0, 1.0]]))
    found = sample(denoise, (2,), range(400), it, sampler="ddpm", steps=60, known=known)[:, 1]
    alone = sample(denoise, (2,), range(400), it, sampler="ddpm", steps=60)[:, 1]
    assert abs(float(alone.mean())) < 0.05
    assert 0.5 * correlation * 0.3 < float(found.mean()) < correlation * 0.3
    assert float(found.std()) < 0.8 * float(alone.std())


def test_a_half_free_pixel_lies_between() -> None:
    known = Known(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.25))
    assert known.blend(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(0.75)
