"""Which class appears in which phantom frame, and on how much of it: decided before anything is drawn.

The figures of six classes are those that CASDM publishes for CholecSeg8k (section "Dataset"): the share of
the frames that show the class, and its mean share of the area of those frames. They hold exactly, up to
rounding, in sets of any size: the plan is stratified over the videos and rescaled as a whole, not drawn frame
by frame. Within a video a class comes in one or two contiguous episodes. Where a class is due in fewer frames
than a third of the videos, it gets one frame in each of that third.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.config import PhantomConfig
from rarescene.scenes.datasets.phantom.video import PhantomVideo


@dataclass(frozen=True)
class Figures:
    """How often and how large a class is.

    Attributes:
        frames: share of all frames that show the class.
        area: mean share of the area of the frames that show it.
        videos: share of the videos that show it at all (raised where its frames would not fit).
        spread: standard deviation of the logarithm of the area between videos.
        bounds: smallest and largest area, as multiples of the mean.
        growth: area at the ends of an episode, first and last, as multiples of its middle.
    """

    frames: float
    area: float
    videos: float
    spread: float
    bounds: tuple[float, float]
    growth: tuple[float, float]


PUBLISHED: dict[str, Figures] = {
    "blood": Figures(0.0856, 0.0493, 0.45, 0.35, (0.25, 2.2), (0.35, 1.25)),
    "cystic duct": Figures(0.0307, 0.0120, 0.35, 0.25, (0.5, 1.8), (0.8, 0.8)),
    "hepatic vein": Figures(0.0392, 0.0024, 0.35, 0.20, (0.6, 1.6), (0.9, 0.9)),
    "liver ligament": Figures(0.0297, 0.1410, 0.35, 0.15, (0.6, 1.4), (0.9, 0.9)),
    "L-hook electrocautery": Figures(0.2790, 0.0470, 0.65, 0.20, (0.4, 1.7), (0.55, 0.55)),
    "connective tissue": Figures(0.1980, 0.1145, 0.55, 0.25, (0.4, 1.6), (0.8, 0.8)),
}
"""CASDM's twelve figures (`frames` and `area`); the other numbers are ours."""

_EPISODIC = {**PUBLISHED, "grasper": Figures(0.70, 0.039, 0.90, 0.20, (0.4, 1.8), (0.6, 0.6))}
_WHOLE_VIDEOS = {  # class: (share of the videos, mean area)
    "gallbladder": (0.90, 0.055),
    "gastrointestinal tract": (0.52, 0.066),
    "abdominal wall": (0.94, 0.0),
    "fat": (0.97, 0.0),
}
_REMAINDER = {
    "abdominal wall": 0.25,
    "liver": 0.42,
    "fat": 0.33,
}  # shares of what the others leave of the field
_MINIMUM_VIDEOS = 1 / 3


@dataclass(frozen=True)
class PhantomPlan:
    """Presence and target area of every class in every frame, frames of a video in a row.

    Attributes:
        presence: bool `(N, C)`.
        area: float32 `(N, C)`, shares of the whole frame that sum to 1; 0 where absent. Drawn masks follow
            the six published classes closely, grasper, gallbladder and gastrointestinal tract roughly;
            background, abdominal wall, liver and fat share what is left and are an outlook only.
    """

    presence: np.ndarray
    area: np.ndarray


def plan(config: PhantomConfig) -> PhantomPlan:
    """Return the plan of a phantom set, without drawing it. It does not depend on the size of the frames."""
    videos, frames, classes = config.videos, config.frames, len(CHOLECSEG8K)
    area = np.zeros((videos, frames, classes))
    for name, figures in _EPISODIC.items():
        rng = np.random.default_rng(derive_seed(config.seed, "phantom plan", name))
        area[..., CHOLECSEG8K.id_of(name)] = _episodes(rng, videos, frames, figures)
    shown = {}
    for name, (share, mean) in _WHOLE_VIDEOS.items():
        rng = np.random.default_rng(derive_seed(config.seed, "phantom plan", name))
        shown[name] = np.zeros(videos, bool)
        shown[name][_stratified(rng, videos, min(videos, max(1, round(share * videos))))] = True
        size = mean * rng.uniform(0.7, 1.3, videos)
        area[..., CHOLECSEG8K.id_of(name)] = (shown[name] * size)[:, None]

    fields = np.array([PhantomVideo.of(config.seed, video).field_share for video in range(videos)])
    left = np.maximum(fields[:, None] - area.sum(axis=2), 0.03)
    weights = {name: share * shown.get(name, np.ones(videos, bool)) for name, share in _REMAINDER.items()}
    total = np.sum(list(weights.values()), axis=0)
    for name, weight in weights.items():
        area[..., CHOLECSEG8K.id_of(name)] = left * (weight / total)[:, None]
    area[..., 0] = 1 - area.sum(axis=2)
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
