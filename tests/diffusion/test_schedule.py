from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from rarescene.diffusion import SAMPLERS, DiffusionConfig, NoiseSchedule, sample

T = 1000


def draws(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return x_0, ε and t, the first and last timestep among them."""
    generator = torch.Generator().manual_seed(batch)
    x0 = torch.randn(batch, 3, 4, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(batch, 3, 4, 5, generator=generator, dtype=torch.float64)
    t = torch.randint(T, (batch,), generator=generator)
    t[0], t[-1] = T - 1, 0
    return x0.to(dtype), noise.to(dtype), t


def schedule(prediction: str, curve: str = "linear") -> NoiseSchedule:
    return NoiseSchedule(DiffusionConfig(prediction=prediction, schedule=curve))  # type: ignore[arg-type]


def test_alpha_bar_is_the_product_of_one_minus_beta() -> None:
    product, expected = 1.0, []
    for i in range(T):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * i / (T - 1))
        expected.append(product)
    assert len(schedule("epsilon")) == T
    np.testing.assert_allclose(schedule("epsilon").alphas_cumprod, expected, rtol=1e-12)


def test_a_cosine_s_alpha_bar_is_the_one_of_nichol_and_dhariwal() -> None:
    """ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s) · π/2), s = 0.008, t from 1, and β at most 0.999."""

    def f(t: int) -> float:
        return float(np.cos((t / T + 0.008) / 1.008 * np.pi / 2) ** 2)

    it = schedule("v", "cosine")
    expected = np.array([f(t) / f(0) for t in range(1, T + 1)])
    np.testing.assert_allclose(it.alphas_cumprod[:-1], expected[:-1], rtol=1e-9)
    assert it.betas[-1] == it.betas.max() == 0.999
    assert it.alphas_cumprod[-1] == pytest.approx(0.001 * expected[-2], rel=1e-9)
    assert (np.diff(it.betas) >= 0).all()
    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    np.testing.assert_allclose(it.betas, theirs.betas.numpy(), rtol=1e-4)


def test_a_cosine_spends_fewer_steps_on_noise_alone() -> None:
    """The share of the steps whose signal has less than a tenth of the noise's power: ᾱ < 1/11."""
    below = [float((schedule("v", curve).alphas_cumprod < 1 / 11).mean()) for curve in ("linear", "cosine")]
    assert below[0] == pytest.approx(0.52, abs=0.01)
    assert below[1] == pytest.approx(1.008 * (1 - 2 / np.pi * np.arccos((1 / 11) ** 0.5)), abs=0.002)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_walks_a_cosine_too(sampler: str) -> None:
    """With the exact denoiser of pixels of mean 0.2 and deviation 0.25."""
    it = schedule("v", "cosine")
    bars = torch.from_numpy(it.alphas_cumprod)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        bar = bars[t].view(-1, 1, 1, 1)
        x0 = 0.2 + bar.sqrt() / 16 * (x_t - 0.2 * bar.sqrt()) / (bar / 16 + 1 - bar)
        epsilon = (x_t - bar.sqrt() * x0) / (1 - bar).sqrt()
        return (bar.sqrt() * epsilon - (1 - bar).sqrt() * x0).float()

    steps = {"ddpm": T, "ddim": 400}  # which is of first order
    drawn = sample(denoise, (3, 32, 32), [1, 2], it, sampler=sampler, steps=steps.get(sampler, 100))
    assert drawn.mean().item() == pytest.approx(0.2, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.25, rel=0.03)


def test_timesteps_are_drawn_from_the_clean_end_where_a_share_is_asked_for() -> None:
    it, like = schedule("v"), torch.zeros(4000, 1, 1, 1)
    everywhere, noise = it.sample(range(4000), like)
    low, same = it.sample(range(4000), like, share=0.3)
    assert 990 <= int(everywhere.max()) < T
    assert 290 <= int(low.max()) < 300
    assert low.float().mean().item() == pytest.approx(149.5, abs=5)
    assert (low == 0).any()
    assert noise.std().item() == pytest.approx(same.std().item(), rel=0.05)
    assert it.sample([1], like[:1], share=1e-6)[0].tolist() == [0]


def test_one_chain_of_eq_1_steps_has_the_moments_of_its_closed_form() -> None:
    it = schedule("epsilon")
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(it.betas):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        if t in (0, 10, 500, T - 1):
            one, at = torch.ones(1, 1, dtype=torch.float64), torch.tensor([t])
            assert it.add_noise(one, 0 * one, at).item() == pytest.approx(mean, rel=1e-9)
            assert it.add_noise(0 * one, one, at).item() ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_x0_comes_back_from_the_perfect_output(prediction: str, batch: int) -> None:
    it = schedule(prediction)
    x0, noise, t = draws(batch)
    x_t, output = it.add_noise(x0, noise, t), it.target(x0, noise, t)
    torch.testing.assert_close(it.x0_from(output, x_t, t), x0)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_gain_is_the_derivative_of_x0_by_the_output(prediction: str, curve: str) -> None:
    it = schedule(prediction, curve)
    t = torch.tensor([0, 50, 550, 950, T - 2])
    x_t = torch.randn(5, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output = torch.zeros_like(x_t, requires_grad=True)
    (slope,) = torch.autograd.grad(it.x0_from(output, x_t, t).sum(), output)
    assert it.x0_gain(t).shape == (5,)
    expected = slope.abs().float()
    torch.testing.assert_close(it.x0_gain(t).view(-1, 1, 1, 1).expand_as(expected), expected)


def test_the_gain_of_epsilon_is_what_the_paper_s_schedule_makes_it() -> None:
    squares = schedule("epsilon").x0_gain(torch.tensor([50, 950, T - 1])).square()
    assert squares.tolist() == pytest.approx([0.031, 9430, 157**2], rel=0.02)


def test_v_is_the_definition() -> None:
    x0, noise, t = draws(3)
    it = schedule("v")
    bar = torch.from_numpy(it.alphas_cumprod)[t].view(-1, 1, 1, 1)
    torch.testing.assert_close(it.target(x0, noise, t), bar.sqrt() * noise - (1 - bar).sqrt() * x0)


@pytest.mark.parametrize("batch", [1, 3])
def test_it_agrees_with_the_schedule_of_diffusers(batch: int) -> None:
    x0, noise, t = draws(batch, torch.float32)
    theirs = DDPMScheduler()
    torch.testing.assert_close(
        schedule("v").add_noise(x0, noise, t), theirs.add_noise(x0, noise, t), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        schedule("v").target(x0, noise, t), theirs.get_velocity(x0, noise, t), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_and_leaves_the_schedule_alone(dtype: torch.dtype) -> None:
    it = schedule("epsilon")
    x0, noise, t = draws(3, dtype)
    x_t = it.add_noise(x0, noise, t)
    assert x_t.dtype == torch.float32
    torch.testing.assert_close(x_t, it.add_noise(x0.float(), noise.float(), t), rtol=0, atol=0)
    x0, noise, t = draws(3)
    torch.testing.assert_close(
        it.add_noise(x0, noise, t), schedule("epsilon").add_noise(x0, noise, t), rtol=0, atol=0
    )


def test_timesteps_must_fit_the_batch() -> None:
    x0, noise, _ = draws(3)
    with pytest.raises(ValueError, match="one for each of 3"):
        schedule("v").add_noise(x0, noise, torch.tensor([5]))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_posterior_is_bayes_rule(batch: int) -> None:
    """q(x_{t-1} | x_t, x_0) ∝ q(x_t | x_{t-1}) q(x_{t-1} | x_0): precisions add, and so do weighted means."""
    it = schedule("epsilon")
    x0, noise, _ = draws(batch)
    for t in (1, 2, 500, T - 1):
        at = torch.full((batch,), t)
        x_t = it.add_noise(x0, noise, at)
        beta, before = it.betas[t], it.alphas_cumprod[t - 1]
        precision = (1 - beta) / beta + 1 / (1 - before)
        weighted = np.sqrt(1 - beta) / beta * x_t + np.sqrt(before) / (1 - before) * x0
        torch.testing.assert_close(it.posterior_mean(x0, x_t, at), weighted / precision)
        log_variance = it.log_variance(-torch.ones_like(x0), at)
        torch.testing.assert_close(log_variance, torch.full_like(x0, float(-np.log(precision))))
    first = torch.zeros(batch, dtype=torch.int64)
    torch.testing.assert_close(it.posterior_mean(x0, it.add_noise(x0, noise, first), first), x0)
