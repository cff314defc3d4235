"""PSNR by hand and MS-SSIM against a slow version written from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.realism import (
    FIVE_SCALES,
    THREE_SCALES,
    ms_ssim,
    ms_ssim_settings,
    paired_score,
    psnr,
)


def pairs(size: int, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 8, 8, generator=generator)
    real = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)
    synthetic = (real + 0.2 * torch.randn(real.shape, generator=generator)).clamp(-1, 1)
    return synthetic, real


def test_psnr_by_hand() -> None:
    real = torch.zeros(3, 3, 4, 4)
    synthetic = real.clone()
    synthetic[0] += 0.1  # MSE 0.01
    synthetic[1, :, :2] += 1.0  # half of the pixels off by half the range: MSE 0.5
    expected = [10 * math.log10(4 / 0.01), 10 * math.log10(4 / 0.5), 100.0]
    torch.testing.assert_close(psnr(synthetic, real), torch.tensor(expected))
    torch.testing.assert_close(psnr(synthetic[:1], real[:1]), torch.tensor(expected[:1]))


def slow_ms_ssim(one: np.ndarray, other: np.ndarray, betas: tuple[float, ...]) -> float:
    """Wang et al., 2003, Eq. 7, on images `(3, H, W)` in [0, 1]; contrasts leave out the mirrored border."""

    def blur(x: np.ndarray) -> np.ndarray:
        return np.stack([gaussian_filter(c, 1.5, mode="mirror", radius=5) for c in x])

    result = 1.0
    for scale, beta in enumerate(betas):
        mean_x, mean_y = blur(one), blur(other)
        var_x, var_y = blur(one**2) - mean_x**2, blur(other**2) - mean_y**2
        covariance = blur(one * other) - mean_x * mean_y
        contrast = (2 * covariance + 0.03**2) / (var_x + var_y + 0.03**2)
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        if scale == len(betas) - 1:
            return float(result * max((luminance * contrast).mean(), 0.0) ** beta)
        result *= max(contrast[:, 5:-5, 5:-5].mean(), 0.0) ** beta
        one, other = (x.reshape(3, x.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4)) for x in (one, other))
    raise ValueError("at least one scale")


@pytest.mark.parametrize(("size", "betas"), [(32, THREE_SCALES), (64, THREE_SCALES), (176, FIVE_SCALES)])
@pytest.mark.parametrize("count", [1, 3])
def test_ms_ssim_equals_a_slow_version(size: int, betas: tuple[float, ...], count: int) -> None:
    synthetic, real = pairs(size, count)
    ours = ms_ssim(synthetic, real)
    expected = [
        slow_ms_ssim((a.double().numpy() + 1) / 2, (b.double().numpy() + 1) / 2, betas)
        for a, b in zip(synthetic, real, strict=True)
    ]
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=2e-4)
    assert ours.max() < 0.99
    torch.testing.assert_close(ms_ssim(real, real), torch.ones(count))


def test_scales_keep_the_sum_of_their_exponents_and_the_first_threes_ratios() -> None:
    assert sum(THREE_SCALES) == pytest.approx(sum(FIVE_SCALES), abs=1e-3)
    for three, five in zip(THREE_SCALES, FIVE_SCALES[:3], strict=True):
        assert three / five == pytest.approx(1 / sum(FIVE_SCALES[:3]), rel=2e-3)


def test_the_scales_used_are_named_and_tiny_images_have_none() -> None:
    assert str(ms_ssim_settings(torch.zeros(1, 3, 200, 176))).startswith("5 scales")
    assert str(ms_ssim_settings(torch.zeros(1, 3, 200, 128))).startswith("3 scales")
    assert ms_ssim_settings(torch.zeros(1, 3, 64, 31)) is None


def test_intervals_resample_recordings() -> None:
    values, groups = np.arange(12.0), ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    config = BootstrapConfig(resamples=400, seed=1)
    score = paired_score(values, groups, config)
    assert score is not None
    draws = np.random.default_rng(1).multinomial(3, np.full(3, 1 / 3), size=400)
    expected = np.quantile(draws @ np.array([1.5, 5.5, 9.5]) / 3, [0.025, 0.975])
    assert score.mean == 5.5
    assert score.interval is not None
    assert [score.interval.low, score.interval.high] == pytest.approx(expected.tolist())
    alone = paired_score(values, ["a"] * 12, config)
    assert alone is not None
    assert alone.interval is None
    assert paired_score(np.empty(0), None, config) is None
