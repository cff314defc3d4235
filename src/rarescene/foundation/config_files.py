"""Configuration files that say what differs from another: their base.

```yaml
base: tiny                          # a shipped configuration by its name, or a file, relative to this one
without: [model.self_perceptual]    # what the base says and this configuration does not
model:
  height: 96                        # what differs
```

A section of the file is laid over that of its base, option by option; any other value, a list too, stands in
place of the base's. What is listed in `without` is taken out of the base, and has its default unless the file
says it anew; `null` is a value like others. A base may have a base. An option of a section may also stand in
one line, as `model.height: 96`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import bounded, read_text


@dataclass(frozen=True)
class ConfigFile:
    """What a configuration file says, together with its bases.

    Attributes:
        options: the options, nested.
        origins: the file that says it, for each section and option by its dotted name.
    """

    options: dict[str, Any]
    origins: dict[str, Path]


def find_config(name: str, folder: Path, shipped: Path) -> Path:
    """Return the configuration file that a name means.

    Args:
        name: a path, or the name of a shipped configuration; a file wins over a shipped one.
        folder: the folder that a path is relative to.
        shipped: the folder of the shipped configurations.

    Raises:
        ConfigError: there is none.
    """
    if (path := folder / name).is_file():
        return path
    known = {path.stem: path for path in sorted(shipped.glob("*.yaml"))}
    if name not in known:
        remedy = f"Give a YAML file, or a shipped one: {', '.join(known)}."
        raise ConfigError("there is no such configuration file", remedy, name)
    return known[name]


def read_config_file(path: Path, shipped: Path, derived: tuple[Path, ...] = ()) -> ConfigFile:
    """Return what a configuration file says, together with its bases.

    Args:
        path: a YAML file.
        shipped: the folder of the configurations that a base may name.
        derived: the files whose base this one is, the first one first.

    Raises:
        ConfigError: the file or one of its bases is unusable; it is named.
    """
    content = _load(path)
    derives, name, without = "base" in content, content.pop("base", None), content.pop("without", [])
    options: dict[str, Any] = {}
    for option, value in content.items():
        for part in reversed(str(option).split(".")):
            value = {part: value}
        options = laid_over(options, value)
    if not derives:
        if without:
            raise ConfigError("says `without`, but has no base", "Name one: `base: tiny`.", path)
        return ConfigFile(options, dict.fromkeys(_names(options), path))
    base = read_config_file(_base(name, path, shipped, derived), shipped, (*derived, path))
    merged, own = laid_over(_without(base.options, without, path), options), set(_names(options))
    return ConfigFile(merged, {one: path if one in own else base.origins[one] for one in _names(merged)})


def _load(path: Path) -> dict[str, Any]:
    import yaml
    from jsonargparse import get_loader  # reads 1e-4 as a number, as `--config` does; YAML 1.1 does not

    try:
        content = bounded(get_loader("yaml")(read_text(path)), most=10_000)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = f"is not valid YAML ({' '.join(str(error).split())})"
        raise ConfigError(what, "Correct the file; --print_config shows how one looks.", path) from error
    if not isinstance(content, dict):
        raise ConfigError("holds no options", "Write `option: value` lines; --print_config shows how.", path)
    return content


def _base(name: object, path: Path, shipped: Path, derived: tuple[Path, ...]) -> Path:
    """Return the file that `base: name` in a file means."""
    if not isinstance(name, str):
        raise ConfigError(f"its base is {name!r}", "Name one configuration: `base: tiny`.", path)
    try:
        found = find_config(name, path.parent, shipped)
    except ConfigError as error:
        raise ConfigError(f"there is no configuration {name!r} for its base", error.remedy, path) from None
    chain = [*derived, path]
    if found.resolve() in [file.resolve() for file in chain]:
        circle = " → ".join(str(file) for file in [*chain, found])
        raise ConfigError(f"its bases form a circle: {circle}", "Take one `base:` out.", path)
    return found


def _without(options: dict[str, Any], names: object, path: Path) -> dict[str, Any]:
    """Return the options of a base without those of these dotted names, which the file at `path` lists."""
    if not isinstance(names, list):
        raise ConfigError(f"`without` is {names!r}", "Write a list: `without: [model.augment]`.", path)
    for name in map(str, names):
        try:
            options = _less(options, *name.split("."))
        except KeyError:
            what = f"`without` lists {name!r}, which its base does not say"
            raise ConfigError(what, "Take it out of the list, or correct it.", path) from None
    return options


def _less(options: Any, name: str, *deeper: str) -> dict[str, Any]:
    """Return options without one of them, which may lie deeper."""
    if not isinstance(options, dict) or name not in options:
        raise KeyError(name)
    rest = {one: value for one, value in options.items() if one != name}
    return {**options, name: _less(options[name], *deeper)} if deeper else rest


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `base` with those of `over` in their place, section by section."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = laid_over(merged[name], value) if both else value
    return merged


def _names(options: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Yield the dotted names of all sections and options."""
    for name, value in options.items():
        yield f"{section}{name}"
        if isinstance(value, dict):
            yield from _names(value, f"{section}{name}.")
