"""Where weights, pairs and scores come from: the data, their split, and the recordings that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rarescene.foundation.configs import config_from, typed
from rarescene.foundation.errors import ConfigError, LeakError

Place = tuple[str, int]
"""A frame: its recording, and its position there."""

SPLIT_OPTIONS = ("split", "fractions", "split_seed", "group_by")
"""What the command line says of a split; run records repeat it in their configuration."""

_OPTIONS: Mapping[str, Any] = {
    "split": str, "fractions": tuple[float, float, float] | None, "split_seed": int, "group_by": str | None
}  # fmt: skip
_GROUPING = "told_apart"  # in a record's configuration, where the options of one split do not say it
IN_CONFIG = (*SPLIT_OPTIONS, _GROUPING)
"""The entries of a run record's configuration that are not the command's own."""


@dataclass(frozen=True)
class Seen:
    """What a model or a synthetic set was made from.

    Attributes:
        spans: recording → None where all of it counts as seen (a split by recording), or, where the split cut
            through it, ascending runs [first, last] of frames between which no scene was left out.
    """

    spans: Mapping[str, Sequence[Sequence[int]] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, scenes: Iterable[Place], others: Iterable[Place] | None = None) -> Seen:
        """Return what is seen by using these scenes.

        Args:
            scenes: (recording, frame order) of each scene used.
            others: the scenes of the data that were not used, where the split cut through recordings; None
                for a split by recording, where a recording counts as seen as a whole.
        """
        frames = _by_recording(scenes)
        if others is None:
            return cls(dict.fromkeys(sorted(frames)))
        unused = _by_recording(others)
        return cls({group: _runs(frames[group], unused.get(group, set())) for group in sorted(frames)})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Seen:
        """Return what a run record says was seen."""
        spans = typed(Mapping[str, list[tuple[int, int]] | None], value["spans"], "seen.spans").items()
        return cls({group: None if runs is None else _merged(runs) for group, runs in spans})

    def covers(self, group: str, order: int) -> bool:
        """Return whether this frame was seen, or lies between frames that were."""
        if group not in self.spans:
            return False
        runs = self.spans[group]
        return runs is None or any(first <= order <= last for first, last in runs)

    def union(self, other: Seen) -> Seen:
        """Return what either of them has seen."""
        spans = dict(self.spans)
        for group, theirs in other.spans.items():
            mine = spans.get(group, ())
            spans[group] = None if mine is None or theirs is None else _merged([*mine, *theirs])
        return Seen(dict(sorted(spans.items())))

    def refuse(self, held_out: Iterable[Place], who: str, path: Path) -> None:
        """Raise `LeakError` if `who` (a generator, a set or a model at `path`) saw a held-out scene."""
        leaked = sorted({group for group, order in held_out if self.covers(group, order)})
        if leaked:
            listed = ", ".join(leaked[:5]) + (f" and {len(leaked) - 5} more" if len(leaked) > 5 else "")
            remedy = (
                "Make it again from the training recordings alone (the same --split and --split-seed), "
                "or choose another split."
            )
            raise LeakError(f"{who} saw recordings that are held out here: {listed}", remedy, path)


def joined_licences(*licences: str) -> str:
    """Return licences, each once, joined by " + ", as those of several data sets are."""
    return " + ".join(dict.fromkeys(part for one in licences for part in one.split(" + ")))


@dataclass(frozen=True)
class Provenance:
    """Where something comes from: one data set and its split, and all that was seen on the way.

    Attributes:
        spec: the data set, as the command line named it.
        name: its name.
        scenes: how many it has.
        split: how it was split, in words.
        options: how it was split, in the words of the command line: those of `SPLIT_OPTIONS`.
        recordings: part of the split → its recordings.
        licence: of all data behind it, joined by " + ".
        phantom: whether any of them are phantom scenes.
        grouping: data set → `--group-by`, of all data behind it: how their recordings were told apart.
        seen: what of all of them was used.
        package: the distribution, and its version, that reads the data set, where it is not ours.
    """

    spec: str
    name: str
    scenes: int
    split: str
    options: Mapping[str, Any]
    recordings: Mapping[str, Sequence[str]]
    licence: str
    phantom: bool
    grouping: Mapping[str, str | None]
    seen: Seen
    package: str = ""

    def union(self, *others: Provenance) -> Provenance:
        """Return where comes from what is made from this and from others: this one's data, and all they saw.

        Raises:
            ConfigError: the recordings of one data set were told apart in two ways.
        """
        together = self
        for other in others:
            together = replace(
                together,
                licence=joined_licences(together.licence, other.licence),
                phantom=together.phantom or other.phantom,
                grouping=_alike(together.grouping, other.grouping),
                seen=together.seen.union(other.seen),
            )
        return together

    def describe(self) -> dict[str, Any]:
        """Return the data as JSON values: which they are, under which licence, and how they were split."""
        return {
            "spec": self.spec, "name": self.name, "licence": self.licence, "phantom": self.phantom,
            "scenes": self.scenes, "split": self.split, **({"package": self.package} if self.package else {}),
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the entries of a run record that say this; those of "config" stand among its settings."""
        alone = self.grouping == {self.name: self.options["group_by"]}
        return {
            "config": {**self.options, **({} if alone else {_GROUPING: dict(self.grouping)})},
            "data": self.describe(),
            "recordings": {part: list(names) for part, names in self.recordings.items()},
            "seen": {"spans": dict(self.seen.spans)},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Provenance:
        """Return the provenance that a run record holds.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, ConfigError: it is damaged.
        """
        config, data = value["config"], value["data"]
        values = {name: data[name] for name in ("spec", "name", "scenes", "split", "licence")} | {
            "options": {name: typed(_OPTIONS[name], config[name], name) for name in SPLIT_OPTIONS},
            "recordings": {part: tuple(names) for part, names in value["recordings"].items()},
            "phantom": bool(data.get("phantom")) or is_phantom(data["name"]),
            "grouping": config.get(_GROUPING) or {data["name"]: config["group_by"]},
            "seen": Seen.from_json(value["seen"]),
            "package": data.get("package", ""),
        }
        return config_from(cls, values)


def is_phantom(name: str) -> bool:
    """Return whether a data set of this name is drawn, not filmed."""
    return name.partition(":")[0] == "phantom"


def _alike(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return both together. Raises `ConfigError` where one data set was told apart in two ways."""
    for name in one:
        if name in other and one[name] != other[name]:
            what = f"the recordings of {name} were told apart in two ways: {one[name]!r} and {other[name]!r}"
            raise ConfigError(f"{what}, so leaks could hide", "Repeat one --group-by in all commands.")
    return {**one, **other}


def _by_recording(places: Iterable[Place]) -> dict[str, set[int]]:
    frames: dict[str, set[int]] = {}
    for group, order in places:
        frames.setdefault(group, set()).add(order)
    return frames


def _runs(used: set[int], unused: set[int]) -> list[list[int]]:
    """Return the used frames as runs [first, last], cut wherever an unused frame lies between two of them."""
    runs: list[list[int]] = []
    cut = True
    for order in sorted(used | unused):
        if order not in used:
            cut = True
        elif cut:
            runs.append([order, order])
            cut = False
        else:
            runs[-1][1] = order
    return runs


def _merged(runs: Iterable[Sequence[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for first, last in sorted([list(run) for run in runs]):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return merged
