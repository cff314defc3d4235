"""The forward process q(x_t | x_0), its posterior, and the way between x_0, ε, v and x_t.

One object trains and samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarescene.diffusion.config import DiffusionConfig, Prediction
from rarescene.foundation.seeds import derive_seed


class NoiseSchedule:
    """T timesteps with x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, where ᾱ_t is the product of 1−β up to t.

    Timesteps are int64 `(B,)` in 0…T−1: t = 0 is the first, least noisy step. Tensors `x` are `(B, ...)` on
    any device. The arithmetic and its results are float32 (float64 for float64 input), also under autocast:
    x̂_0 at the last timestep multiplies the network's rounding by 157.

    Attributes:
        prediction: what the network predicts, `epsilon`, `v` or `x0`.
        betas: float64 `(T,)`, from which the samplers are built.
        alphas_cumprod: ᾱ, float64 `(T,)`.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.prediction: Prediction = config.prediction
        self.betas: NDArray[np.float64] = config.betas
        self.alphas_cumprod: NDArray[np.float64] = np.cumprod(1 - self.betas, dtype=np.float64)
        bars = self.alphas_cumprod
        previous = np.append(1.0, bars[:-1])
        # Nichol & Dhariwal 2021, Eq. 10: β̃_t; the first, 0, has no logarithm and takes that of the second.
        reverse = self.betas * (1 - previous) / (1 - bars)
        reverse[0] = reverse[1] if len(bars) > 1 else self.betas[0]
        self._values = {
            "signal": np.sqrt(bars),
            "spread": np.sqrt(1 - bars),
            "posterior_of_x0": np.sqrt(previous) * self.betas / (1 - bars),
            "posterior_of_x_t": np.sqrt(1 - self.betas) * (1 - previous) / (1 - bars),
            "log_beta": np.log(self.betas),
            "log_reverse": np.log(reverse),
        }
        self._tables: dict[torch.device, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.betas)

    def sample(
        self, seeds: Sequence[int], like: Tensor, purpose: str = "noise", share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return t `(B,)` and ε like x_0 `(B, ...)`: a timestep and a noise for each scene's own seed.

        Args:
            seeds: one a scene.
            like: x_0.
            purpose: what they are for; each purpose has draws of its own.
            share: of the timesteps, the least noisy ones, among which t is uniform.
        """
        stop = max(1, round(share * len(self)))
        timesteps, noises = [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(derive_seed(seed, purpose))
            timesteps.append(torch.randint(stop, (), generator=generator))
            noises.append(torch.randn(like.shape[1:], generator=generator))
        return torch.stack(timesteps).to(like.device), torch.stack(noises).to(like)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t of q(x_t | x_0), the closed form of Eq. 1."""
        signal, spread = self._at(t, x0, "signal", "spread")
        return signal * x0 + spread * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return what the network should predict at x_t: ε (Eq. 3), v = √ᾱ ε − √(1−ᾱ) x_0, or x_0."""
        signal, spread = self._at(t, x0, "signal", "spread")
        if self.prediction == "epsilon":
            return noise.to(signal.dtype)
        if self.prediction == "x0":
            return x0.to(signal.dtype)
        return signal * noise - spread * x0

    def x0_from(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return x̂_0 from the network's output, not clamped.

        For ε this is Eq. 10, x̂_0 = (x_t − √(1−ᾱ_t) ε̂)/√ᾱ_t; the paper prints β_t where q(x_t | x_0) has
        ᾱ_t.
        """
        signal, spread = self._at(t, x_t, "signal", "spread")
        if self.prediction == "epsilon":
            return (x_t - spread * output) / signal
        if self.prediction == "x0":
            return output.to(signal.dtype)
        return signal * x_t - spread * output

    def x0_gain(self, t: Tensor) -> Tensor:
        """Return |∂x̂_0/∂output| `(B,)`, by which an error of the output grows on its way to x̂_0.

        √(1−ᾱ_t)/√ᾱ_t for ε, √(1−ᾱ_t) for v, 1 for x0.
        """
        signal, spread = self._at(t, t.float(), "signal", "spread")
        if self.prediction == "epsilon":
            return spread / signal
        return torch.ones_like(spread) if self.prediction == "x0" else spread

    def posterior_mean(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the mean of q(x_{t−1} | x_t, x_0): Eq. 11 of Nichol & Dhariwal 2021."""
        of_x0, of_x_t = self._at(t, x_t, "posterior_of_x0", "posterior_of_x_t")
        return of_x0 * x0 + of_x_t * x_t

    def log_variance(self, raw: Tensor, t: Tensor) -> Tensor:
        """Return log Σ between log β̃_t, the variance of q(x_{t−1} | x_t, x_0), and log β_t: Eq. 15 there.

        `raw` is a network's output: −1 stands for β̃_t (v = 0), 1 for β_t (v = 1). At t = 0 the bound β̃_t is
        that of t = 1, since its own is 0.
        """
        lower, upper = self._at(t, raw, "log_reverse", "log_beta")
        v = (raw + 1) / 2
        return v * upper + (1 - v) * lower

    def _at(self, t: Tensor, like: Tensor, *names: str) -> tuple[Tensor, ...]:
        """Return values of the timesteps, such as √ᾱ_t and √(1−ᾱ_t), shaped to multiply `like`."""
        if t.shape != like.shape[:1]:
            raise ValueError(
                f"timesteps have shape {tuple(t.shape)}, expected one for each of {len(like)} samples"
            )
        if like.device not in self._tables:
            # Not every device has float64, so only the CPU keeps it.
            dtype = torch.float64 if like.device.type == "cpu" else torch.float32
            self._tables[like.device] = {
                name: torch.from_numpy(value).to(dtype).to(like.device)
                for name, value in self._values.items()
            }
        shape = (-1, *[1] * (like.ndim - 1))
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        tables = self._tables[like.device]
        return tuple(tables[name][t].to(dtype).view(shape) for name in names)
