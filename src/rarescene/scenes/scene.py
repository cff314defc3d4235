"""A scene is a frame, its mask and its recording; a scene set is many of them with one class table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.transforms import pad_to_aspect

IMAGES_NEEDED = (
    "Restore the image files; without them only masks can be learned from (a map generator, statistics)."
)


@dataclass(frozen=True)
class SceneRecord:
    """Where a scene lies, before it is read.

    Attributes:
        name: unique within its set.
        group: the recording, the unit by which data are split.
        order: position within the recording, in frames.
        image: the image file, or None where there is a mask alone, or no file at all.
        mask: the mask file, or None where the scene is drawn on demand.
        details: what else is known, as JSON values (of a synthetic scene: generator, request, seed, index,
            scores).
    """

    name: str
    group: str
    order: int
    image: Path | None = None
    mask: Path | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_image(self) -> bool:
        """Whether there is an image file; what is drawn on demand is drawn with its image."""
        return self.image is not None or self.mask is None


def in_order(record: SceneRecord) -> tuple[str, int, str]:
    """Return what scenes are sorted by: recording, position, name."""
    return record.group, record.order, record.name


@dataclass(frozen=True)
class Scene:
    """One frame.

    Attributes:
        pixels: the image, or None where there is a mask alone. Use `image`, which says so.
        mask: uint8 `(H, W)` of class ids.
        record: where it came from.
    """

    pixels: np.ndarray | None
    mask: np.ndarray
    record: SceneRecord

    @property
    def image(self) -> np.ndarray:
        """The image, uint8 `(H, W, 3)` in RGB. Raises `DataError` where the scene has none."""
        if self.pixels is None:
            raise DataError(f"the scene {self.record.name!r} has no image", IMAGES_NEEDED, self.record.mask)
        return self.pixels


@dataclass(frozen=True)
class Recording:
    """A recording of a data set: its name, how many frames it has, and the first and the last of them."""

    name: str
    frames: int
    first: str
    last: str


class Recorded(ABC):
    """Scenes of which the records are known: a `SceneSet`, or a `SceneCache`."""

    records: tuple[SceneRecord, ...]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The recordings, sorted, each once."""
        return tuple(sorted(set(self.recordings)))

    @cached_property
    def recordings(self) -> tuple[str, ...]:
        """The recording of each scene, in the order of the scenes."""
        return tuple(record.group for record in self.records)

    @cached_property
    def listed(self) -> tuple[Recording, ...]:
        """The recordings, sorted, with their sizes and their first and last frames."""
        members: dict[str, list[SceneRecord]] = {group: [] for group in self.groups}
        for record in sorted(self.records, key=in_order):
            members[record.group].append(record)
        return tuple(Recording(name, len(of), of[0].name, of[-1].name) for name, of in members.items())

    @abstractmethod
    def subset(self, indices: Iterable[int]) -> Self:
        """Return these scenes, in this order; nothing is copied."""

    def of_groups(self, groups: Iterable[str]) -> Self:
        """Return the scenes of these recordings."""
        wanted = set(groups)
        return self.subset(index for index, group in enumerate(self.recordings) if group in wanted)


@dataclass(frozen=True)
class SceneSet(Recorded):
    """A data set of scenes with one class table. They are read when asked for; `reader` is thread-safe.

    Where a record names a mask file and no image, `reader` reads the mask alone. `doubt` says why the
    recordings may be wrong, where they were guessed from names and the rule is not clear. `pad` is the aspect
    (width, height) to which each scene is padded when it is read, with black in the image and the ignore
    index in the mask, or None.
    """

    name: str
    classes: ClassTable
    records: tuple[SceneRecord, ...]
    reader: Callable[[SceneRecord], Scene]
    licence: str = "unknown"
    doubt: str = ""
    pad: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Scene:
        return self._read(self.records[index])

    def __iter__(self) -> Iterator[Scene]:
        return map(self._read, self.records)

    def mask(self, index: int) -> np.ndarray:
        """Return the mask of a scene, uint8 `(H, W)`, without decoding its image file."""
        return self._read(replace(self.records[index], image=None)).mask

    def _read(self, record: SceneRecord) -> Scene:
        scene = self.reader(record)
        if self.pad is None:
            return scene
        pixels = None if scene.pixels is None else pad_to_aspect(scene.pixels, self.pad)
        return Scene(pixels, pad_to_aspect(scene.mask, self.pad, self.classes.ignore_index), scene.record)

    @cached_property
    def has_images(self) -> bool:
        """Whether every scene has an image."""
        return all(record.has_image for record in self.records)

    def need_images(self) -> None:
        """Raise `DataError` unless every scene has an image."""
        without = [record for record in self.records if not record.has_image]
        if without:
            what = f"{len(without)} of the {len(self)} scenes of {self.name!r} have no image: "
            if len(without) == len(self):
                what = f"the data set {self.name!r} holds no images, only masks: "
            raise DataError(f"{what}{without[0].name!r} for instance", IMAGES_NEEDED, without[0].mask)

    def batches(self, most: int) -> Iterator[list[Scene]]:
        """Yield the scenes in order, up to `most` at a time as long as their masks are of one size."""
        batch: list[Scene] = []
        for scene in self:
            if batch and (len(batch) == most or scene.mask.shape != batch[0].mask.shape):
                yield batch
                batch = []
            batch.append(scene)
        if batch:
            yield batch

    def subset(self, indices: Iterable[int]) -> Self:
        """Return the set of these scenes, in this order."""
        return replace(self, records=tuple(self.records[index] for index in indices))
