"""What tells scored runs apart: which of them are seeds of one arm, and what each arm is called.

Runs are seeds of one arm if nothing but the seed differs in what they were trained with: segmenter, strategy,
any option, and the synthetic pairs, which are known by their content and not by where they lie. Two sets are
thus never averaged, unless somebody says by one label that they are the same arm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarescene.foundation.run_record import RunRecord

HOUSEKEEPING = frozenset(
    f"training.{name}"
    for name in ("log_every", "save_every", "keep", "compile", "channels_last", "accumulate")
)
"""Options that change nothing about what is learned, but for rounding."""

_PATHS = ("synthetic", "generator", "maps", "compose")


@dataclass(frozen=True)
class Option:
    """An option that decides what is learned: the value as it is told, and what tells it from another one."""

    told: str
    identity: str


@dataclass(frozen=True)
class Trained:
    """What one run was trained with.

    Attributes:
        label: the name that somebody gave its arm, or nothing.
        strategy: of the run.
        segmenter: likewise.
        options: all others that decide what is learned, by their dotted names.
    """

    label: str
    strategy: str
    segmenter: str
    options: Mapping[str, Option]

    @classmethod
    def of(cls, label: str, strategy: str, segmenter: str, record: RunRecord | None) -> Trained:
        """Return what a run's record tells; of scores without one, their strategy and segmenter are all."""
        options = {} if record is None else dict(_options(record))
        return cls(label, strategy, segmenter, options)

    @property
    def arm(self) -> Hashable:
        """Equal for the seeds of one arm."""
        if self.label:
            return self.label
        known = sorted((name, option.identity) for name, option in self.options.items())
        return self.segmenter, self.strategy, *known


def arm_names(runs: Sequence[Trained]) -> list[str]:
    """Return what the arm of each run is called: the same for its seeds, another for every other arm.

    That is its label; without one its strategy, its segmenter before that where they are of several, and in
    brackets the options in which it differs from others that would bear the same name.
    """
    arms = dict[Hashable, Trained]()
    for run in runs:
        arms.setdefault(run.arm, run)
    several = len({arm.segmenter for arm in arms.values() if not arm.label}) > 1
    names, taken = dict[Hashable, str](), Counter[str]()
    for key, arm in arms.items():
        alike = [one for one in arms.values() if not one.label and _called(one) == _called(arm)]
        told = "" if arm.label else _differences(arm, alike)
        name = arm.label or (f"{arm.segmenter} {arm.strategy}" if several else arm.strategy)
        name += f" ({told})" if told else ""
        taken[name] += 1  # two sets of one folder name, a label that is a strategy's name
        names[key] = name if taken[name] == 1 else f"{name} #{taken[name]}"
    return [names[run.arm] for run in runs]


def _called(arm: Trained) -> tuple[str, str]:
    return arm.segmenter, arm.strategy


def _differences(run: Trained, alike: Sequence[Trained]) -> str:
    """Return the options in which arms differ, as this one has them; folders come first, by their names."""
    options = dict.fromkeys((*_PATHS, *(name for one in alike for name in one.options)))
    differing = [
        name for name in options if len({one.options.get(name, _NONE).identity for one in alike}) > 1
    ]
    last = Counter(name.rpartition(".")[2] for name in differing)
    told = []
    for name in differing:
        value, short = run.options.get(name, _NONE).told, name.rpartition(".")[2]
        shown = name if last[short] > 1 else short
        told.append(value if name in _PATHS and value != _NONE.told else f"{shown} {value}")
    return ", ".join(told)


_NONE = Option("none", "")


def _options(record: RunRecord) -> Iterator[tuple[str, Option]]:
    """Yield what decides what a run learned, but for its strategy and segmenter, which it is called by."""
    if record.kind != "segmenter":
        return
    content = ", ".join(digest for part, digest in record.decoded.items() if part.startswith("synthetic"))
    for name, value in _flat(record.config):
        if name in ("strategy", "segmenter") or name in HOUSEKEEPING:
            continue
        if value is None:
            yield name, _NONE
        elif name in _PATHS:
            folders = " + ".join(Path(one).name for one in str(value).split(", "))
            yield name, Option(folders, content if name == "synthetic" and content else str(value))
        else:
            told = "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield name, Option(told, told)


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
