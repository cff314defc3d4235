"""A scene is a frame, its mask and its recording; a scene set is many of them with one class table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.scenes.class_table import ClassTable


@dataclass(frozen=True)
class SceneRecord:
    """Where a scene lies, before it is read.

    Attributes:
        name: unique within its set.
        group: the recording, the unit by which data are split.
        order: position within the recording, in frames.
        image: the image file, or None where the scene is drawn on demand.
        mask: the mask file, or None likewise.
        details: what else is known, as JSON values (of a synthetic scene: generator, request, seed, index,
            scores).
    """

    name: str
    group: str
    order: int
    image: Path | None = None
    mask: Path | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """One frame: image uint8 `(H, W, 3)` in RGB, mask uint8 `(H, W)` of class ids, and its record."""

    image: np.ndarray
    mask: np.ndarray
    record: SceneRecord


@dataclass(frozen=True)
class SceneSet:
    """A data set of scenes with one class table. They are read when asked for; `reader` is thread-safe."""

    name: str
    classes: ClassTable
    records: tuple[SceneRecord, ...]
    reader: Callable[[SceneRecord], Scene]
    licence: str = "unknown"

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Scene:
        return self.reader(self.records[index])

    def __iter__(self) -> Iterator[Scene]:
        return map(self.reader, self.records)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The recordings, sorted."""
        return tuple(sorted({record.group for record in self.records}))

    @cached_property
    def recordings(self) -> tuple[str, ...]:
        """The recording of each scene, in the order of the scenes."""
        return tuple(record.group for record in self.records)

    def subset(self, indices: Iterable[int]) -> SceneSet:
        """Return the set of these scenes, in this order."""
        return replace(self, records=tuple(self.records[index] for index in indices))

    def of_groups(self, groups: Iterable[str]) -> SceneSet:
        """Return the scenes of these recordings."""
        wanted = set(groups)
        return replace(self, records=tuple(record for record in self.records if record.group in wanted))
