"""Commands as a program calls them: text is as good as a path."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def takes_text_for_paths(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function that wants a path, or several, be called with text: `segment(…, out="runs/x")`."""
    signature = inspect.signature(function)

    @wraps(function)
    def called(*args: Parameters.args, **values: Parameters.kwargs) -> Result:
        given, hints = signature.bind(*args, **values), get_type_hints(function)
        for name, value in given.arguments.items():
            if _wants_path(hints.get(name)):
                given.arguments[name] = _as_path(value)
        return function(*given.args, **given.kwargs)

    return called


def _wants_path(hint: Any) -> bool:
    return hint is Path or any(map(_wants_path, get_args(hint)))


def _as_path(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [Path(one) if isinstance(one, str) else one for one in value]
    return Path(value) if isinstance(value, str) else value
