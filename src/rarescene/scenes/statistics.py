"""What a data set shows of each class, and which classes are rare, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError
from rarescene.scenes.cache import SceneCache
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.data import Data, decode
from rarescene.scenes.request import TOUCHING
from rarescene.scenes.scene import SceneSet

FRAME_SHARE = 0.10
"""A class shown by less than this share of the frames is rare."""

AREA_SHARE = 0.01
"""A class that covers less than this share of the frame, where it is shown, is rare."""

PIXEL_SHARE = 0.005
"""A class that has less than this share of all pixels is rare."""

RECORDING_SHARE = 0.25
"""A class shown by at most this share of the recordings is rare, where there are `RECORDINGS` or more."""

RECORDINGS = 8
"""Of fewer recordings a share says too little."""

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
        share_of_pixels: its share of the area of all frames.
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
    share_of_pixels: float = 0.0


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
    pixel_share: float = PIXEL_SHARE,
    recording_share: float = RECORDING_SHARE,
    progress: Callable[[int, int], None] | None = None,
) -> SceneStatistics:
    """Look at every mask and describe each class.

    This is what "rare" means everywhere. A class is rare when it occurs, and fewer than `frame_share` of the
    frames show it, or it covers less than `area_share` of the frame where it is shown, or less than
    `pixel_share` of all frames, or at most `recording_share` of the recordings show it. A class that never
    occurs is not rare: nothing can be learned about it here. One that a single recording alone shows cannot
    be scored by a split by recording; `why` says so.

    Args:
        scenes: a scene set, or, much faster, its cache; areas are those of the size at hand.
        frame_share: the threshold on frames.
        area_share: the threshold on area where the class is shown.
        pixel_share: the threshold on area of all frames.
        recording_share: the threshold on recordings, where there are `RECORDINGS` or more.
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
            (frame_share, area_share, pixel_share, recording_share),
        )
        for class_id in range(length)
    )
    mean = float(unlabelled.mean()) if count else 0.0
    return SceneStatistics(scenes.name, count, len(scenes.groups), mean, tuple(entries))


def _masks(scenes: SceneSet | SceneCache) -> Iterator[np.ndarray]:
    if isinstance(scenes, SceneCache):
        return (scenes.take_masks([index])[0] for index in range(len(scenes)))
    return (scenes.mask(index) for index in range(len(scenes)))


def _describe(
    table: ClassTable,
    class_id: int,
    area: np.ndarray,
    pieces: np.ndarray,
    recordings: np.ndarray,
    shares: tuple[float, float, float, float],
) -> ClassStatistics:
    frame_share, area_share, pixel_share, recording_share = shares
    shown = area > 0
    frames, name = int(shown.sum()), table.names[class_id]
    if not frames:
        return ClassStatistics(class_id, name, 0, 0.0, 0.0, 0, 0.0, False, "never occurs")
    share, mean_area, pixels = frames / len(area), float(area[shown].mean()), float(area.mean())
    seen_in, all_of = np.unique(recordings[shown]), len(np.unique(recordings))
    reasons = []
    if share < frame_share:
        reasons.append(f"in {share:.1%} of the frames (below {frame_share:.0%})")
    if mean_area < area_share:
        reasons.append(f"covers {mean_area:.2%} of the frame (below {area_share:.0%})")
    if pixels < pixel_share and not reasons:
        reasons.append(f"has {pixels:.2%} of all pixels (below {pixel_share:.1%})")
    if all_of >= RECORDINGS and len(seen_in) <= recording_share * all_of:
        reasons.append(f"in {len(seen_in)} of {all_of} recordings (at most {recording_share:.0%})")
    rare = bool(reasons)
    if len(seen_in) == 1 and all_of > 1:
        reasons.append(f"in {seen_in[0]} alone, so a split by recording cannot score it")
    components = float(pieces[shown].mean())
    return ClassStatistics(
        class_id, name, frames, share, mean_area, len(seen_in), components, rare, "; ".join(reasons), pixels
    )


def rare_classes(data: Data, classes: str = "", statistics: SceneStatistics | None = None) -> tuple[str, ...]:
    """Return the classes that are named, or else those that are rare in the training part of the data.

    Where none is named and none is rare, that is said.

    Args:
        data: the data set and its split.
        classes: comma-separated names, or nothing.
        statistics: those of `statistics_of`, where they are known already.

    Raises:
        ConfigError: a class is not known.
    """
    table = data.scenes.classes
    if named := tuple(table.names[index] for index in table.ids_in(classes)):
        return named
    found = statistics or statistics_of(data)
    if not found.rare:
        say_once(f"note: {nothing_rare(found, '--classes')}")
    return tuple(entry.name for entry in found.rare)


def rare_ids(scenes: SceneCache, option: str) -> tuple[int, ...]:
    """Return the ids of the classes that are rare in training scenes.

    Args:
        scenes: the training part of a data set, decoded.
        option: that names classes, for the message.

    Raises:
        ConfigError: none is rare.
    """
    found = class_statistics(scenes)
    if not found.rare:
        found = replace(found, name=f"the training part of {found.name}")
        what, _, remedy = nothing_rare(found, option).partition(". ")
        raise ConfigError(what, f"{remedy}; `rarescene stats` shows all.")
    return tuple(entry.id for entry in found.rare)


def nothing_rare(statistics: SceneStatistics, option: str) -> str:
    """Return what to do where no class is rare."""
    shown = sorted((entry for entry in statistics.classes if entry.frames), key=lambda e: e.share_of_pixels)
    least = f"; the least shown is {shown[0].name!r}" if shown else ""
    absent = ", ".join(repr(entry.name) for entry in statistics.classes if not entry.frames)
    least += f"; never shown: {absent}" if absent else ""
    return f"no class is rare in {statistics.name}{least}. Name with {option} those that you care for"


def statistics_of(data: Data) -> SceneStatistics:
    """Return the statistics of the masks of the training part of data, or of all where nothing trains."""
    cache = decode(data.scenes, *display_size(data.scenes), images=data.scenes.has_images)
    if not data.split.train:
        return class_statistics(cache)
    found = class_statistics(cache.subset(data.split.train))
    return replace(found, name=f"the training part of {found.name}")


def display_size(scenes: SceneSet) -> tuple[int, int]:
    """Return the size of the first scene, made smaller until its longer side is at most `SIDE`."""
    height, width = scenes.mask(0).shape
    scale = min(1.0, SIDE / max(height, width))
    return round(height * scale), round(width * scale)
