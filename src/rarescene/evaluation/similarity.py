"""PSNR and MS-SSIM of synthetic images against the real images of the same maps (CASDM, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
)

from rarescene.evaluation.bootstrap import (
    Floats,
    Interval,
    percentile_interval,
    resample_counts,
    resampled_mean,
)
from rarescene.evaluation.config import BootstrapConfig

PSNR_CAP = 100.0
# Exponents of Wang et al., "Multiscale structural similarity", 2003. Images too small for five scales use the
# first three, scaled to the same sum.
FIVE_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
THREE_SCALES = (0.0711, 0.4530, 0.4760)
FIVE_SCALES_FROM = 176
THREE_SCALES_FROM = 32


@dataclass(frozen=True)
class PairedScore:
    """Mean over pairs of a synthetic and a real image of the same map, with an interval over recordings."""

    mean: float
    interval: Interval | None


def psnr(synthetic: Tensor, real: Tensor) -> Tensor:
    """Return 10 log10(peak² / MSE) in dB of each pair `(B, 3, H, W)` in [-1, 1], `(B,)`, at most 100.

    The peak is 2, the range of the images. The cap keeps the mean finite where a pair is equal.
    """
    synthetic, real = synthetic.clamp(-1, 1), real.clamp(-1, 1)
    ratio = peak_signal_noise_ratio(synthetic, real, data_range=2.0, reduction="none", dim=(1, 2, 3))
    return ratio.clamp(max=PSNR_CAP)


def ms_ssim_settings(images: Tensor) -> str | None:
    """Return in words the scales that suit images `(B, 3, H, W)`; None below 32 pixels."""
    side = min(images.shape[-2:])
    if side < THREE_SCALES_FROM:
        return None
    return f"{5 if side >= FIVE_SCALES_FROM else 3} scales, Gaussian window of 11 pixels"


def ms_ssim(synthetic: Tensor, real: Tensor) -> Tensor:
    """Return the MS-SSIM of each pair `(B, 3, H, W)` in [-1, 1], `(B,)`, 0 to 1.

    Five scales from 176 pixels on, three from 32 on: figures of different sizes are not comparable.
    """
    five = min(real.shape[-2:]) >= FIVE_SCALES_FROM
    return multiscale_structural_similarity_index_measure(
        (synthetic.clamp(-1, 1) + 1) / 2,  # the luminance term wants values from 0 on
        (real.clamp(-1, 1) + 1) / 2,
        data_range=1.0,
        betas=FIVE_SCALES if five else THREE_SCALES,
        # The library takes a Gaussian's window, 11, from its sigma; this number only passes its size check.
        kernel_size=11 if five else 5,
        reduction="none",
        normalize="relu",
    )


def paired_score(values: Floats, groups: Sequence[str] | None, config: BootstrapConfig) -> PairedScore | None:
    """Return the mean of `values` `(N,)` with an interval over their recordings; None if there are none."""
    if not len(values):
        return None
    interval = None
    if groups is not None and len(set(groups)) > 1:
        names, owner = np.unique(np.asarray(groups), return_inverse=True)
        interval = percentile_interval(
            resampled_mean(values, owner, resample_counts(len(names), config)), config
        )
    return PairedScore(float(values.mean()), interval)
