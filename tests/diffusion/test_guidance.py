"""Guidance as a wrapper: what it computes, with which calls, and that no batch size is an exception."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rarescene.diffusion import SAMPLERS, Denoiser, DiffusionConfig, NoiseSchedule, guided, sample


def tilted(by: float) -> Denoiser:
    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        return by * x_t + 0.001 * t.view(-1, *[1] * (x_t.ndim - 1))

    return denoise


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 1.5, 2.5])
def test_it_starts_without_the_condition_and_goes_on_beyond_it(scale: float, batch: int) -> None:
    x_t = torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.arange(batch)
    found = guided(tilted(0.7), tilted(0.2), scale)(x_t, t)
    expected = (0.2 + scale * 0.5) * x_t + 0.001 * t.view(-1, 1, 1, 1)
    torch.testing.assert_close(found, expected)
    # The form that Ho & Salimans and SDM print, whose scale counts from 0.
    given, free = (tilted(by)(x_t, t) for by in (0.7, 0.2))
    torch.testing.assert_close(found, given + (scale - 1) * (given - free))


def test_without_guidance_the_empty_condition_is_never_asked() -> None:
    def never(x_t: Tensor, t: Tensor) -> Tensor:
        raise AssertionError

    conditional = tilted(0.7)
    assert guided(conditional, never, 1.0) is conditional


@pytest.mark.parametrize("batch", [1, 3])
def test_a_learned_variance_stays_the_conditional_one(batch: int) -> None:
    x_t, t = torch.randn(batch, 2, 3, 3), torch.zeros(batch, dtype=torch.int64)

    def twice(by: float) -> Denoiser:
        return lambda x_t, t: torch.cat([by * x_t, torch.full_like(x_t, by)], dim=1)

    found = guided(twice(0.7), twice(0.2), 2.0)(x_t, t)
    torch.testing.assert_close(found[:, :2], 1.2 * x_t)
    torch.testing.assert_close(found[:, 2:], torch.full_like(x_t, 0.7))


def exact(of: NoiseSchedule, mean: float) -> Denoiser:
    """Return the denoiser of a Gaussian around `mean`, whose standard deviation is 0.3."""
    bars = torch.from_numpy(of.alphas_cumprod)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        bar = bars[t].view(-1, 1, 1, 1)
        x0 = mean + bar.sqrt() * 0.09 * (x_t - bar.sqrt() * mean) / (bar * 0.09 + 1 - bar)
        epsilon = (x_t - bar.sqrt() * x0) / (1 - bar).sqrt()
        return epsilon if of.prediction == "epsilon" else bar.sqrt() * epsilon - (1 - bar).sqrt() * x0

    return denoise


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_guided_v_and_guided_epsilon_sample_the_same(sampler: str) -> None:
    drawn = []
    for prediction in ("epsilon", "v"):
        schedule = NoiseSchedule(DiffusionConfig(prediction=prediction))  # type: ignore[arg-type]
        denoise = guided(exact(schedule, 0.2), exact(schedule, 0.0), 1.5)
        drawn.append(sample(denoise, (3, 8, 8), [1, 2], schedule, sampler=sampler, steps=20))
    torch.testing.assert_close(drawn[0], drawn[1], rtol=1e-3, atol=2e-4)
    assert drawn[0].mean().item() == pytest.approx(0.3, abs=0.1)  # beyond 0.2, the condition's own mean
