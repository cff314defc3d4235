"""Frozen dataclasses from JSON or YAML values."""

from __future__ import annotations

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
