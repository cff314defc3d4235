"""The classes of a data set: id, name and colour, and the id of what is not labelled."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarescene.foundation.configs import typed
from rarescene.foundation.errors import ConfigError

Colour = tuple[int, int, int]

QUOTED = r'"(?:[^"]|"")*"'
"""A name as `quoted` writes it, as a regular expression."""


@dataclass(frozen=True)
class SceneClass:
    """One class: its id in masks, its name in words, and its display colour (RGB, 0 to 255)."""

    id: int
    name: str
    colour: Colour


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set, with ids 0 to C-1 in order.

    Raises:
        ConfigError: the ids are not 0 to C-1 in order, a name is empty or holds a line break, two names
            cannot be told apart, or the ignore index is taken.
    """

    name: str
    classes: tuple[SceneClass, ...]
    ignore_index: int = 255

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.classes]
        if not ids or ids != list(range(len(ids))):
            raise ConfigError(
                f"class ids of {self.name!r} are {ids}", "Number the classes 0, 1, 2, … in order."
            )
        known: dict[str, str] = {}
        for name in self.names:
            if not _plain(name).strip('"') or not name.isprintable():
                remedy = "Give every class a name in letters, without line breaks."
                raise ConfigError(f"{name!r} is no name of a class", remedy)
            if _plain(name) in known:
                remedy = (
                    "Give every class a name of its own; case, spaces, `_` and `-` do not tell names apart."
                )
                what = f"two classes of {self.name!r} share a name: {known[_plain(name)]!r} and {name!r}"
                raise ConfigError(what, remedy)
            known[_plain(name)] = name
        if not len(ids) <= self.ignore_index <= 255:
            remedy = f"Choose an ignore index from {len(ids)} to 255."
            raise ConfigError(
                f"ignore index {self.ignore_index} of {self.name!r} is the id of a class or no byte", remedy
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return tuple(entry.name for entry in self.classes)

    def id_of(self, name: str) -> int:
        """Return the id of the class called `name` (case and `_` or `-` for a space do not matter).

        The name may stand in quotation marks. A number that is no name is the id itself.
        """
        plain = [_plain(known) for known in self.names]
        if _plain(name) not in plain and re.fullmatch(QUOTED, name.strip()):
            name = name.strip()[1:-1].replace('""', '"')
        if _plain(name) in plain:
            return plain.index(_plain(name))
        if name.isdecimal() and int(name) < len(self):
            return int(name)
        close = difflib.get_close_matches(_plain(name), plain, n=1)
        hint = f"Did you mean {self.names[plain.index(close[0])]!r}? " if close else ""
        known = self.listed(self.names, ", ")
        raise ConfigError(f"no class is called {name!r}", f"{hint}The classes are: {known}.")

    def ids_of(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of several classes, each once, in the order given."""
        return tuple(dict.fromkeys(self.id_of(name) for name in names))

    def ids_in(self, text: str) -> tuple[int, ...]:
        """Return the ids of comma-separated classes, in the order given, each once.

        A class is called by its name, by its name in quotation marks (see `quoted`), or by its id. Commas
        within a name need no quotation marks. Raises `ConfigError` for an unknown one.
        """
        words = [word.strip() for word in re.findall(rf'(?:{QUOTED}|[^,"])+|"', text)]
        words, found = [word for word in words if word], list[int]()
        known = {_plain(name) for name in self.names}
        while words:
            joined = [", ".join(words[:length]) for length in range(len(words), 1, -1)]
            name = next((name for name in joined if _plain(name) in known), words[0])
            found.append(self.id_of(name))
            words = words[name.count(", ") + 1 if name in joined else 1 :]
        return tuple(dict.fromkeys(found))

    def listed(self, names: Iterable[str], separator: str = ",") -> str:
        """Return names as `ids_in` reads them: quoted where any name of the table has a comma or a quote."""
        odd = any(mark in name for name in self.names for mark in ',"')
        return separator.join(quoted(name) if odd else name for name in names)

    def palette(self) -> np.ndarray:
        """Return uint8 `(256, 3)`: the colour of every byte; unused ids are black, ignored pixels white."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = [entry.colour for entry in self.classes]
        table[self.ignore_index] = 255
        return table

    def colourise(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask `(..., H, W)` of ids as uint8 colours `(..., H, W, 3)`."""
        return self.palette()[mask]

    @property
    def fingerprint(self) -> str:
        """A short hash of ids, names and the ignore index; colours are not part of what was learned."""
        text = json.dumps([[entry.id, entry.name] for entry in self.classes] + [self.ignore_index])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON values."""
        classes = [
            {"id": entry.id, "name": entry.name, "colour": list(entry.colour)} for entry in self.classes
        ]
        return {"name": self.name, "ignore_index": self.ignore_index, "classes": classes}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ClassTable:
        """Return the table that `to_dict` wrote. Raises `ConfigError` for a missing or unusable field."""
        try:
            entries = typed(list[Mapping[str, Any]], value["classes"], "classes")
            classes = tuple(
                SceneClass(
                    typed(int, entry["id"], "id"), typed(str, entry["name"], "name"), _colour(entry["colour"])
                )
                for entry in entries
            )
            ignored = typed(int, value.get("ignore_index", 255), "ignore_index")
            return cls(typed(str, value.get("name", "classes"), "name"), classes, ignored)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            remedy = 'Write each class as {"id": 0, "name": "liver", "colour": [255, 114, 114]}.'
            raise ConfigError(f"the class table is not understood ({error!r})", remedy) from error


def quoted(name: str) -> str:
    """Return a name in quotation marks; those within it are doubled, as in comma-separated tables."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _colour(value: Any) -> Colour:
    red, green, blue = typed(tuple[int, int, int], value, "colour")
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError("a colour has three numbers from 0 to 255")
    return red, green, blue


def _plain(name: str) -> str:
    name = unicodedata.normalize("NFC", name).casefold().replace("_", " ").replace("-", " ")
    return re.sub(r" *, *", ", ", " ".join(name.split()))
