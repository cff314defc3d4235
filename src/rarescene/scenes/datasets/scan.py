"""A look at a whole data set before anything is trained on it: every file decoded, every fault listed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import RareSceneError
from rarescene.scenes.datasets.groups import unclear
from rarescene.scenes.datasets.open import list_scenes
from rarescene.scenes.faults import Fault
from rarescene.scenes.pairs import PairReader
from rarescene.scenes.rasters import stored_turned
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet


@dataclass(frozen=True)
class Scan:
    """What `rarescene check` found.

    Attributes:
        scenes: the scenes whose files are all sound, or None where there is none.
        faults: all that is wrong, sorted by file.
        notes: what is no fault but worth knowing: a class that never occurs, a single recording, several
            sizes.
        class_pixels: int64 `(N, C)`, the pixels of each class in each scene of `scenes`.
    """

    scenes: SceneSet | None
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    class_pixels: np.ndarray


def scan_scenes(
    spec: str | Path,
    *,
    group_by: str | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Decode every file of a data set and list all of its faults.

    Args:
        spec: the data set, as `open_scenes` takes it.
        group_by: a regular expression that tells recordings apart.
        workers: threads that decode.
        progress: called with the number of scenes looked at and the number of all.

    Raises:
        ConfigError: the spec names no kind of data set. Everything else is a fault in the list.
    """
    listing = list_scenes(spec, group_by=group_by)
    faults, notes = list(listing.faults), list(listing.notes)
    scenes = listing.scenes
    if scenes is None:
        return Scan(None, tuple(faults), tuple(notes), np.zeros((0, 0), np.int64))

    sound: list[int] = []
    pixels: list[np.ndarray] = []
    sizes: set[tuple[int, int]] = set()
    unlabelled = 0
    length, reader = len(scenes.classes), scenes.reader

    def look(record: SceneRecord) -> tuple[np.ndarray | None, tuple[int, int], list[Fault]]:
        scene, found = _examine(reader, record)
        if scene is None:
            return None, (0, 0), found
        return np.bincount(scene.mask.ravel(), minlength=256)[:length], scene.mask.shape, found

    with ThreadPoolExecutor(workers) as pool:
        for index, (counts, size, found) in enumerate(pool.map(look, scenes.records)):
            faults += found
            if counts is not None:
                sound.append(index)
                pixels.append(counts)
                sizes.add(size)
                unlabelled += size[0] * size[1] - int(counts.sum())
            if progress:
                progress(index + 1, len(scenes))
    notes += [unclear(scenes.doubt)] if scenes.doubt else []
    for kind, files in (
        ("images", [record.image for record in scenes.records]),
        ("masks", [record.mask for record in scenes.records]),
    ):
        if turned := sum(file is not None and stored_turned(file) for file in files):
            notes.append(
                f"{turned} {kind} are stored turned, and are read upright as their EXIF orientation says"
            )
    class_pixels = np.stack(pixels) if pixels else np.zeros((0, length), np.int64)
    if isinstance(reader, PairReader) and reader.code.granted and unlabelled:
        share = unlabelled / (unlabelled + int(class_pixels.sum()))
        notes.append(
            f"{share:.1%} of the pixels are {scenes.classes.ignore_index} or white, of which the class table "
            "says nothing; they count as unlabelled"
        )
    notes += _notes(scenes.subset(sound), class_pixels, sizes)
    without = sum(not record.has_image for record in scenes.records)
    if without:
        notes.append(
            f"{without} of {len(scenes)} scenes have a mask and no image: enough for a map generator, not "
            "for an image generator or a segmenter"
        )
    faults.sort(key=lambda fault: str(fault.file or ""))
    return Scan(scenes.subset(sound) if sound else None, tuple(faults), tuple(notes), class_pixels)


def _examine(reader: Callable[[SceneRecord], Scene], record: SceneRecord) -> tuple[Scene | None, list[Fault]]:
    if isinstance(reader, PairReader):
        return reader.faults(record)
    try:
        return reader(record), []
    except RareSceneError as error:
        return None, [Fault.of(error)]


def _notes(scenes: SceneSet, class_pixels: np.ndarray, sizes: set[tuple[int, int]]) -> list[str]:
    if not len(scenes):
        return []
    notes = []
    recordings = np.array(scenes.recordings)
    several = len(scenes.groups) > 1
    for name, present in zip(scenes.classes.names, (class_pixels > 0).T, strict=True):
        seen_in = np.unique(recordings[present])
        if not len(seen_in):
            notes.append(f"the class {name!r} never occurs")
        elif several and len(seen_in) == 1:
            alone = f"occurs in {str(seen_in[0])!r} alone"
            notes.append(f"the class {name!r} {alone}: a split by recording cannot score it")
    if not several:
        notes.append(
            f"all scenes come from a single recording ({scenes.groups[0]!r}): nothing can be shown about "
            "generalising; `--split time` splits it in time"
        )
    if 1 < len(scenes) == len(scenes.groups):
        notes.append("every image counts as a recording of its own; --group-by REGEX tells recordings apart")
    if len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        span = f"{small[1]}x{small[0]} to {large[1]}x{large[0]}"
        notes.append(
            f"images have {len(sizes)} different sizes, {span}; they are resized when they are cached"
        )
    return notes
