"""The doors of the house: methods are found by their entry points, ours and anybody's in the same way.

A package declares a method in its `pyproject.toml`, under the group of its family:

```toml
[project.entry-points."rarescene.segmenters"]
mine = "my_package.segmenter:MINE"
```

where `MINE` is a declaration of `foundation.methods`. The name before the equals sign is the word on the
command line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal, overload

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.methods import (
    DatasetMethod,
    GeneratorMethod,
    Method,
    MetricMethod,
    SegmenterMethod,
    StrategyMethod,
)

Family = Literal["datasets", "segmenters", "generators", "strategies", "metrics"]

KINDS: Mapping[Family, type[Method]] = MappingProxyType(
    {
        "datasets": DatasetMethod,
        "segmenters": SegmenterMethod,
        "generators": GeneratorMethod,
        "strategies": StrategyMethod,
        "metrics": MetricMethod,
    }
)
OURS = "rarescene"


@overload
def methods(family: Literal["datasets"]) -> Mapping[str, DatasetMethod]: ...
@overload
def methods(family: Literal["segmenters"]) -> Mapping[str, SegmenterMethod]: ...
@overload
def methods(family: Literal["generators"]) -> Mapping[str, GeneratorMethod]: ...
@overload
def methods(family: Literal["strategies"]) -> Mapping[str, StrategyMethod]: ...
@overload
def methods(family: Literal["metrics"]) -> Mapping[str, MetricMethod]: ...
@cache
def methods(family: Family) -> Mapping[str, Any]:
    """Return the methods of a family by their names in run records, ours first, in the order of their files.

    One that cannot be imported, or is not what its group promises, is named in one line on standard error and
    left out; so is one whose name is taken.
    """
    found: dict[str, Method] = {}
    points = entry_points(group=f"{OURS}.{family}")
    for point in sorted(points, key=lambda point: _package(point) != OURS):
        try:
            declared = point.load()
            if not isinstance(declared, KINDS[family]):
                raise TypeError(f"{point.value} is no {KINDS[family].__name__}")
            if declared.name in found:
                raise ValueError(f"the name {declared.name!r} is taken by {found[declared.name].package}")
        except Exception as error:  # whatever somebody's module does must not stop the others
            said = " ".join(str(error).split())
            print(
                f"note: {point.name} of {_package(point)} ({OURS}.{family}) is left out: "
                f"{type(error).__name__}: {said}",
                file=sys.stderr,
            )
            continue
        found[declared.name] = replace(declared, package=_package(point))
    return MappingProxyType(found)


def by_command(family: Family) -> Mapping[str, Any]:
    """Return the methods of a family by their words on the command line."""
    return {method.command: method for method in methods(family).values()}  # type: ignore[call-overload]


def method_for(family: Family, config: object) -> Any:
    """Return the method that a configuration is of.

    Raises:
        ConfigError: it is of none that is known here.
    """
    known: Mapping[str, Any] = methods(family)  # type: ignore[call-overload]
    for method in known.values():
        if type(config) is method.config:
            return method
    what = f"{type(config).__name__} is no configuration of the {family} that are known"
    raise ConfigError(what, f"Known are: {', '.join(known)}.")


def method_of(family: Family, name: object, package: object = None, path: Any = None) -> Any:
    """Return the method by which a run was made.

    Args:
        family: of the method.
        name: of the method, as the run's record or the description of its weights gives it.
        package: the distribution that the run says brought it, if it was not ours.
        path: the file or folder that says so.

    Raises:
        CheckpointError: it is not installed here; the message says what to install.
    """
    known: Mapping[str, Any] = methods(family)  # type: ignore[call-overload]
    if isinstance(name, str) and name in known:
        return known[name]
    thing = family.removesuffix("s") if family != "strategies" else "strategy"
    if isinstance(package, str) and package:
        what = f"was made by the {thing} {name!r} of {package}, which is not installed here"
        raise CheckpointError(what, f"pip install {package.partition(' ')[0]}", path)
    what = f"was made by the {thing} {name!r}, which is not known here"
    remedy = f"Known are: {', '.join(known)}. Install the package that brings it, or give another folder."
    raise CheckpointError(what, remedy, path)


def need_method(family: Family, command: str, package: object, path: Any = None) -> None:
    """Raise the `CheckpointError` of `method_of` unless this word of a family's command line is known."""
    if command not in by_command(family):
        method_of(family, command, package, path)


def package_of(method: Method) -> dict[str, str]:
    """Return what a run notes of where its method came from: nothing of our own, else name and version."""
    from importlib.metadata import version

    if method.package in ("", OURS):
        return {}
    return {"package": f"{method.package} {version(method.package)}"}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"
