"""The fine structure of phantom tissue: periodic noise of one video, made once, looked up by every frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rarescene.foundation.seeds import derive_seed

PERIOD = 1.7
"""Length after which a texture repeats, in units of the anatomy (the field of view is about 1.9 across)."""


@dataclass(frozen=True)
class Textures:
    """Periodic textures of `size`² texels.

    Attributes:
        bank: float32 `(size², 4)`: fractal noise, smooth noise (both of mean 0 and deviation 1), lobules (0
            in the furrows, about 1 on the tops) and vessels (0 to 1).
        grain: float32 `(size²,)`: the fractal noise alone, for look-ups in stretched coordinates (fibres).
    """

    size: int
    bank: np.ndarray
    grain: np.ndarray


def texture_size(unit: float) -> int:
    """Return the power of two, at most 512, that gives a texel a pixel or more at `unit` pixels a unit."""
    return 2 ** min(9, max(4, math.ceil(math.log2(PERIOD * unit))))


@lru_cache(maxsize=48)
def textures(seed: int, video: int, size: int) -> Textures:
    """Return the textures of a video. Larger sizes add finer octaves to the same structure."""
    fractal = _normal(_octaves(seed, video, "fractal", size, 4, 0.56))
    smooth = _normal(_octaves(seed, video, "smooth", size, 4, 0.36))
    furrows = _normal(_octaves(seed, video, "furrows", size, 8, 0.30))
    lobules = np.minimum(np.sqrt(np.abs(furrows)), 1.3)
    bank = np.stack([fractal, smooth, lobules, _vessels(seed, video, size)], axis=-1)
    return Textures(size, bank.reshape(-1, 4).astype(np.float32), fractal.ravel().astype(np.float32))


def _octaves(seed: int, video: int, kind: str, size: int, first: int, persistence: float) -> np.ndarray:
    """Sum periodic octaves down to two texels, each with `persistence` times the amplitude of the last."""
    field = np.zeros((first, first), np.float32)
    amplitude = 1.0
    while True:
        grid = len(field)
        rng = np.random.default_rng(derive_seed(seed, "phantom texture", video, kind, grid))
        if grid == size:
            return field
        field += np.float32(amplitude) * rng.standard_normal((grid, grid), np.float32)
        field = _double(_double(field, 0), 1)
        amplitude *= persistence


def _double(field: np.ndarray, axis: int) -> np.ndarray:
    """Double a periodic grid along an axis with the quadratic B-spline's subdivision weights (1/4, 3/4)."""
    before, after = np.roll(field, 1, axis), np.roll(field, -1, axis)
    pair = np.stack([0.75 * field + 0.25 * before, 0.75 * field + 0.25 * after], axis=axis + 1)
    shape = list(field.shape)
    shape[axis] *= 2
    return pair.reshape(shape)


def _normal(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / field.std()


def _vessels(seed: int, video: int, size: int) -> np.ndarray:
    """Draw wandering, branching vessels as lines of soft points."""
    rng = np.random.default_rng(derive_seed(seed, "phantom texture", video, "vessels"))
    trees, steps = 16, 160
    field = np.zeros((size, size), np.float32)
    turn = np.cumsum(rng.standard_normal((trees, steps)) * 0.09, axis=1)
    angle = rng.uniform(0, 2 * np.pi, (trees, 1)) + turn
    points = rng.random((2, trees, 1)) + np.cumsum([np.cos(angle), np.sin(angle)], axis=2) * 0.004
    strength = np.linspace(1.0, 0.35, steps) * rng.uniform(0.5, 1.0, (trees, 1))
    lines = [(points, strength)]
    for _ in range(3):  # branches leave at a random point of their stem, at an angle
        at = rng.integers(20, 120, trees)
        stem = points[:, np.arange(trees), at][:, :, None]
        bend = angle[np.arange(trees), at][:, None] + rng.choice([-1, 1], (trees, 1)) * rng.uniform(
            0.4, 0.9, (trees, 1)
        )
        branch = bend + np.cumsum(rng.standard_normal((trees, 70)) * 0.11, axis=1)
        walk = stem + np.cumsum([np.cos(branch), np.sin(branch)], axis=2) * 0.004
        lines.append((walk, np.linspace(0.6, 0.2, 70) * np.ones((trees, 1))))
    for walk, weight in lines:
        fine = np.concatenate([walk, (walk + np.roll(walk, -1, 2)) / 2], axis=2)[:, :, :-1] % 1.0
        both = np.concatenate([weight, weight], axis=1)[:, :-1]
        column, row = (fine * size).astype(int) % size
        np.maximum.at(field, (row, column), both)
    soft = 0.5 * field + 0.25 * np.roll(field, 1, 0) + 0.25 * np.roll(field, 1, 1)
    return np.minimum(soft * min(1.6, (size / 256) ** 0.5 + 0.3), 1.0)
