"""What a room shows: the public names of a package, imported only when they are asked for (PEP 562)."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Shown = tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]


def show_lazily(room: str, file: str) -> Shown:
    """Return `__all__`, `__getattr__` and `__dir__` for the package `room`, whose `__init__` is `file`.

    Its public names are those that the `if TYPE_CHECKING:` block of that file imports, which type checkers
    read as well, so that each is listed once. Nothing is imported before the first use of a name, so that a
    command loads only what it runs.
    """
    modules = {
        alias.name: statement.module
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module is not None
        for alias in statement.names
    }

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {room!r} has no public name {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    public = sorted(modules)
    return public, load, lambda: public
