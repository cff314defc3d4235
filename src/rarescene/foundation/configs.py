"""Frozen dataclasses from JSON or YAML values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from rarescene.foundation.errors import ConfigError

Config = TypeVar("Config")


def config_from(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Return the dataclass `kind` whose `asdict` is `values`; fields that are left out keep their defaults.

    Raises:
        ConfigError: a field is not known, or its value is refused by the dataclass.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in names]:
        raise ConfigError(
            f"{kind.__name__} has no field {unknown[0]!r}", f"Its fields are: {', '.join(names)}."
        )
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value) for name, value in values.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and is_dataclass(hint) and not isinstance(value, hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{hint.__name__} cannot be {value!r}", "Give its fields, each with a value.")
        return config_from(hint, value)
    return tuple(value) if isinstance(value, list) else value


def check_numbers(
    config: object,
    *names: str,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    within: str = "",
) -> None:
    """Refuse numbers of a configuration that are out of bounds or not finite; None stands for a default.

    Args:
        config: the dataclass.
        names: its fields; a tuple is checked entry by entry.
        least: the smallest number allowed.
        above: a number that is too small already.
        most: the largest number allowed.
        below: a number that is too large already.
        within: the section that holds the configuration, such as "training", for the message.

    Raises:
        ConfigError: the first number that does not fit.
    """
    low = f"{least:g}" if least is not None else f"above {above:g}" if above is not None else ""
    high = f"{most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    for name in names:
        value = getattr(config, name)
        entries = value if isinstance(value, tuple) else (value,)
        if all(
            entry is None
            or (
                math.isfinite(entry)
                and (least is None or entry >= least)
                and (above is None or entry > above)
                and (most is None or entry <= most)
                and (below is None or entry < below)
            )
            for entry in entries
        ):
            continue
        bounds = f"from {low} to {high}" if low and high else f"from {low}" if least is not None else low
        place = f"{within}.{name}" if within else name
        kind = "numbers" if isinstance(value, tuple) else "a number"
        raise ConfigError(f"{place} is {value}", f"Give {kind} {bounds or f'up to {high}'}.")
