"""How large a paper's experiments are made: what the scales of all papers have in common.

Each scale is a YAML file beside the recipes of its paper; a generator is written out there, or named after a
configuration that ships, as `--config` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from rarescene.foundation.config_files import read_config_file
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import ConfigError

CONFIGS = Path(__file__).parent / "configs"

ScaleName = Literal["smoke", "tiny", "small", "paper"]
T = TypeVar("T")


@dataclass(frozen=True)
class DataScale:
    """One data set of a scale.

    Attributes:
        spec: NAME:PATH; None where the user must name it by `--data`.
        split: how it is split; by recording unless the paper's own split is asked for.
        fractions: shares of training, validation and test.
        wanted: what the data must be and where they are to be had, for the message that asks for them.
        stands_for: the data set that phantom scenes stand for, where they are not those of the same classes.
        group_by: regular expression that tells the recordings of a folder apart.
    """

    spec: str | None
    split: str = "recording"
    fractions: tuple[float, float, float] | None = None
    wanted: str = ""
    stands_for: str = ""
    group_by: str | None = None


def chosen(names: Iterable[str], known: Sequence[str], unknown: str) -> list[str]:
    """Return those of `known` that are named, in its order.

    Raises:
        ConfigError: a name is not known; `unknown` says so, where {} stands for it.
    """
    wanted = {name.strip() for name in names}
    if strange := sorted(wanted.difference(known)):
        raise ConfigError(unknown.format(repr(strange[0])), f"Choose from {', '.join(known)}.")
    return [name for name in known if name in wanted]


def read_scale_file(kind: type[T], name: str, folder: Path, models: Iterable[str]) -> T:
    """Return a scale that ships.

    Args:
        folder: where the scales of the paper lie, one of which may be the base of another.
        models: sections, as `section` or `section.part`, that may name a shipped configuration instead of
            being written out; of a segmenter's, model and training are taken.

    Raises:
        ConfigError: there is none of this name.
    """
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in shipped:
        raise ConfigError(f"there is no scale {name!r}", f"Choose from {', '.join(shipped)}.")
    values = read_config_file(shipped[name], folder).options
    values.pop("shared", None)  # what several sections refer to
    for place in models:
        *path, last = place.split(".")
        holder = values[path[0]] if path else values
        if isinstance(holder[last], str):
            shipped_as = read_config_file(CONFIGS / f"{holder[last]}.yaml", CONFIGS).options
            parts = {name: shipped_as[name] for name in ("model", "training") if name in shipped_as}
            holder[last] = parts if "training" in parts else parts["model"]
    return config_from(kind, values)
