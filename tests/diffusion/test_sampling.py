"""The samplers on a Gaussian, whose exact denoiser is known: x_0 ~ N(m, s²) per component."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from rarescene.diffusion import SAMPLERS, DiffusionConfig, NoiseSchedule, sample, sampling_timesteps
from rarescene.foundation.errors import ConfigError

MEAN = 0.3
Denoiser = Callable[[Tensor, Tensor], Tensor]


def schedule(prediction: str = "epsilon") -> NoiseSchedule:
    return NoiseSchedule(DiffusionConfig(prediction=prediction))  # type: ignore[arg-type]


def exact_denoiser(of: NoiseSchedule, std: float | Tensor, mean: float = MEAN) -> Denoiser:
    """Return the network that knows E[x_0 | x_t] = m + √ᾱ s² (x_t − √ᾱ m)/(ᾱ s² + 1 − ᾱ).

    A tensor `std` holds one s for each of the first components. All outputs are affine in x_t.
    """
    s = torch.as_tensor(std, dtype=torch.float64).view(1, -1)
    bar = torch.from_numpy(of.alphas_cumprod)[:, None]  # (T, 1)
    root, noise = bar.sqrt(), (1 - bar).sqrt()
    gain = root * s**2 / (bar * s**2 + 1 - bar)
    x0 = torch.stack([gain, mean - gain * root * mean])  # slope and offset
    epsilon = (torch.tensor([1.0, 0.0]).view(2, 1, 1) - root * x0) / noise
    outputs = {"epsilon": epsilon, "v": root * epsilon - noise * x0, "x0": x0}

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        slope, offset = outputs[of.prediction][:, t].view(2, len(t), -1, *[1] * (x_t.ndim - 2))
        return slope * x_t + offset

    return denoise


def moments(
    sampler: str, steps: int, stds: Sequence[float], prediction: str = "epsilon"
) -> list[tuple[float, float, float]]:
    """Return (s, mean, std) of a deterministic sampler's output for x_T ~ N(0, 1), without sampling error.

    One for each s, all drawn in one run. The denoiser is affine, so the sampler is an affine map of x_T, and
    two pixels of noise tell it.
    """
    it, shape = schedule(prediction), (len(stds), 2)
    denoise = exact_denoiser(it, torch.tensor(stds))
    out = sample(denoise, shape, [0], it, sampler=sampler, steps=steps, clamp=False)[0].double()
    noise: list[Tensor] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        noise.append(x_t[0].double())
        return torch.zeros_like(x_t)

    sample(spy, shape, [0], it, sampler=sampler, steps=1)
    slope = (out[:, 1] - out[:, 0]) / (noise[0][:, 1] - noise[0][:, 0])
    offset = out[:, 0] - slope * noise[0][:, 0]
    return list(zip(stds, offset.tolist(), slope.abs().tolist(), strict=True))


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("sampler", ["dpm-solver++", "unipc"])
def test_second_order_solvers_keep_the_gaussian(sampler: str, prediction: str) -> None:
    for steps, tolerance in [(10, 0.10), (30, 0.02), (37, 0.02), (50, 0.02), (250, 0.02), (1000, 0.02)]:
        for std, mean, found in moments(sampler, steps, (0.1, 0.25, 0.5), prediction):
            assert found == pytest.approx(std, rel=tolerance), f"{steps} steps of {std}"
            assert mean == pytest.approx(MEAN, abs=0.02 * std), f"{steps} steps of {std}"


@pytest.mark.parametrize("steps", [2, 7, 10, 30, 37, 100, 1000])
def test_ddim_is_its_closed_form(steps: int) -> None:
    """With φ = atan(√(1−ᾱ)/(√ᾱ s)), a step of Δφ keeps cos Δφ of the standard deviation."""
    bar = schedule().alphas_cumprod[sampling_timesteps(1000, steps)]
    for std, mean, found in moments("ddim", steps, (0.1, 0.5)):
        angles = np.concatenate([[0.0], np.arctan2(np.sqrt(1 - bar), np.sqrt(bar) * std)])
        marginal = np.sqrt(bar[-1] * std**2 + 1 - bar[-1])
        expected = std * np.prod(np.cos(np.diff(angles))) / marginal
        assert found == pytest.approx(expected, rel=2e-3), std
        assert mean == pytest.approx(MEAN, abs=0.02 * std), std


def test_ddim_comes_as_close_to_the_gaussian_as_a_first_order_method_can() -> None:
    """No spacing beats cos(π/2n)^n, so 2 % needs at least 62 steps; ours gets there with 100."""
    for steps in (10, 30):
        bound = np.cos(np.pi / (2 * steps)) ** steps
        ((std, _, found),) = moments("ddim", steps, [0.5])
        assert bound * 0.92 < found / std < bound + 0.01
    for steps in (100, 250, 1000):
        ((std, _, found),) = moments("ddim", steps, [0.5])
        assert found == pytest.approx(std, rel=0.02)


def test_the_library_misplaces_ddim_steps_that_do_not_divide_the_chain() -> None:
    """Why the schedule is respaced: if this fails, diffusers' DDIM has been mended."""
    it, std, steps = schedule(), 0.5, 400
    denoise = exact_denoiser(it, std)
    theirs = DDIMScheduler(prediction_type="sample", clip_sample=False, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    x = start = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    for t in theirs.timesteps.tolist():
        at = torch.full((2,), t)
        x = theirs.step(it.x0_from(denoise(x, at), x, at), t, x, return_dict=False)[0]
    slope = ((x[1] - x[0]) / (start[1] - start[0])).item()
    assert slope > 1.1 * std
    ((_, _, found),) = moments("ddim", steps, [std])
    assert found == pytest.approx(std, rel=0.01)


def ancestral_moments(steps: int, std: float, share: float = 0.0) -> tuple[float, float]:
    """Return (mean, std) of DDPM's recursion (Ho et al. 2020, Eq. 6, 7) over the chosen timesteps.

    `share` is v of Nichol & Dhariwal 2021, Eq. 15: what is drawn at a step has the variance β^v β̃^(1−v).
    """
    bars = schedule().alphas_cumprod[sampling_timesteps(1000, steps)]
    mean, variance = 0.0, 1.0
    for k in range(steps - 1, -1, -1):
        bar, previous = bars[k], bars[k - 1] if k else 1.0
        beta = 1 - bar / previous
        gain = np.sqrt(bar) * std**2 / (bar * std**2 + 1 - bar)  # x̂_0 = m + gain (x_t − √ᾱ m)
        on_x0 = np.sqrt(previous) * beta / (1 - bar)
        on_x_t = np.sqrt(bar / previous) * (1 - previous) / (1 - bar)
        mean = on_x0 * (MEAN + gain * (mean - np.sqrt(bar) * MEAN)) + on_x_t * mean
        drawn = beta * ((1 - previous) / (1 - bar)) ** (1 - share) if k else 0.0  # no noise in the last step
        variance = (on_x0 * gain + on_x_t) ** 2 * variance + drawn
    return mean, float(np.sqrt(variance))


@pytest.mark.parametrize("steps", [1000, 250, 50, 30, 7])
def test_ddpm_is_its_closed_recursion(steps: int) -> None:
    std, it = 0.5, schedule()
    drawn = sample(exact_denoiser(it, std), (200, 200), [1], it, sampler="ddpm", steps=steps, clamp=False)
    mean, expected = ancestral_moments(steps, std)
    # Four standard errors of 40,000 draws.
    assert drawn.std().item() == pytest.approx(expected, rel=4 / np.sqrt(2 * 40_000))
    assert drawn.mean().item() == pytest.approx(mean, abs=4 * expected / 200)


def with_variance(denoise: Denoiser, share: float) -> Denoiser:
    """Let a denoiser answer with the variance too, in twice the channels: −1 for β̃ and 1 for β."""

    def both(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.cat([denoise(x_t, t), torch.full_like(x_t, 2 * share - 1)], dim=1)

    return both


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("steps", [50, 7])
def test_ddpm_draws_with_the_learned_variance_of_the_respaced_chain(
    steps: int, share: float, prediction: str
) -> None:
    std, it = 0.5, schedule(prediction)
    denoise = with_variance(exact_denoiser(it, std), share)
    drawn = sample(
        denoise, (200, 200), [1], it, sampler="ddpm", steps=steps, clamp=False, learned_variance=True
    )
    mean, expected = ancestral_moments(steps, std, share)
    assert drawn.std().item() == pytest.approx(expected, rel=4 / np.sqrt(2 * 40_000))
    assert drawn.mean().item() == pytest.approx(mean, abs=4 * expected / 200)
    # The test can tell the variances apart.
    assert share == 0 or expected > 1.03 * ancestral_moments(steps, std)[1]


@pytest.mark.parametrize("sampler", ["dpm-solver++", "unipc", "ddim"])
def test_deterministic_samplers_take_the_mean_alone(sampler: str) -> None:
    it = schedule("v")
    plain = sample(exact_denoiser(it, 0.4), (3, 4, 4), [1, 2], it, sampler=sampler, steps=8)
    for share in (0.0, 1.0):
        denoise = with_variance(exact_denoiser(it, 0.4), share)
        drawn = sample(denoise, (3, 4, 4), [1, 2], it, sampler=sampler, steps=8, learned_variance=True)
        assert torch.equal(drawn, plain)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_depends_on_its_seed_alone(sampler: str) -> None:
    it = schedule("v")
    denoise = exact_denoiser(it, 0.4)
    seeds = [5, 2**62 + 1, 11]
    together = sample(denoise, (3, 4, 6), seeds, it, sampler=sampler, steps=8)
    alone = torch.cat([sample(denoise, (3, 4, 6), [seed], it, sampler=sampler, steps=8) for seed in seeds])
    assert together.shape == (3, 3, 4, 6)
    assert torch.equal(together, alone)
    assert not torch.allclose(together[0], together[1])
    torch.manual_seed(9)
    assert torch.equal(together, sample(denoise, (3, 4, 6), seeds, it, sampler=sampler, steps=8))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_both_predictions_sample_the_same(sampler: str) -> None:
    drawn = [
        sample(exact_denoiser(schedule(p), 0.4), (3, 4, 4), [3, 4], schedule(p), sampler=sampler, steps=20)
        for p in ("epsilon", "v")
    ]
    torch.testing.assert_close(drawn[0], drawn[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_x0_is_clamped_only_if_asked(sampler: str) -> None:
    it = schedule()
    far = exact_denoiser(it, 0.1, mean=4.0)
    assert sample(far, (50,), [0], it, sampler=sampler, steps=20).max() <= 1.0 + 1e-6
    assert sample(far, (50,), [0], it, sampler=sampler, steps=20, clamp=False).mean() > 3.9


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_x0_is_kept_within_a_range_of_its_own(sampler: str) -> None:
    """As latents need it, channel by channel."""
    it = schedule()
    lowest, highest = torch.tensor([[-9.0], [1.5]]), torch.tensor([[9.0], [2.0]])
    far = exact_denoiser(it, 0.1, mean=4.0)
    drawn = sample(far, (2, 50), [0], it, sampler=sampler, steps=20, clamp=(lowest, highest))
    free = sample(far, (2, 50), [0], it, sampler=sampler, steps=20, clamp=False)
    assert torch.equal(drawn[:, 0], free[:, 0])
    assert (drawn[:, 1] <= 2 + 1e-5).all()
    assert (drawn[:, 1] >= 1.5 - 1e-5).all()


def test_the_denoiser_sees_the_timesteps_and_the_dtype_and_progress_is_told() -> None:
    seen: list[tuple[list[int], torch.dtype]] = []
    told: list[tuple[int, int]] = []

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((t.tolist(), x_t.dtype))
        return torch.zeros_like(x_t)

    def progress(done: int, of: int) -> None:
        told.append((done, of))

    drawn = sample(
        denoise, (3, 2, 2), [0, 1, 2], schedule("v"), steps=4, dtype=torch.bfloat16, progress=progress
    )
    assert drawn.dtype == torch.float32
    assert seen == [([int(t)] * 3, torch.bfloat16) for t in sampling_timesteps(1000, 4)[::-1]]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_timesteps_are_distinct_and_span_the_chain_for_every_number_of_steps() -> None:
    for length in (1, 10, 1000):
        for steps in range(1, length + 1):
            timesteps = sampling_timesteps(length, steps)
            assert len(timesteps) == steps
            assert (np.diff(timesteps) > 0).all()
            assert timesteps[-1] == length - 1
            assert steps == 1 or timesteps[0] == 0


def test_unknown_samplers_and_impossible_steps_say_what_there_is() -> None:
    it = schedule()
    denoise = exact_denoiser(it, 0.5)
    with pytest.raises(ConfigError, match=r"euler[\s\S]*dpm-solver\+\+, unipc, ddim, ddpm"):
        sample(denoise, (3,), [0], it, sampler="euler")
    for steps in (0, 1001):
        with pytest.raises(ConfigError, match="1 to 1000"):
            sample(denoise, (3,), [0], it, steps=steps)
