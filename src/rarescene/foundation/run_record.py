"""What a run folder says of itself: enough to repeat it, and enough to refuse a leak."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError, LeakError
from rarescene.foundation.files import read_json, write_json

RECORD = "run.json"
_PACKAGES = ("rarescene", "torch", "diffusers", "transformers", "accelerate", "torchmetrics", "numpy", "pillow")


@dataclass(frozen=True)
class Seen:
    """What a model or a synthetic set was made from.

    Attributes:
        spans: recording → None where all of it counts as seen (a split by recording), or [first, last] frame where
            the split cut through it.
    """

    spans: Mapping[str, Sequence[int] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, scenes: Iterable[tuple[str, int]], whole_recordings: bool) -> Seen:
        """Return what is seen by using these scenes, given as (recording, frame order)."""
        frames: dict[str, list[int]] = {}
        for group, order in scenes:
            frames.setdefault(group, []).append(order)
        return cls({g: None if whole_recordings else [min(o), max(o)] for g, o in sorted(frames.items())})

    def covers(self, group: str, order: int) -> bool:
        """Return whether this frame, or a neighbour of it, was seen."""
        if group not in self.spans:
            return False
        span = self.spans[group]
        return span is None or span[0] <= order <= span[1]

    def union(self, other: Seen) -> Seen:
        """Return what either of them has seen."""
        spans = dict(self.spans)
        for group, span in other.spans.items():
            mine = spans.get(group, span)
            spans[group] = None if mine is None or span is None else [min(mine[0], span[0]), max(mine[1], span[1])]
        return Seen(dict(sorted(spans.items())))

    def refuse(self, held_out: Iterable[tuple[str, int]], who: str, path: Path) -> None:
        """Raise `LeakError` if `who` (a generator, a set or a model at `path`) saw any of the held-out scenes."""
        leaked = sorted({group for group, order in held_out if self.covers(group, order)})
        if leaked:
            listed = ", ".join(leaked[:5]) + (f" and {len(leaked) - 5} more" if len(leaked) > 5 else "")
            remedy = "Make it again from the training recordings alone (the same --split and --seed), or choose another split."
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

    @classmethod
    def begin(cls, **fields: Any) -> RunRecord:
        """Return a record of a run that starts now, on this machine, with these versions."""
        return cls(
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            started=_now(),
            machine=describe_machine(),
            versions=installed_versions(),
            commit=source_commit(),
            **fields,
        )

    def write(self, folder: Path) -> None:
        """Write the record to its folder."""
        write_json(folder / RECORD, asdict(self))

    def end(self, folder: Path, seconds: float) -> None:
        """Write the record once more, as finished."""
        write_json(folder / RECORD, {**asdict(self), "finished": _now(), "seconds": round(seconds, 1)})


def read_record(folder: Path, kind: str | None = None) -> RunRecord:
    """Read a run folder's record. Raises `CheckpointError` when it is no run folder, or one of another kind."""
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise CheckpointError("is not a run folder: it has no run.json", "Give the --out folder of an earlier command.", folder)
    value = read_json(folder / RECORD)
    try:
        value["seen"] = Seen(value["seen"]["spans"])
        record = RunRecord(**value)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"is not a run record ({error})", "Run the command again that wrote it.", folder / RECORD) from error
    if kind is not None and record.kind != kind:
        raise CheckpointError(f"holds a {record.kind}, and a {kind} is needed", "Give the folder of such a run.", folder)
    return record


def describe_machine() -> dict[str, Any]:
    """Return processor, cores and system; a GPU is added by the room that uses it."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": name, "cores": cores, "system": platform.system(), "python": platform.python_version()}


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
    """Return the commit of the source tree that runs, with `+` if it was changed since, or None outside a checkout."""
    here = Path(__file__).resolve().parents[1]
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "") if head.returncode == 0 else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
