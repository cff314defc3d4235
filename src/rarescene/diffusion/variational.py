"""The variational bound that trains a learned variance (Nichol & Dhariwal 2021, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rarescene.diffusion.schedule import NoiseSchedule


def variational_bound(
    x0: Tensor, x_t: Tensor, t: Tensor, output: Tensor, variance: Tensor, schedule: NoiseSchedule
) -> Tensor:
    """Return the term of L_vlb (Eq. 4) at the timestep of each scene, in bits a dimension.

    T times its mean over random timesteps estimates L_vlb, without L_T (Eq. 7), which nothing can train.
    Gradient reaches `variance` alone: the mean is left to L_simple, of which the bound would be a noisy copy.

    Args:
        x0: images of 256 levels in [-1, 1], `(B, C, H, W)`.
        x_t: the noisy ones, which the network saw.
        t: int64 `(B,)`.
        output: ε̂ or v̂, as the schedule says.
        variance: the network's other channels, which `NoiseSchedule.log_variance` reads.
        schedule: the schedule of training.

    Returns:
        float32 `(B,)`.
    """
    # Eq. 11 and 10: q(x_{t-1} | x_t, x_0)
    true_mean = schedule.posterior_mean(x0, x_t, t)
    true_log_variance = schedule.log_variance(torch.full_like(x_t, -1.0), t)
    # Eq. 13 and 15: p(x_{t-1} | x_t)
    x0_hat = schedule.x0_from(output.detach(), x_t, t)
    mean = schedule.posterior_mean(x0_hat, x_t, t)
    log_variance = schedule.log_variance(variance, t)

    # Eq. 6, between Gaussians
    divergence = 0.5 * (
        log_variance - true_log_variance - 1
        + torch.exp(true_log_variance - log_variance)
        + (true_mean - mean).square() * torch.exp(-log_variance)
    )  # fmt: skip
    # Eq. 5
    nats = torch.where(
        t.view(-1, *[1] * (x0.ndim - 1)) == 0,
        -discretised_log_likelihood(x0, mean, log_variance),
        divergence,
    )
    return nats.flatten(1).mean(1) / math.log(2)


def discretised_log_likelihood(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log p of each value of x_0, one of 256 levels, under a Gaussian (Ho et al. 2020, Eq. 13).

    A level has the mass of its bin, half a level to each side; the first and the last reach to infinity.

    Args:
        x0: in [-1, 1], neighbouring levels 2/255 apart.
        mean: of the Gaussian, like `x0`.
        log_variance: likewise.

    Returns:
        Like `x0`, in nats.
    """
    precision = torch.exp(-0.5 * log_variance)
    upper, lower = (x0 - mean + 1 / 255) * precision, (x0 - mean - 1 / 255) * precision
    # log(Φ(b) − Φ(a)) is taken in the left tail, where Φ keeps its digits: for a > 0 as Φ(−a) − Φ(−b).
    mirrored = lower > 0
    near = torch.special.log_ndtr(torch.where(mirrored, -lower, upper))
    far = torch.special.log_ndtr(torch.where(mirrored, -upper, lower))
    inside = near + torch.log(-torch.expm1((far - near).clamp_max(-1e-6)))
    first, last = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    return torch.where(x0 < -0.999, first, torch.where(x0 > 0.999, last, inside))
