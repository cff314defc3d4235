"""How a room opens: the public names of a package, imported only when they are asked for (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

Door = tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]


def open_door(room: str, names: Mapping[str, str]) -> Door:
    """Return `__all__`, `__getattr__` and `__dir__` for the package `room`.

    `names` maps each public name to the module of the room that defines it. Nothing is imported before the
    first use of a name, so that a command loads only what it runs.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {room!r} has no public name {name!r}")
        return getattr(importlib.import_module(f"{room}.{names[name]}"), name)

    public = sorted(names)
    return public, load, lambda: public
