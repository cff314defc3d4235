"""Frozen dataclasses from JSON or YAML values, and what their fields may hold, declared once: in their types.

A field that is annotated `Share` takes a number from 0 to 1, whoever sets it: the command line, a file, or a
program. No field takes NaN or an infinity.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from rarescene.foundation.errors import ConfigError

Config = TypeVar("Config")


@dataclass(frozen=True)
class Range:
    """The numbers that a field takes.

    Attributes:
        least: the smallest number allowed.
        most: the largest number allowed.
        above: a number that is too small already.
        below: a number that is too large already.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and self.above < value < self.below

    def __repr__(self) -> str:
        """Say it in words, as help and messages show it."""
        low = f"above {_short(self.above)}" if self.least == -math.inf else f"from {_short(self.least)}"
        return f"{low} to {f'below {_short(self.below)}' if self.most == math.inf else _short(self.most)}"


Count = Annotated[int, Range(1, 10_000_000)]
"""How many of something there are; most of them are held in memory."""
CountOrNone = Annotated[int, Range(0, 10_000_000)]
Steps = Annotated[int, Range(1, 1_000_000_000)]
"""Steps of a training, or from one thing to the next."""
StepsOrNone = Annotated[int, Range(0, 1_000_000_000)]
Block = Annotated[int, Range(1, 65_536)]
"""Scenes that are worked on at once."""
Members = Annotated[int, Range(1, 1000)]
Samples = Annotated[int, Range(1, 10_000)]
"""Posterior samples."""
Seed = Annotated[int, Range(-(2**63), 2**63 - 1)]
Side = Annotated[int, Range(16, 16_384)]
"""Height or width of a picture in pixels."""
Pixels = Annotated[int, Range(1, 16_384)]
"""Likewise, of what is there already."""
FeatureSize = Annotated[int, Range(32, 4096)]
"""Side in pixels at which a feature network looks at pictures."""
Channels = Annotated[int, Range(1, 65_536)]
Positive = Annotated[float, Range(above=0, most=1e6)]
Weight = Annotated[float, Range(0, 1e6)]
"""A factor, which may be 0."""
Share = Annotated[float, Range(0, 1)]
"""A share, a chance or a quantile."""
ShareBelowOne = Annotated[float, Range(0, below=1)]
RareScenes = Annotated[float, Range(0, 10)]
"""e in the sampling weight 1/f^e of a training scene."""
Specks = Annotated[float, Range(0, below=0.1)]
"""Share of a picture below which a piece of a mask is none."""
Guidance = Annotated[float, Range(0, 100)]
"""Scale of classifier-free guidance."""


@dataclass(frozen=True)
class Settings:
    """A configuration that holds only what its annotations allow. Lists become tuples.

    `class NetworkConfig(Settings, section="network")` is called `network` in messages.

    Raises:
        ConfigError: a field holds something else; it is named, with what it takes.
    """

    section: ClassVar[str] = ""

    def __init_subclass__(cls, section: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if section is not None:
            cls.section = section

    def __post_init__(self) -> None:
        for name, hint in _hints(cast(Any, type(self))).items():
            place = f"{self.section}.{name}" if self.section else name
            object.__setattr__(self, name, typed(hint, getattr(self, name), place))


def config_from(kind: type[Config], values: Mapping[str, Any], within: str = "") -> Config:
    """Return the dataclass `kind` whose `asdict` is `values`; fields that are left out keep their defaults.

    Raises:
        ConfigError: a field is not known, is missing, or its value is not of its type, or out of bounds.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{kind.__name__} cannot be {_shown(values)}", "Give its fields, each with a value."
        )
    hints = _hints(cast(Any, kind))
    if unknown := [name for name in values if name not in hints]:
        raise ConfigError(
            f"{kind.__name__} has no field {_shown(unknown[0])}", f"Its fields are: {', '.join(hints)}."
        )
    given = {
        name: typed(hints[name], value, f"{within}.{name}".lstrip(".")) for name, value in values.items()
    }
    try:
        return kind(**given)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__} is not whole ({error})", "Give all of its fields.") from error


def typed(hint: Any, value: Any, name: str) -> Any:
    """Return a JSON or YAML value as what a type hint says: numbers within bounds, dataclasses from mappings.

    Args:
        hint: of a dataclass' field or of a function's parameter; what it does not tell is not looked at.
        value: the value.
        name: of the option, with dots, for the message.

    Raises:
        ConfigError: the value is not of that type, or a number is out of bounds or not finite.
    """
    origin, within = _parts(hint)
    if origin is Annotated:
        value = typed(within[0], value, name)
        for bounds in within[1:]:
            if isinstance(bounds, Range) and value not in bounds:
                raise ConfigError(f"{name} is {_shown(value)}", f"Give a number {bounds!r}.")
        return value
    if origin in (Union, types.UnionType):
        return _any_of(within, value, name)
    if origin is Literal:
        if not any(value == one and type(value) is type(one) for one in within):
            raise ConfigError(f"{name} is {_shown(value)}", f"Choose one of: {', '.join(map(str, within))}.")
        return value
    kind = origin or hint
    if not isinstance(kind, type) or kind is object:
        return value
    if is_dataclass(kind) and not isinstance(value, kind):
        return config_from(kind, _mapping(value), name)
    if issubclass(kind, Mapping):
        _need(isinstance(value, Mapping), name, value, "names, each with a value")
        return (
            {key: typed(within[1], one, f"{name} of {key}") for key, one in value.items()}
            if within
            else value
        )
    if issubclass(kind, (tuple, list)) or kind is Sequence:
        return _several(kind, within, value, name)
    if kind is float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        _need(number and math.isfinite(_as_float(value)), name, value, "a number, which is finite")
    elif kind is int:
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        _need(whole and value in Range(-(2**63), 2**63 - 1), name, value, "a whole number")
    elif kind is Path:
        _need(isinstance(value, (str, Path)) and "\0" not in str(value), name, value, "a path")
    elif kind in (str, bool):
        holds = isinstance(value, kind) and not (isinstance(value, str) and "\0" in value)
        _need(holds, name, value, "a text" if kind is str else "true or false")
    elif kind is type(None):
        _need(value is None, name, value, "null")
    return value


def _any_of(hints: Sequence[Any], value: Any, name: str) -> Any:
    """Return the value as the first of several types that it fits; None, where it is allowed, stays None."""
    if value is None and type(None) in hints:
        return None
    refused: ConfigError | None = None
    for hint in hints:
        try:
            if hint is not type(None):
                return typed(hint, value, name)
        except ConfigError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _several(kind: type, hints: Sequence[Any], value: Any, name: str) -> Any:
    _need(isinstance(value, (list, tuple)), name, value, "a list")
    if kind is tuple and hints and hints[-1] is not ...:
        _need(len(value) == len(hints), name, value, f"{len(hints)} values")
    else:
        hints = [hints[0] if hints else Any] * len(value)
    entries = [typed(hint, entry, name) for hint, entry in zip(hints, value, strict=True)]
    return tuple(entries) if kind is tuple or isinstance(value, tuple) else entries


def _need(holds: bool, name: str, value: Any, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {_shown(value)}", f"Give {wanted}.")


def _mapping(value: Any) -> Any:
    """Return what the command line's parser holds for a section as a mapping, without its own notes."""
    plain = value.as_dict() if hasattr(value, "as_dict") else value
    if not isinstance(plain, Mapping):
        return plain
    return {name: one for name, one in plain.items() if not str(name).startswith("__")}


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) and abs(number) < 1e10 else f"{number:g}"


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}
