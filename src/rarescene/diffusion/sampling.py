"""Sampling x_0 from noise with any denoiser: DPM-Solver++, UniPC, DDIM and DDPM on one respaced schedule.

diffusers' schedulers pick timesteps in several ways, and its DDIM takes the next one to lie at t − T//steps:
400 steps miss the standard deviation of a Gaussian by 14 %. Here all samplers get the same timesteps: the
schedule is respaced to them (Nichol & Dhariwal 2021), and the library walks every step of that short chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
)
from numpy.typing import NDArray
from torch import Tensor

from rarescene.diffusion.schedule import NoiseSchedule
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.seeds import derive_seed

Denoiser = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[int, int], None]

# Name of a sampler -> the library's scheduler and its settings.
SAMPLERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "dpm-solver++": (DPMSolverMultistepScheduler, {"solver_order": 2}),
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2}),
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
}


@dataclass(frozen=True)
class Known:
    """What a sample shall keep of something that is there already: inpainting.

    At each step x̂_0 is blended with what is known. Where all is known, x_t is then √ᾱ_t x_0 + √(1−ᾱ_t) ε at
    every step, noised to the step's level with the very ε that the sample began with: each sampler here moves
    x along (x_t, x̂_0) so that a constant x̂_0 keeps that form. (The ancestral one renews ε, and keeps the
    level.) What is sampled is drawn towards what is known, not all of the way: of two pixels with correlation
    0.9 the free one's mean moves by about two thirds of what it should. A map that says what is where makes
    up for that.

    Attributes:
        x0: float `(B, *shape)`, on the denoiser's device.
        free: float in [0, 1] that broadcasts against x0: 1 where everything is sampled, 0 where x0 stays.
    """

    x0: Tensor
    free: Tensor

    def begin(self, noise: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Return x_T: noise where all is free, and what is known, noised, where nothing is."""
        last = torch.full((len(noise),), len(schedule) - 1, device=noise.device)
        return noise + (1 - self.free) * (schedule.add_noise(self.x0, noise, last) - noise)

    def blend(self, x0: Tensor) -> Tensor:
        """Return x̂_0 where it is free, x_0 where it is known, and between them their mean."""
        return self.x0 + self.free * (x0 - self.x0)


@torch.no_grad()
def sample(
    denoise: Denoiser,
    shape: Sequence[int],
    seeds: Sequence[int],
    schedule: NoiseSchedule,
    *,
    sampler: str = "dpm-solver++",
    steps: int = 30,
    clamp: bool | tuple[Tensor, Tensor] = True,
    learned_variance: bool = False,
    known: Known | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Tensor:
    """Return one sample a seed.

    All noise of sample i is sampled on the CPU from a generator of its own, seeded by `seeds[i]`, so that the
    sample depends on its seed and the denoiser alone, whatever the batch and the device.

    Args:
        denoise: (x_t `(B, *shape)`, t int64 `(B,)`) to the network's output, ε̂ or v̂ as the schedule says.
        shape: shape of one sample, for instance `(3, H, W)`.
        seeds: one seed a sample.
        schedule: the schedule of training.
        sampler: a name of `SAMPLERS`.
        steps: network evaluations, 1 to the number of timesteps.
        clamp: clamp x̂_0 to [-1, 1] at each step, as images need; or, for latents, between a lowest and a
            highest value that broadcast against `(B, *shape)`; False for no clamp.
        learned_variance: the denoiser answers with twice the channels, of which the second half places the
            logarithm of the variance between β̃_t (−1) and β_t (1). `ddpm` samples with it, between the β̃
            and β of the respaced chain; the other samplers need the mean alone.
        known: what the sample keeps of something that is there already; by default all is sampled.
        device: where the denoiser works.
        dtype: of the x_t that the denoiser is given; the sampler's own arithmetic is float32.
        progress: called with (steps done, steps in all) after each step.

    Returns:
        x_0, float32 `(B, *shape)` on `device`.

    Raises:
        ConfigError: no such sampler, or a number of steps out of bounds.
        CheckpointError: what was sampled is not finite.
    """
    timesteps = sampling_timesteps(len(schedule), steps)
    scheduler = _respaced_scheduler(sampler, schedule, timesteps, learned_variance)
    generators = [torch.Generator().manual_seed(derive_seed(seed, "sampling")) for seed in seeds]
    noise = torch.stack([torch.randn(*shape, generator=generator) for generator in generators])
    x = noise.to(device)
    if known is not None:
        x = known.begin(x, schedule)
    random = {"generator": generators} if sampler == "ddpm" else {}
    for done, position in enumerate(scheduler.timesteps.tolist(), start=1):
        t = torch.full((len(seeds),), int(timesteps[position]), dtype=torch.int64, device=x.device)
        output = denoise(x.to(dtype), t).float()
        variance: list[Tensor] = []
        if learned_variance:
            output, *variance = output.chunk(2, dim=1)
        x0 = schedule.x0_from(output, x, t)
        if clamp is True:
            x0 = x0.clamp(-1, 1)
        elif clamp:
            x0 = torch.clamp(x0, *clamp)
        if known is not None:
            x0 = known.blend(x0)
        if variance and sampler == "ddpm":
            x0 = torch.cat([x0, *variance], dim=1)
        x = scheduler.step(x0, position, x, return_dict=False, **random)[0]
        if progress is not None:
            progress(done, steps)
    if not bool(torch.isfinite(x).all()):
        remedy = "Sample in float32 (precision no), with less guidance, or train the generator again."
        raise CheckpointError("the network drew values that are not finite", remedy)
    return x


def sampling_timesteps(length: int, steps: int) -> NDArray[np.int64]:
    """Return `steps` of `length` timesteps in rising order, the first and the last among them.

    t_k = (T−1)·(k/(n−1))^2.5, made distinct: the quadratic spacing of DDIM, somewhat denser at the clean end.
    With it and the exact denoiser, DPM-Solver++ and UniPC keep standard deviations of 0.1, 0.25 and 0.5 to
    9 % in 10 steps and 1 % in 30; evenly spaced, 0.1 loses a third in 30 steps. DDIM is of first order: on a
    Gaussian n steps keep at most cos(π/2n)^n of the standard deviation, 96 % for 30 and 88 % for 10, whatever
    the spacing; here 94 % and 83 %, and 98 % from 100 steps on.

    Raises:
        ConfigError: steps out of bounds.
    """
    if not 1 <= steps <= length:
        raise ConfigError(
            f"{steps} sampling steps were asked for", f"Take 1 to {length}, the schedule's timesteps."
        )
    if steps == 1:
        return np.array([length - 1])
    rank = np.arange(steps)
    spaced = np.rint((length - 1) * (rank / (steps - 1)) ** 2.5).astype(np.int64)
    # Crowded steps at the clean end move up to the next free timestep: all differ if t_k − k never falls.
    distinct = np.maximum.accumulate(spaced - rank) + rank
    return np.minimum(distinct, length - steps + rank)


def _respaced_scheduler(
    sampler: str, schedule: NoiseSchedule, timesteps: NDArray[np.int64], learned_variance: bool
) -> Any:
    """Return the library's scheduler of the short chain whose ᾱ are those of the chosen timesteps."""
    if sampler not in SAMPLERS:
        raise ConfigError(f"there is no sampler {sampler!r}", f"Choose one of: {', '.join(SAMPLERS)}.")
    kind, settings = SAMPLERS[sampler]
    if sampler == "ddpm" and learned_variance:
        settings = {**settings, "variance_type": "learned_range"}
    kept = schedule.alphas_cumprod[timesteps]
    betas = 1 - kept / np.concatenate([[1.0], kept[:-1]])
    scheduler = kind(
        num_train_timesteps=len(timesteps),
        trained_betas=betas,
        prediction_type="sample",
        timestep_spacing="trailing",
        **settings,
    )
    scheduler.set_timesteps(len(timesteps))
    return scheduler
