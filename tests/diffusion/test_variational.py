"""The bound of a learned variance, against its equations in NumPy and against other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from scipy.stats import norm
from torch import Tensor

from rarescene.diffusion import (
    DiffusionConfig,
    NoiseSchedule,
    discretised_log_likelihood,
    variational_bound,
)

T = 1000


def schedule(prediction: str = "epsilon", timesteps: int = T) -> NoiseSchedule:
    return NoiseSchedule(DiffusionConfig(prediction=prediction, timesteps=timesteps))  # type: ignore[arg-type]


def scenes(batch: int, it: NoiseSchedule) -> dict[str, Tensor]:
    """Images of 256 levels, at the last timestep, the first and others, and a network's plausible answer."""
    generator = torch.Generator().manual_seed(batch)
    x0 = torch.randint(0, 256, (batch, 3, 4, 5), generator=generator).double() / 127.5 - 1
    t = torch.randint(1, len(it), (batch,), generator=generator)
    t[-1] = 0
    if batch > 1:
        t[0] = len(it) - 1
    noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    output = it.target(x0, noise, t) + 0.3 * torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    variance = torch.rand(x0.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return {"x0": x0, "x_t": it.add_noise(x0, noise, t), "t": t, "output": output, "variance": variance}


def slow_bound(scene: dict[str, Tensor], index: int, prediction: str) -> float:
    """One scene's term, pixel by pixel from Eq. 5, 6, 10 to 13 and 15, with scipy's normal distribution."""
    betas = np.linspace(1e-4, 0.02, T)
    bars = np.cumprod(1 - betas)
    t = int(scene["t"][index])
    bar, previous = bars[t], bars[t - 1] if t else 1.0
    reverse = (1 - previous) / (1 - bar) * betas[t]
    lower = reverse if t else (1 - bars[0]) / (1 - bars[1]) * betas[1]
    total = 0.0
    names = ("x0", "x_t", "output", "variance")
    pixels = [np.asarray(scene[name][index]).ravel() for name in names]
    for x0, x_t, output, raw in zip(*pixels, strict=True):
        if prediction == "epsilon":
            guess = (x_t - math.sqrt(1 - bar) * output) / math.sqrt(bar)
        else:
            guess = math.sqrt(bar) * x_t - math.sqrt(1 - bar) * output

        def posterior(clean: float, noisy: float = x_t) -> float:
            of_x_t = math.sqrt(1 - betas[t]) * (1 - previous) * noisy
            return float((math.sqrt(previous) * betas[t] * clean + of_x_t) / (1 - bar))

        share = (raw + 1) / 2
        spread = math.exp((share * math.log(betas[t]) + (1 - share) * math.log(lower)) / 2)
        if t == 0:
            low = -np.inf if x0 == -1 else x0 - 1 / 255
            high = np.inf if x0 == 1 else x0 + 1 / 255
            total -= math.log(np.diff(norm.cdf([low, high], posterior(guess), spread))[0])
        else:
            gap = posterior(x0) - posterior(guess)
            total += math.log(spread / math.sqrt(reverse)) + (reverse + gap**2) / (2 * spread**2) - 0.5
    return total / len(pixels[0]) / math.log(2)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_the_equations_of_the_paper(batch: int, prediction: str) -> None:
    it = schedule(prediction)
    scene = scenes(batch, it)
    expected = [slow_bound(scene, index, prediction) for index in range(batch)]
    np.testing.assert_allclose(variational_bound(**scene, schedule=it).numpy(), expected, rtol=1e-6)
    single = variational_bound(**{k: v.float() if k != "t" else v for k, v in scene.items()}, schedule=it)
    np.testing.assert_allclose(single.numpy(), expected, rtol=5e-3)


def test_between_gaussians_it_is_the_divergence_of_torch_distributions() -> None:
    it = schedule("v")
    scene = scenes(3, it)
    scene["t"] = torch.tensor([999, 1, 300])
    x0_hat = it.x0_from(scene["output"], scene["x_t"], scene["t"])
    both = []
    for clean, raw in ((scene["x0"], -torch.ones_like(scene["x0"])), (x0_hat, scene["variance"])):
        mean = it.posterior_mean(clean, scene["x_t"], scene["t"])
        both.append(torch.distributions.Normal(mean, (0.5 * it.log_variance(raw, scene["t"])).exp()))
    expected = torch.distributions.kl_divergence(*both).flatten(1).mean(1) / math.log(2)
    torch.testing.assert_close(variational_bound(**scene, schedule=it), expected)


def test_the_true_answer_costs_nothing_and_is_the_least() -> None:
    it = schedule()
    scene = scenes(3, it)
    scene["t"] = torch.tensor([999, 1, 300])
    noise = scene["output"]
    scene["x_t"] = it.add_noise(scene["x0"], noise, scene["t"])
    scene["output"], scene["variance"] = noise, -torch.ones_like(noise)
    best = variational_bound(**scene, schedule=it)
    torch.testing.assert_close(best, torch.zeros_like(best), atol=1e-9, rtol=0)
    assert (variational_bound(**scene | {"variance": -0.9 * torch.ones_like(noise)}, schedule=it) > 0).all()


def test_gradient_reaches_the_variance_alone() -> None:
    it = schedule()
    scene = scenes(3, it)
    output, variance = scene["output"].requires_grad_(), scene["variance"].requires_grad_()
    variational_bound(**scene, schedule=it).sum().backward()
    assert output.grad is None
    assert variance.grad is not None
    assert (variance.grad.flatten(1).abs().sum(1) > 0).all()


def test_the_best_variance_is_the_true_one_plus_the_square_of_the_error() -> None:
    """What the bound teaches: between Gaussians it is least at Σ = β̃_t + (μ − μ̂)²."""
    it = schedule("v")
    scene = scenes(3, it)
    scene["t"] = torch.tensor([900, 1, 300])
    x0_hat = it.x0_from(scene["output"], scene["x_t"], scene["t"])
    gap = it.posterior_mean(scene["x0"] - x0_hat, 0 * scene["x_t"], scene["t"])
    ones = torch.ones_like(gap)
    lower, upper = it.log_variance(-ones, scene["t"]), it.log_variance(ones, scene["t"])
    best = 2 * ((lower.exp() + gap.square()).log() - lower) / (upper - lower) - 1
    scene["variance"] = best.requires_grad_()
    least = variational_bound(**scene, schedule=it)
    least.sum().backward()
    assert best.grad is not None
    torch.testing.assert_close(best.grad, torch.zeros_like(best), atol=1e-9, rtol=0)
    for step in (-0.2, 0.2):
        assert (variational_bound(**scene | {"variance": best + step}, schedule=it) > least).all()


@pytest.mark.parametrize("spread", [1e-3, 0.01, 0.1, 3.0])
def test_the_masses_of_all_levels_sum_to_one(spread: float) -> None:
    levels = torch.arange(256).double() / 127.5 - 1
    for mean in (-1.3, -0.7, 0.123, 1.0):
        log_variance = torch.full_like(levels, 2 * math.log(spread))
        masses = discretised_log_likelihood(levels, torch.full_like(levels, mean), log_variance).exp()
        assert masses.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_far_from_the_mean_keep_a_finite_likelihood_and_gradient(dtype: torch.dtype) -> None:
    x0 = torch.tensor([-1.0, -0.6, 0.6, 1.0], dtype=dtype)
    for mean in (-1.5, 1.5):
        log_variance = torch.full((4,), 2 * math.log(0.01), dtype=dtype, requires_grad=True)
        found = discretised_log_likelihood(x0, torch.full_like(x0, mean), log_variance)
        found.sum().backward()
        assert torch.isfinite(found).all()
        assert torch.isfinite(log_variance.grad).all()  # type: ignore[arg-type]
        # The log of a Gaussian's density grows with its variance out there; the nearest level may be close.
        assert found.min() < -10_000
        assert (log_variance.grad[found < -10] > 0).all()  # type: ignore[index]


def test_the_posterior_is_that_of_diffusers() -> None:
    it, theirs = schedule(), DDPMScheduler(variance_type="learned_range", clip_sample=False)
    scene = scenes(3, it)
    for t in (1, 2, 500, 999):
        at = torch.full((3,), t)
        found = it.log_variance(scene["variance"], at)
        expected = theirs._get_variance(t, scene["variance"])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_ends_of_the_range_are_the_two_variances() -> None:
    it = schedule()
    bars = it.alphas_cumprod
    ones = torch.ones(3, 1, dtype=torch.float64)
    at = torch.tensor([0, 1, 999])
    upper, lower = it.log_variance(ones, at).exp()[:, 0], it.log_variance(-ones, at).exp()[:, 0]
    np.testing.assert_allclose(upper, it.betas[[0, 1, 999]])
    reverse = [it.betas[t] * (1 - bars[t - 1]) / (1 - bars[t]) for t in (1, 1, 999)]
    np.testing.assert_allclose(lower, reverse)


def test_a_chain_of_one_step_has_a_variance() -> None:
    it = NoiseSchedule(DiffusionConfig(timesteps=1, beta_start=0.995, beta_end=0.995))
    raw = torch.tensor([[-1.0], [1.0]])
    found = it.log_variance(raw, torch.zeros(2, dtype=torch.int64)).exp()
    torch.testing.assert_close(found, torch.full((2, 1), 0.995))
