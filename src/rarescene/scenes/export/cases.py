"""What is exported: scenes of one set or several, the part that each belongs to, and a file name for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.provenance import joined_licences
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.request import Request
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet
from rarescene.scenes.split import PARTS, Split
from rarescene.scenes.transforms import resize_image, resize_mask

SYNTHETIC = "syn_"
"""What the name of every synthetic case begins with, and that of no other."""

_LONGEST = 120  # letters of a name; file systems end at 255, and formats add to it


@dataclass(frozen=True)
class ExportSource:
    """A scene set that is exported.

    Attributes:
        scenes: the set.
        parts: indices of its scenes for "train", "validation" and "test"; a part may be missing.
        synthetic: whether its scenes were drawn by a generator.
        phantom: whether they are phantom scenes, or drawn by a generator that learned from such.
        seen: recordings from which a synthetic set was made.
    """

    scenes: SceneSet
    parts: Mapping[str, Sequence[int]]
    synthetic: bool = False
    phantom: bool = False
    seen: tuple[str, ...] = ()

    @classmethod
    def of_data(cls, scenes: SceneSet, split: Split, *, phantom: bool = False) -> ExportSource:
        """Return a data set with the parts of a split."""
        return cls(scenes, {part: getattr(split, part) for part in PARTS}, phantom=phantom)

    @classmethod
    def of_pairs(cls, scenes: SceneSet, *, phantom: bool = False, seen: Iterable[str] = ()) -> ExportSource:
        """Return a synthetic set; all of it trains."""
        return cls(scenes, {"train": range(len(scenes))}, True, phantom, tuple(seen))


@dataclass(frozen=True)
class Case:
    """One scene of an export.

    Attributes:
        name: unique in the export, also where upper and lower case are the same; letters, digits, `_`, `-`
            and `.` alone.
        part: "train", "validation" or "test".
        source: the set that it comes from.
        index: its place there.
    """

    name: str
    part: str
    source: ExportSource
    index: int

    @property
    def record(self) -> SceneRecord:
        """The scene's record in its set."""
        return self.source.scenes.records[self.index]

    @property
    def request(self) -> str:
        """What a synthetic scene was to show, as `Request.parse` reads it; empty where nothing was asked."""
        asked = self.record.details.get("request") if self.source.synthetic else None
        return Request.from_dict(asked).to_text(self.source.scenes.classes) if asked else ""

    def told(self) -> dict[str, Any]:
        """Return where the scene came from, as JSON values."""
        record, details = self.record, dict(self.record.details)
        return {
            "part": self.part,
            "synthetic": self.source.synthetic,
            "phantom": self.source.phantom,
            "source": self.source.scenes.name,
            "scene": record.name,
            "recording": record.group,
            "order": record.order,
            "generator": str(details.get("generator", "")),
            "seed": details.get("seed"),
            "request": self.request,
            "details": details,
        }


@dataclass(frozen=True)
class Export:
    """Scenes that are exported together.

    Attributes:
        title: name of the exported data set.
        sources: the sets that it is made of.
        cases: every scene, part by part, in the order of the sets.
        size: height and width to which scenes are resized, or None for the size of each.
        notes: sentences that a reader of the card must be told, such as the warning of a split.
    """

    title: str
    sources: tuple[ExportSource, ...]
    cases: tuple[Case, ...]
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        title: str,
        sources: Sequence[ExportSource],
        *,
        size: tuple[int, int] | None = None,
        notes: Sequence[str] = (),
    ) -> Export:
        """Gather scenes for an export.

        Raises:
            ConfigError: class tables differ, a synthetic scene would validate or test, or there is no scene
                to train on.
            DataError: a set has masks without images.
        """
        if not sources:
            raise ConfigError("there is nothing to export", "Give --data, --synthetic, or both.")
        first = sources[0].scenes
        for source in sources:
            _fits(source, first)
        taken: set[str] = set()
        cases = tuple(
            Case(_name(source, index, taken), part, source, index)
            for part in PARTS
            for source in sources
            for index in source.parts.get(part, ())
        )
        if not any(case.part == "train" for case in cases):
            raise ConfigError("no scene is left for training", "Give training a larger share.")
        return cls(title, tuple(sources), cases, size, tuple(notes))

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def classes(self) -> ClassTable:
        """The class table, the same for all sets."""
        return self.sources[0].scenes.classes

    @property
    def licence(self) -> str:
        """The licences of all sets, each once, joined by " + "."""
        return joined_licences(*(source.scenes.licence for source in self.sources))

    @property
    def synthetic(self) -> int:
        """The number of synthetic cases."""
        return sum(case.source.synthetic for case in self.cases)

    @property
    def phantom(self) -> bool:
        """Whether any set is phantom, or drawn after such."""
        return any(source.phantom for source in self.sources)

    def of_part(self, part: str) -> tuple[Case, ...]:
        """Return the cases of "train", "validation" or "test"."""
        return tuple(case for case in self.cases if case.part == part)

    def read(self, case: Case) -> Scene:
        """Return a scene at the size of the export."""
        scene = case.source.scenes[case.index]
        if self.size is None:
            return scene
        mask = resize_mask(scene.mask, *self.size, ignore_index=self.classes.ignore_index)
        return Scene(resize_image(scene.image, *self.size), mask, scene.record)


def _fits(source: ExportSource, first: SceneSet) -> None:
    scenes = source.scenes
    if scenes.classes.fingerprint != first.classes.fingerprint:
        what = f"{scenes.name!r} has the classes of {scenes.classes.name!r}, not of {first.classes.name!r}"
        raise ConfigError(what, "Export sets with different class tables apart.")
    if source.synthetic and any(source.parts.get(part) for part in ("validation", "test")):
        what = f"synthetic scenes of {scenes.name!r} would validate or test"
        raise ConfigError(what, "Synthetic scenes only ever train; figures come from real recordings.")
    if not source.synthetic and any("synthetic" in record.details for record in scenes.records):
        remedy = "Give it with --synthetic, where all of it trains and every case is marked."
        raise ConfigError(f"{scenes.name!r} holds synthetic scenes or labels", remedy)
    scenes.need_images()


def _name(source: ExportSource, index: int, taken: set[str]) -> str:
    """Return a file name of a scene without ending, one that is not taken, and take it."""
    scene = source.scenes.records[index].name
    if source.synthetic:
        name = SYNTHETIC + plain_case(f"{source.scenes.name}_{scene.rpartition('/')[2]}")
    else:
        name = plain_case(scene)
        name = f"real_{name}" if name.casefold().startswith(SYNTHETIC) else name
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found.casefold())
    return found


def plain_case(name: str) -> str:
    """Return a name as every file system and every loader takes it."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._-")
    return plain[-_LONGEST:].lstrip("._-") or "scene"  # the end of a long path tells frames apart
