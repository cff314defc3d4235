"""Which class appears in which phantom frame, and on how much of it: decided before anything is drawn.

The figures of what comes and goes hold exactly, up to rounding, in sets of any size: the plan is stratified
over the videos and rescaled as a whole, not drawn frame by frame. Within a video it comes in one or two
contiguous episodes. What is due in fewer frames than a third of the videos gets one frame in each of that
third.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.datasets.phantom.config import PhantomConfig
from rarescene.scenes.datasets.phantom.operation import Figures

_MINIMUM_VIDEOS = 1 / 3
_FULL = 0.93  # of a frame


@dataclass(frozen=True)
class PhantomPlan:
    """Presence and target area of every class in every frame, frames of a video in a row.

    Attributes:
        presence: bool `(N, C)`.
        area: float32 `(N, C)`, shares of the whole frame that sum to 1; 0 where absent. Drawn masks follow
            closely what claims its planned pixels (of CholecSeg8k's classes the six published ones), the
            other organs and the instruments roughly; what shares the remainder is an outlook only.
    """

    presence: np.ndarray
    area: np.ndarray


def plan(config: PhantomConfig) -> PhantomPlan:
    """Return the plan of a phantom set, without drawing it. It does not depend on the size of the frames."""
    operation, videos, frames = config.operation, config.videos, config.frames
    table, classes = operation.table, len(operation.table)
    area = np.zeros((videos, frames, classes))
    later = () if config.first == 1 else (config.first,)  # other recordings have episodes of their own
    for name, figures in operation.episodic.items():
        rng = np.random.default_rng(derive_seed(config.seed, "phantom plan", name, *later))
        sizes = _episodes(rng, videos, frames, figures)
        for part, share in operation.parts.get(name, {name: 1.0}).items():
            area[..., table.id_of(part)] = share * sizes
    shown = {}
    coming = area.sum(axis=2)
    for name, (share, mean) in operation.whole_videos.items():
        rng = np.random.default_rng(derive_seed(config.seed, "phantom plan", name, *later))
        shown[name] = np.zeros(videos, bool)
        shown[name][_stratified(rng, videos, min(videos, max(1, round(share * videos))))] = True
        size = mean * rng.uniform(0.7, 1.3, videos)
        area[..., table.id_of(name)] = (shown[name] * size)[:, None]
    staying = area.sum(axis=2) - coming
    # Where much comes together, what stays gives way: it is covered.
    crowded = np.maximum(coming + staying - _FULL, 0) / np.maximum(staying, 1e-9)
    area[..., table.ids_of(operation.whole_videos)] *= (1 - np.minimum(crowded, 0.9))[..., None]

    fields = np.array([operation.video(config.seed, video).field_share for video in config.numbers])
    left = np.maximum(fields[:, None] - area.sum(axis=2), 0.03)
    weights = {
        name: share * shown.get(name, np.ones(videos, bool)) for name, share in operation.remainder.items()
    }
    total = np.sum(list(weights.values()), axis=0)
    for name, weight in weights.items():
        area[..., table.id_of(name)] = left * (weight / total)[:, None]
    area[..., 0] += 1 - area.sum(axis=2)
    presence = area > 0
    return PhantomPlan(presence.reshape(-1, classes), area.reshape(-1, classes).astype(np.float32))


def _episodes(rng: np.random.Generator, videos: int, frames: int, figures: Figures) -> np.ndarray:
    """Return the area `(V, F)` of one class, 0 outside its episodes."""
    total = max(1, round(figures.frames * videos * frames))
    count = math.ceil(max(_MINIMUM_VIDEOS, figures.videos) * videos)
    count = min(videos, max(count, math.ceil(1.25 * total / frames)))
    total = max(
        total, min(count, math.ceil(_MINIMUM_VIDEOS * videos))
    )  # at least one frame in a third of the videos
    chosen = _stratified(rng, videos, count)
    lengths = np.zeros(videos, int)
    lengths[chosen] = _deal(rng, total, count, frames)

    # One or two episodes: `first` frames, a gap, then the rest; free frames lie before, between and after.
    free = frames - lengths
    split = (lengths >= 12) & (free >= 4) & (rng.random(videos) < 0.5)
    first = np.where(split, np.rint(lengths * rng.uniform(0.35, 0.65, videos)).astype(int), lengths)
    start = (rng.random(videos) * (free - split + 1)).astype(int)
    second = start + first + split + (rng.random(videos) * (free - split - start + 1)).astype(int)
    frame = np.arange(frames)
    progress_1 = (frame - start[:, None] + 0.5) / np.maximum(first, 1)[:, None]
    progress_2 = (frame - second[:, None] + 0.5) / np.maximum(lengths - first, 1)[:, None]
    in_1 = (progress_1 > 0) & (progress_1 < 1) & (first > 0)[:, None]
    in_2 = (progress_2 > 0) & (progress_2 < 1) & (lengths > first)[:, None]
    progress = np.where(in_1, progress_1, progress_2)
    present = in_1 | in_2

    ends = np.interp(progress, (0, 0.35, 0.75, 1), (figures.growth[0], 1, 1, figures.growth[1]))
    waves = np.sin(2 * np.pi * (frame / rng.uniform(30, 70, (videos, 1)) + rng.random((videos, 1))))
    size = np.exp(figures.spread * rng.standard_normal((videos, 1))) * ends * (1 + 0.12 * waves)
    low, high = figures.bounds
    for _ in range(8):  # clipping moves the mean and rescaling the bounds; this settles at once
        size = np.clip(size / size[present].mean(), low, high)
    size *= figures.area / size[present].mean()
    return np.where(present, size, 0.0)


def _stratified(rng: np.random.Generator, videos: int, count: int) -> np.ndarray:
    """Choose one video from each of `count` runs of neighbours, so that any few videos in a row hold some."""
    edges = np.arange(count + 1) * videos // count
    return edges[:-1] + (rng.random(count) * np.diff(edges)).astype(int)


def _deal(rng: np.random.Generator, total: int, count: int, limit: int) -> np.ndarray:
    """Deal `total` frames unevenly to `count` videos, at most `limit` each, at least one while they last."""
    weights = rng.uniform(0.6, 1.4, count)
    shares = np.minimum(weights / weights.sum() * total, limit)
    lengths = np.floor(shares).astype(int)
    if total >= count:
        lengths = np.maximum(lengths, 1)
    order = np.argsort(lengths - shares, kind="stable")
    for turn in range(limit + 1):
        missing = total - int(lengths.sum())
        if missing == 0:
            break
        step = 1 if missing > 0 else -1
        room = order[
            (lengths[order] < limit) if step > 0 else (lengths[order] > (turn == 0 or total >= count))
        ]
        lengths[room[: abs(missing)]] += step
    return lengths
