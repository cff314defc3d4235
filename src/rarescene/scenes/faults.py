"""Faults of a data set, gathered rather than raised, so that a user sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rarescene.foundation.errors import DataError, RareSceneError
from rarescene.scenes.scene import SceneSet

T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """One thing that keeps a data set from being used: the file, what is wrong with it, and what to do."""

    file: Path | None
    what: str
    remedy: str

    @classmethod
    def of(cls, error: RareSceneError) -> Fault:
        """Return the fault that an error reports."""
        return cls(error.path, error.what, error.remedy)

    @property
    def kind(self) -> str:
        """What faults of one kind share; what is this file's alone stands in `what` after the first colon."""
        return self.what.partition(": ")[0]

    def to_dict(self) -> dict[str, str]:
        """Return the fault as JSON values; `file` is empty where it is of no file."""
        return {"file": str(self.file or ""), "what": self.what, "remedy": self.remedy}

    def __str__(self) -> str:
        return str(DataError(self.what, self.remedy, self.file))


def by_kind(faults: Iterable[Fault]) -> list[tuple[Fault, ...]]:
    """Return the faults of each kind, in their order, and the most frequent kind first."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    return sorted(map(tuple, kinds.values()), key=len, reverse=True)


@dataclass(frozen=True)
class Listing:
    """What lies in a data folder, before any file is decoded.

    Attributes:
        scenes: the scenes whose files are all there, or None where nothing can be read.
        faults: what is missing or contradictory.
        notes: what is worth knowing and no fault.
        sorted: whether the scenes stand by recording and position, and not in an order of their own.
    """

    scenes: SceneSet | None
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    sorted: bool = False

    def opened(self) -> SceneSet:
        """Return the scenes. Raises `DataError` with the first fault and the number of the others."""
        if self.scenes is not None and not self.faults:
            return self.scenes
        first, others = self.faults[0], len(self.faults) - 1
        more = f" There are {others} more faults; `rarescene check` tells them by kind." if others else ""
        raise DataError(first.what, first.remedy + more, first.file)


def attempt(step: Callable[[], T], faults: list[Fault]) -> T | None:
    """Return what `step` returns; where it fails, add its fault to `faults` and return None."""
    try:
        return step()
    except RareSceneError as error:
        faults.append(Fault.of(error))
        return None
