"""Classifier-free guidance (Ho & Salimans 2022): one denoiser made of two."""

from __future__ import annotations

import torch
from torch import Tensor

from rarescene.diffusion.sampling import Denoiser


def guided(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """Return the denoiser ε_∅ + s (ε_c − ε_∅).

    s = 1 is no guidance, and then `unconditional` is never called. Others count from there: in the form
    ε_c + w (ε_c − ε_∅), which Ho & Salimans and SDM print, w is s − 1.

    v̂ and x̂_0 are guided likewise: at a given x_t they are affine in ε̂, so all three lead to the same x̂_0. The
    channels of a learned variance, behind those of x_t, stay those of `conditional`.

    Both are called with the batch as it is, one after the other. Stacked to twice the batch they would be
    hardly faster, need γ and β of the empty map once a scene instead of once, and meet other kernels than
    without guidance.

    Args:
        conditional: answers given the condition, ε_c or v_c.
        unconditional: answers without it.
        scale: s.
    """
    if scale == 1:
        return conditional

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        channels = x_t.shape[1]
        given, free = conditional(x_t, t), unconditional(x_t, t)
        output = free[:, :channels] + scale * (given[:, :channels] - free[:, :channels])
        return torch.cat([output, given[:, channels:]], dim=1)

    return denoise
