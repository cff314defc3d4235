"""The forward process q(x_t | x_0), and the way between x_0, ε, v and x_t. One object trains and samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarescene.diffusion.config import DiffusionConfig, Prediction


class NoiseSchedule:
    """Linear β over T timesteps, with x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, where ᾱ_t is the product of 1−β up to t.

    Timesteps are int64 `(B,)` in 0…T−1: t = 0 is the first, least noisy step. Tensors `x` are `(B, ...)` on
    any device. The arithmetic and its results are float32 (float64 for float64 input), also under autocast:
    x̂_0 at the last timestep multiplies the network's rounding by 157.

    Attributes:
        prediction: what the network predicts, `epsilon` or `v`.
        betas: float64 `(T,)`, from which the samplers are built.
        alphas_cumprod: ᾱ, float64 `(T,)`.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.prediction: Prediction = config.prediction
        betas = np.linspace(config.beta_start, config.beta_end, config.timesteps)
        self.betas: NDArray[np.float64] = betas.astype(np.float64)
        self.alphas_cumprod: NDArray[np.float64] = np.cumprod(1 - self.betas, dtype=np.float64)
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.betas)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t of q(x_t | x_0), the closed form of Eq. 1."""
        signal, spread = self._at(t, x0)
        return signal * x0 + spread * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return what the network should predict at x_t: ε (Eq. 3), or v = √ᾱ ε − √(1−ᾱ) x_0."""
        signal, spread = self._at(t, x0)
        if self.prediction == "epsilon":
            return noise.to(signal.dtype)
        return signal * noise - spread * x0

    def x0_from(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return x̂_0 from the network's output, not clamped.

        For ε this is Eq. 10, x̂_0 = (x_t − √(1−ᾱ_t) ε̂)/√ᾱ_t; the paper prints β_t where q(x_t | x_0) has ᾱ_t.
        """
        signal, spread = self._at(t, x_t)
        if self.prediction == "epsilon":
            return (x_t - spread * output) / signal
        return signal * x_t - spread * output

    def epsilon_from(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return ε̂ from the network's output."""
        signal, spread = self._at(t, x_t)
        if self.prediction == "epsilon":
            return output.to(signal.dtype)
        return spread * x_t + signal * output

    def _at(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return √ᾱ_t and √(1−ᾱ_t), shaped to multiply `like`."""
        if t.shape != like.shape[:1]:
            raise ValueError(
                f"timesteps have shape {tuple(t.shape)}, expected one for each of {len(like)} samples"
            )
        if like.device not in self._tables:
            signal = torch.from_numpy(np.sqrt(self.alphas_cumprod))
            spread = torch.from_numpy(np.sqrt(1 - self.alphas_cumprod))
            # Not every device has float64, so only the CPU keeps it.
            dtype = torch.float64 if like.device.type == "cpu" else torch.float32
            self._tables[like.device] = (signal.to(like.device, dtype), spread.to(like.device, dtype))
        shape = (-1, *[1] * (like.ndim - 1))
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        signal, spread = (table[t].to(dtype).view(shape) for table in self._tables[like.device])
        return signal, spread
