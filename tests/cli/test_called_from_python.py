"""Commands as a program calls them: where a path is wanted, text does."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from jsonargparse._parameter_resolvers import get_signature_parameters

from rarescene.cli import commands
from rarescene.commands.segment import SegmentationRun


class ReachedError(Exception):
    """The function itself was reached, behind whatever wraps it."""


def wants_path(hint: Any) -> bool:
    return hint is Path or any(map(wants_path, get_args(hint)))


@cache
def paths_wanted() -> dict[str, Callable[..., Any]]:
    """Return each function that takes a path of a command, behind `**options` too."""
    found: dict[str, Callable[..., Any]] = {}
    for command in commands().values():
        module = command.module if command.method else f"rarescene.{command.module}"
        function = getattr(importlib.import_module(module), command.function)
        for one in get_signature_parameters(function, None):
            if wants_path(get_type_hints(one.component).get(one.name)):
                found[f"{one.component.__module__}.{one.component.__qualname__}"] = one.component
    return found


def test_the_options_of_every_command_are_looked_at() -> None:
    found = paths_wanted()
    assert {one.rpartition(".")[2] for one in found} >= {"evaluate", "predict", "demo", "_gather"}
    assert any("TrainingRun.__init__" in one for one in found)
    assert any(f"{SegmentationRun.__name__}.__init__" in one for one in found)


@pytest.mark.parametrize("name", paths_wanted())
def test_text_is_taken_for_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function = paths_wanted()[name]
    hints = get_type_hints(function)
    paths = {one: "new" for one, hint in hints.items() if wants_path(hint)}
    several = {one: ["new", "other"] for one in paths if hints[one] == list[Path]}
    others = {
        one.name: None
        for one in inspect.signature(function).parameters.values()
        if one.name not in paths and one.kind is not one.VAR_KEYWORD
    }
    if "out" not in paths:  # it is behind `**options`, and what wraps the command looks at it
        others["out"] = "new"  # type: ignore[assignment]
    code, seen = inspect.unwrap(function).__code__, dict[str, Any]()

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is code:
            seen.update(frame.f_locals)
            raise ReachedError

    sys.setprofile(watch)
    try:
        function(**{**others, **paths, **several})
    except ReachedError:
        pass
    finally:
        sys.setprofile(None)
    assert {one: seen[one] for one in paths} == {
        one: [Path("new"), Path("other")] if one in several else Path("new") for one in paths
    }
