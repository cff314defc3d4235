"""`generator.json`: which generator a folder holds, its settings and its classes, read and written here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.plugins import methods, package_of
from rarescene.scenes import ClassTable

DESCRIPTION = "generator.json"

Config = TypeVar("Config")


class Description(NamedTuple, Generic[Config]):
    """What a folder says of its generator.

    Attributes:
        config: its settings.
        table: its classes.
        values: all of the file, for what a method keeps beside them.
    """

    config: Config
    table: ClassTable
    values: dict[str, Any]


def write_description(folder: Path, name: str, config: Any, table: ClassTable, **more: Any) -> None:
    """Write name, settings (a dataclass) and classes of a generator, and what it keeps beside them."""
    package = package_of(method) if (method := methods("generators").get(name)) else {}
    values = {"generator": name, **package, "config": asdict(config), "classes": table.to_dict(), **more}
    write_json(folder / DESCRIPTION, values)


def read_description(folder: Path, name: str, kind: type[Config]) -> Description[Config]:
    """Read what `write_description` wrote.

    Args:
        folder: of the generator.
        name: of the generator that it should hold.
        kind: class of its settings.

    Raises:
        CheckpointError: the file is missing or damaged, or describes another generator.
    """
    path = folder / DESCRIPTION
    values = read_json(path)
    try:
        if values["generator"] != name:
            what = f"holds a {values['generator']!r} generator"
            raise CheckpointError(what, f"Give the folder of a {name!r} generator.", path)
        return Description(
            config_from(kind, values["config"]), ClassTable.from_dict(values["classes"]), values
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        remedy = "Restore the file, or train the generator again."
        raise CheckpointError(
            f"is not the description of a {name!r} generator ({error!r})", remedy, path
        ) from error
