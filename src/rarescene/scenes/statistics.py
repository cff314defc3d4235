"""What a data set shows of each class, and which classes are rare, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from rarescene.scenes.cache import SceneCache
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.data import class_ids, decode
from rarescene.scenes.request import TOUCHING
from rarescene.scenes.scene import SceneSet

FRAME_SHARE = 0.10
"""A class shown by less than this share of the frames is rare."""

AREA_SHARE = 0.01
"""A class that covers less than this share of the frame, where it is shown, is rare."""

SIDE = 256
"""Masks are counted with their longer side at most this long."""


@dataclass(frozen=True)
class ClassStatistics:
    """One class of a data set.

    Attributes:
        id: of the class.
        name: of the class.
        frames: frames that show it.
        share_of_frames: `frames` over all frames.
        mean_area: its mean share of a frame's area, over the frames that show it; 0 where none does.
        recordings: recordings that show it.
        components: its mean number of connected pieces, over the frames that show it.
        is_rare: whether augmentation should care for it.
        why: the reason it is rare, or what to know about it; may be empty.
    """

    id: int
    name: str
    frames: int
    share_of_frames: float
    mean_area: float
    recordings: int
    components: float
    is_rare: bool
    why: str


@dataclass(frozen=True)
class SceneStatistics:
    """All classes of a data set.

    Attributes:
        name: of the data set.
        frames: number of scenes.
        recordings: number of recordings.
        unlabelled: mean share of a frame that is not labelled.
        classes: one entry a class, by id.
    """

    name: str
    frames: int
    recordings: int
    unlabelled: float
    classes: tuple[ClassStatistics, ...]

    def __getitem__(self, name: str) -> ClassStatistics:
        return next(entry for entry in self.classes if entry.name == name)

    @property
    def rare(self) -> tuple[ClassStatistics, ...]:
        """The rare classes, by id."""
        return tuple(entry for entry in self.classes if entry.is_rare)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON values."""
        return asdict(self)


def class_statistics(
    scenes: SceneSet | SceneCache,
    *,
    frame_share: float = FRAME_SHARE,
    area_share: float = AREA_SHARE,
    progress: Callable[[int, int], None] | None = None,
) -> SceneStatistics:
    """Look at every mask and describe each class.

    A class is rare when it occurs, and either fewer than `frame_share` of the frames show it, or it covers
    less than `area_share` of the frame where it is shown. A class that never occurs is not rare: nothing can
    be learned about it here. One that a single recording alone shows cannot be scored by a split by
    recording; `why` says so.

    Args:
        scenes: a scene set, or, much faster, its cache; areas are those of the size at hand.
        frame_share: the threshold on frames.
        area_share: the threshold on area.
        progress: called with the number of scenes seen and the number of all.
    """
    length, count = len(scenes.classes), len(scenes)
    areas, pieces = np.zeros((count, length)), np.zeros((count, length), np.int64)
    unlabelled = np.zeros(count)
    for index, mask in enumerate(_masks(scenes)):
        counts = np.bincount(mask.ravel(), minlength=256)
        areas[index] = counts[:length] / mask.size
        unlabelled[index] = counts[scenes.classes.ignore_index] / mask.size
        for class_id in np.flatnonzero(counts[:length]):
            pieces[index, class_id] = ndimage.label(mask == class_id, TOUCHING)[1]
        if progress:
            progress(index + 1, count)
    recordings = np.array(scenes.recordings)
    entries = (
        _describe(
            scenes.classes,
            class_id,
            areas[:, class_id],
            pieces[:, class_id],
            recordings,
            frame_share,
            area_share,
        )
        for class_id in range(length)
    )
    mean = float(unlabelled.mean()) if count else 0.0
    return SceneStatistics(scenes.name, count, len(scenes.groups), mean, tuple(entries))


def _masks(scenes: SceneSet | SceneCache) -> Iterator[np.ndarray]:
    if isinstance(scenes, SceneCache):
        return (scenes.masks[row] for row in scenes.rows)
    return (scenes.mask(index) for index in range(len(scenes)))


def _describe(
    table: ClassTable,
    class_id: int,
    area: np.ndarray,
    pieces: np.ndarray,
    recordings: np.ndarray,
    frame_share: float,
    area_share: float,
) -> ClassStatistics:
    shown = area > 0
    frames, name = int(shown.sum()), table.names[class_id]
    if not frames:
        return ClassStatistics(class_id, name, 0, 0.0, 0.0, 0, 0.0, False, "never occurs")
    share, mean_area = frames / len(area), float(area[shown].mean())
    seen_in = np.unique(recordings[shown])
    reasons = []
    if share < frame_share:
        reasons.append(f"in {share:.1%} of the frames (below {frame_share:.0%})")
    if mean_area < area_share:
        reasons.append(f"covers {mean_area:.2%} of the frame (below {area_share:.0%})")
    rare = bool(reasons)
    if len(seen_in) == 1 and len(np.unique(recordings)) > 1:
        reasons.append(f"in {seen_in[0]} alone, so a split by recording cannot score it")
    components = float(pieces[shown].mean())
    return ClassStatistics(
        class_id, name, frames, share, mean_area, len(seen_in), components, rare, "; ".join(reasons)
    )


def rare_classes(
    scenes: SceneSet, classes: str = "", statistics: SceneStatistics | None = None
) -> tuple[str, ...]:
    """Return the classes that are named, or else those that the statistics of the whole data set call rare.

    Args:
        scenes: the data set.
        classes: comma-separated names, or nothing.
        statistics: those of `statistics_of`, where they are known already.

    Raises:
        ConfigError: a class is not known.
    """
    named = tuple(scenes.classes.names[index] for index in class_ids(scenes.classes, classes))
    return named or tuple(entry.name for entry in (statistics or statistics_of(scenes)).rare)


def statistics_of(scenes: SceneSet) -> SceneStatistics:
    """Return the statistics of all masks of a data set, which are decoded once and kept."""
    return class_statistics(decode(scenes, *display_size(scenes), images=scenes.has_images))


def display_size(scenes: SceneSet) -> tuple[int, int]:
    """Return the size of the first scene, made smaller until its longer side is at most `SIDE`."""
    height, width = scenes.mask(0).shape
    scale = min(1.0, SIDE / max(height, width))
    return round(height * scale), round(width * scale)
