"""Fréchet and kernel distances where the answer is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from rarescene.evaluation.config import RealismConfig
from rarescene.evaluation.distances import Distance, FeatureDistances


class Identity:
    """A network whose features are its input."""

    name = "Identity"

    def __init__(self, num_features: int) -> None:
        self.num_features = num_features

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images


def distance(real: np.ndarray, synthetic: np.ndarray, config: RealismConfig | None = None) -> Distance:
    metric = FeatureDistances(Identity(real.shape[1]), config or RealismConfig())
    metric.update(torch.from_numpy(real[:1]), real=True)  # batches of 1 and of the rest
    metric.update(torch.from_numpy(real[1:]), real=True)
    metric.update(torch.from_numpy(synthetic), real=False)
    return metric.result()


def samples(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Samples whose mean and covariance are exactly these."""
    noise = np.random.default_rng(seed).normal(size=(count, len(mean)))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def random_covariance(size: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_frechet_distance_of_two_known_gaussians() -> None:
    one = samples(np.zeros(3), np.diag([1.0, 4.0, 9.0]), 50, seed=0)
    other = samples(np.array([1.0, 0.0, 2.0]), np.diag([4.0, 4.0, 1.0]), 60, seed=1)
    # |Δμ|² + Σ (σ - σ')² = 5 + (1 - 2)² + 0 + (3 - 1)²
    assert distance(one, other).frechet == pytest.approx(10.0, rel=1e-9)


def test_frechet_distance_of_gaussians_that_do_not_commute() -> None:
    first, second = random_covariance(6, 1), random_covariance(6, 2)
    means = np.random.default_rng(3).normal(size=(2, 6))
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(
        first + second - 2 * np.real(linalg.sqrtm(first @ second))
    )
    result = distance(samples(means[0], first, 40, 4), samples(means[1], second, 30, 5))
    assert result.frechet == pytest.approx(expected, rel=1e-8)


def test_equal_sets_are_at_distance_zero_even_with_fewer_images_than_features() -> None:
    features = np.random.default_rng(0).normal(size=(20, 64))
    result = distance(features, features[::-1].copy())
    assert 0 <= result.frechet < 1e-3
    assert (result.frechet_name, result.kernel_name) == ("FD-Identity", "KD-Identity")


def test_kernel_distance_equals_the_unbiased_mmd_summed_pair_by_pair() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(7, 5)), generator.normal(0.5, 1, size=(7, 5))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 5 + 1) ** 3)

    n = len(x)
    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j) / (
        n * (n - 1)
    )
    between = sum(kernel(a, b) for a in x for b in y) / n**2
    result = distance(x, y)
    assert result.kernel == pytest.approx(within - 2 * between, rel=1e-9)
    assert result.kernel_deviation is None


def test_kernel_distance_of_one_distribution_is_zero_on_average_and_grows_with_a_shift() -> None:
    def mean_distance(shift: float) -> float:
        generators = [np.random.default_rng(seed) for seed in range(60)]
        drawn = [
            distance(g.normal(size=(30, 4)), g.normal(shift, 1, size=(30, 4))).kernel for g in generators
        ]
        return float(np.mean(drawn))

    assert abs(mean_distance(0.0)) < 0.05
    assert mean_distance(0.5) > 0.5
    assert mean_distance(1.0) > mean_distance(0.5)


def test_subsets_are_seeded_and_leave_the_random_state_alone() -> None:
    generator = np.random.default_rng(0)
    real, synthetic = generator.normal(size=(40, 4)), generator.normal(size=(25, 4))
    config = RealismConfig(kernel_subset=10, kernel_subsets=5)
    state = torch.get_rng_state()
    first, second = distance(real, synthetic, config), distance(real, synthetic, config)
    assert first == second
    assert first.kernel_deviation is not None
    assert first.kernel_deviation > 0
    assert torch.equal(torch.get_rng_state(), state)
