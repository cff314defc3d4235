"""Percentile intervals over recordings: frames of one recording are near-copies, never drawn alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarescene.evaluation.config import BootstrapConfig

FEW_RECORDINGS = 6
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval with both ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


def resample_counts(recordings: int, config: BootstrapConfig) -> Counts:
    """Return how often each recording is drawn in each resample, int64 `(resamples, recordings)`.

    Drawing n recordings with replacement is one multinomial draw of counts, so that sums over a resample are
    one matrix product. Every row sums to `recordings`.
    """
    generator = np.random.default_rng(config.seed)
    return generator.multinomial(recordings, np.full(recordings, 1 / recordings), size=config.resamples)


def percentile_interval(values: Floats, config: BootstrapConfig) -> Interval | None:
    """Return the interval that holds the middle `config.confidence` of `values` `(resamples,)`.

    A resample may lack what is measured (no recording that shows the class was drawn); it is then NaN and
    left out. None if that is so for all of them.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high))


def resampled_mean(values: Floats, owner: Counts, draws: Counts) -> Floats:
    """Return the mean over frames in each resample, `(resamples,)`; NaN where no frame was drawn.

    Args:
        values: one value a frame, `(N,)`.
        owner: the index of each frame's recording, `(N,)`.
        draws: how often each recording is drawn, `(resamples, R)`; its frames come with it.
    """
    recordings = draws.shape[1]
    sums = np.bincount(owner, weights=values, minlength=recordings)
    frames = np.bincount(owner, minlength=recordings)
    return divide((draws @ sums).astype(np.float64), (draws @ frames).astype(np.float64))


def resampled_median(values: Floats, owner: Counts, draws: Counts) -> Floats:
    """Return the median over frames in each resample, `(resamples,)`; NaN where no frame was drawn.

    Arguments as for `resampled_mean`. With an even number of frames it is the mean of the middle two.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    result = np.full(len(draws), np.nan)
    for start in range(0, len(draws), 256):  # so that memory does not grow with the number of resamples
        ends = np.cumsum(draws[start : start + 256, owner[order]], axis=1)  # repeats up to each value
        total = ends[:, -1:]
        lower = ordered[np.argmax(ends > (total - 1) // 2, axis=1)]
        upper = ordered[np.argmax(ends > total // 2, axis=1)]
        result[start : start + 256] = np.where(total[:, 0] > 0, (lower + upper) / 2, np.nan)
    return result


def divide(above: Floats, below: Floats) -> Floats:
    """Return `above / below`, NaN where `below` is 0. NaN stays in this room: results say None and why."""
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below != 0)


def mean_of_known(values: Floats) -> Floats:
    """Return the mean over the last axis of those that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    return divide(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(float))


def known_or_none(value: float) -> float | None:
    """Return None for NaN: a score that does not exist."""
    return None if np.isnan(value) else float(value)


def few_recordings_note(recordings: int) -> str | None:
    """Return what a table must say when its recordings are too few for its intervals, else None."""
    if recordings == 1:
        return "One recording only: no interval can be given, and nothing is shown about other recordings."
    if recordings < FEW_RECORDINGS:
        return f"The intervals rest on {recordings} recordings and are narrower than they should be."
    return None
