"""Are generated maps what was asked for, unlike each other, and no copies?

Nothing is known of the quality of a single map but whether it keeps its request. Whether maps of one request
differ, and whether they are copies of training maps, is told by their IoU; the same among real maps
stand beside them, since an IoU by itself means nothing: anatomy repeats, and adjacent frames are
near-copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from rarescene.evaluation.bootstrap import Floats
from rarescene.scenes.request import ClassKept, KeptReport

_BLOCK = 128


@dataclass(frozen=True)
class KeptShares:
    """How many of the requests that ask for a class are kept.

    Attributes:
        asked: requests that ask for the class.
        present: share of them whose maps show it.
        quantity: share of those with a number asked for that have as many pieces; None where none was asked.
        place: share of those with a place asked for that lie there; None likewise.
        kept: share in which all that was asked of the class is so.
    """

    asked: int
    present: float
    quantity: float | None
    place: float | None
    kept: float

    def to_dict(self) -> dict[str, Any]:
        """Return the shares as JSON values."""
        return asdict(self)


def kept_shares(reports: Iterable[KeptReport]) -> dict[int, KeptShares]:
    """Return, for each class that any request asks for, how much of what was asked of it is kept."""
    by_class: dict[int, list[ClassKept]] = {}
    for report in reports:
        for entry in report.classes:
            by_class.setdefault(entry.class_id, []).append(entry)
    return {
        class_id: KeptShares(
            len(entries),
            float(np.mean([one.present for one in entries])),
            _share(one.quantity for one in entries),
            _share(one.place for one in entries),
            float(np.mean([False not in (one.present, one.quantity, one.place) for one in entries])),
        )
        for class_id, entries in sorted(by_class.items())
    }


def _share(kept: Iterable[bool | None]) -> float | None:
    """Return the share of what was asked that is kept; None where nothing was."""
    asked = [one for one in kept if one is not None]
    return float(np.mean(asked)) if asked else None


def map_ious(maps: np.ndarray, others: np.ndarray, classes: int) -> Floats:
    """Return the IoU of every pair of maps: the mean over the classes that either of the two shows.

    Args:
        maps: uint8 `(N, H, W)` of class ids; ids of `classes` and above, ignored pixels, are no class.
        others: uint8 `(M, H, W)`.

    Returns:
        `(N, M)` in [0, 1]; NaN where neither shows a class.
    """
    reference = _by_class(others, classes)  # (C, M, HW)
    rows = [
        _ious(_by_class(maps[start : start + _BLOCK], classes), reference)
        for start in range(0, len(maps), _BLOCK)
    ]
    return np.concatenate([np.empty((0, len(others))), *rows])


def diversity(maps: np.ndarray, classes: int) -> float | None:
    """Return the mean IoU over all pairs of maps `(N, H, W)`: 1 if all are equal; None for fewer than two."""
    if len(maps) < 2:
        return None
    ious = map_ious(maps, maps, classes)
    return float(np.nanmean(ious[~np.eye(len(maps), dtype=bool)]))


@dataclass(frozen=True)
class MapCopies:
    """The IoU of maps to the nearest training map.

    Attributes:
        drawn: of each generated map, `(N,)`.
        own: of each training map, to the nearest other one of its recording, `(M,)`; NaN where it has none.
        other: of each training map, to the nearest one of another recording, `(M,)`; likewise.
    """

    drawn: Floats
    own: Floats
    other: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return median and highest value of each as JSON values; None where there is none."""
        return {name: _summary(values) for name, values in vars(self).items()}


def map_copies(made: np.ndarray, training: np.ndarray, recordings: Sequence[str], classes: int) -> MapCopies:
    """Compare generated maps uint8 `(N, H, W)` with the training maps `(M, H, W)` of these recordings."""
    group = np.unique(np.asarray(recordings), return_inverse=True)[1]
    same = group[:, None] == group[None]
    among = map_ious(training, training, classes)
    own = np.where(same & ~np.eye(len(training), dtype=bool), among, np.nan)
    other = np.where(same, np.nan, among)
    return MapCopies(_highest(map_ious(made, training, classes)), _highest(own), _highest(other))


def _by_class(maps: np.ndarray, classes: int) -> torch.Tensor:
    ids = torch.from_numpy(maps.astype(np.int64)).flatten(1).clamp_max(classes)  # (N, HW)
    return F.one_hot(ids, classes + 1)[..., :classes].permute(2, 0, 1).float()  # (C, N, HW)


def _ious(maps: torch.Tensor, others: torch.Tensor) -> Floats:
    together = maps @ others.transpose(1, 2)  # (C, N, M)
    either = maps.sum(2)[:, :, None] + others.sum(2)[:, None] - together
    shown = either > 0
    ious = torch.where(shown, together / either.clamp_min(1), 0.0).sum(0) / shown.sum(0)
    return ious.double().numpy()


def _highest(ious: Floats) -> Floats:
    known = np.where(np.isnan(ious), -np.inf, ious).max(axis=1, initial=-np.inf)
    return np.where(np.isinf(known), np.nan, known)


def _summary(values: Floats) -> dict[str, float] | None:
    known = values[~np.isnan(values)]
    return {"median": float(np.median(known)), "highest": float(known.max())} if len(known) else None
