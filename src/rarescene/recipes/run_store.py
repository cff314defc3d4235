"""Runs that several recipes share: each is trained once, under an address made from all that decides it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rarescene import __version__
from rarescene.foundation.outputs import sweep
from rarescene.foundation.run_record import RECORD, read_record


@dataclass(frozen=True)
class Planned:
    """A run at its address, whether it is there or not."""

    path: Path
    make: Callable[[Path], None]
    complete: Callable[[Path], bool]

    @property
    def name(self) -> str:
        """The folder's name, by which other runs refer to it."""
        return self.path.name

    @property
    def there(self) -> bool:
        """Whether it came to its end."""
        return self.complete(self.path)

    def made(self) -> Path:
        """Return the folder of the finished run, and make it first if need be."""
        if self.there:
            sweep(self.path, wait=True)
        else:
            self.make(self.path)
        return self.path


class RunStore:
    """A folder of runs, content-addressed by configuration and data.

    A recipe that needs a run asks for it; what is there and finished is taken, anything else is made, or gone
    on with. So recipes reuse each other's trainings, a table grows over many sittings, and a changed setting
    never mixes with the old one. The address holds the version of rarescene: another version starts anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def planned(
        self,
        kind: str,
        content: Mapping[str, Any],
        make: Callable[[Path], None],
        complete: Callable[[Path], bool] | None = None,
    ) -> Planned:
        """Return a run at its address; nothing is made yet.

        Args:
            kind: what it is, the first part of the folder's name: "casdm", "pairs", "segformer".
            content: all that decides the run, JSON values; other runs by the names of their folders.
            make: makes the run in the folder that it is given, or goes on with it.
            complete: whether a folder holds all of it; by default whether its run came to its end.
        """
        return Planned(self.folder / f"{kind}-{address(content)}", make, complete or finished)

    def run(self, kind: str, content: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the folder of a finished run, and make it first if need be. Arguments as for `planned`."""
        return self.planned(kind, content, make).made()


def address(content: Mapping[str, Any]) -> str:
    """Return twelve hexadecimal digits that stand for the content and the version of rarescene."""
    text = json.dumps({"version": __version__, **content}, sort_keys=True)
    return blake2b(text.encode(), digest_size=6).hexdigest()


def finished(run: Path) -> bool:
    """Return whether a run is there and came to its end."""
    return (run / RECORD).is_file() and read_record(run).finished is not None
