"""What a run folder says of itself: enough to repeat it, and enough to refuse a leak."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError, ConfigError, LeakError
from rarescene.foundation.files import read_json, write_json

RECORD = "run.json"
Place = tuple[str, int]
"""A frame: its recording, and its position there."""

_PACKAGES = (
    "rarescene",
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "torchmetrics",
    "numpy",
    "pillow",
)


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


@dataclass(frozen=True)
class RunRecord:
    """One command's run, as written to `run.json` in its folder.

    Attributes:
        kind: what the folder holds: "casdm", "segmenter", "scene set".
        config: the resolved configuration, JSON values.
        data: specification, licence and number of scenes of the data used.
        recordings: part of the split → recordings in it.
        seen: what the weights or pairs were made from.
        class_table: the class table as JSON values.
        seconds: of a training, what it took in all, by every process that went on with it from a checkpoint;
            of any other command, what the process that ended it spent.
        metrics: the figures that the run ended with.
    """

    kind: str
    config: Mapping[str, Any]
    seed: int
    data: Mapping[str, Any]
    recordings: Mapping[str, Sequence[str]]
    seen: Seen
    class_table: Mapping[str, Any]
    command: str = ""
    started: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    finished: str | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, *, accelerator: str | None = None, processes: int = 1, **fields: Any) -> RunRecord:
        """Return a record of a run that starts now, here and with these versions."""
        return cls(
            command=_command(),
            started=_now(),
            machine=describe_machine()
            | ({"accelerator": accelerator} if accelerator else {})
            | ({"processes": processes} if processes > 1 else {}),
            versions=installed_versions(),
            commit=source_commit(),
            **fields,
        )

    def write(self, folder: Path) -> None:
        """Write the record to its folder."""
        write_json(folder / RECORD, asdict(self))

    def end(self, folder: Path, seconds: float, metrics: Mapping[str, float] | None = None) -> RunRecord:
        """Write the record once more, as finished, and return it."""
        ended = replace(self, finished=_now(), seconds=round(seconds, 1), metrics=dict(metrics or {}))
        ended.write(folder)
        return ended


def read_record(folder: Path, kind: str | None = None) -> RunRecord:
    """Read a run folder's record.

    Raises:
        CheckpointError: it is no run folder, or one of another kind, or the record is damaged.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise CheckpointError(
            "is not a run folder: it has no run.json", "Give the --out folder of an earlier command.", folder
        )
    value = read_json(folder / RECORD)
    try:
        spans = {
            group: None if runs is None else _merged(runs) for group, runs in value["seen"]["spans"].items()
        }
        record = RunRecord(**value | {"seen": Seen(spans)})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"is not a run record ({error})", "Run the command again that wrote it.", folder / RECORD
        ) from error
    if kind is not None and record.kind != kind:
        what = f"holds a run of kind {record.kind!r}, and one of kind {kind!r} is needed"
        raise CheckpointError(what, "Give the folder of such a run.", folder)
    return record


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, system and Python; an accelerator is known to whoever has imported torch."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": name,
        "cores": cores,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a result."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def source_commit() -> str | None:
    """Return the commit of this source tree, with `+` if it was changed since; None outside a checkout."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str | None:
        command = ["git", "-C", str(here.parents[1]), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed package may lie inside the checkout of something else, which does not track it.
    head = git("rev-parse", "--short=12", "HEAD") if git("ls-files", "--error-unmatch", str(here)) else None
    return None if head is None else head + ("+" if git("status", "--porcelain", "--", ".") else "")


def _command() -> str:
    program = Path(sys.argv[0]).name
    return shlex.join(
        ["rarescene" if program == "cli.py" else program, *sys.argv[1:]]
    )  # cli.py under torchrun


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


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def told_apart(record: RunRecord) -> Mapping[str, str | None]:
    """Return data set → `--group-by`, for all data behind a run: how their recordings were told apart."""
    ways: Mapping[str, str | None] = record.config.get("told_apart") or {
        record.data["name"]: record.config.get("group_by")
    }
    return ways


def told_apart_alike(*ways: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return all of them together. Raises `ConfigError` where one data set was told apart in two ways."""
    together: dict[str, str | None] = {}
    for name, group_by in (entry for way in ways for entry in way.items()):
        if together.setdefault(name, group_by) != group_by:
            what = (
                f"the recordings of {name} were told apart in two ways: {together[name]!r} and {group_by!r}"
            )
            raise ConfigError(f"{what}, so leaks could hide", "Repeat one --group-by in all commands.")
    return together
