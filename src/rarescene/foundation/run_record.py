"""What a run folder says of itself: enough to repeat it, and enough to refuse a leak."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rarescene.foundation.configs import Count, CountOrNone, Pixels, Steps, config_from, typed
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.provenance import IN_CONFIG, Provenance

RECORD = "run.json"

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
class RunRecord:
    """One command's run, as written to `run.json` in its folder.

    Attributes:
        kind: what the folder holds: "casdm", "segmenter", "scene set".
        config: the resolved configuration, JSON values.
        provenance: where the weights, pairs or scores come from.
        class_table: the class table as JSON values.
        decoded: of a training, part of the data → digest of its scenes as they were decoded (`SceneCache`).
        seconds: of a training, what it took in all, by every process that went on with it from a checkpoint;
            of any other command, what the process that ended it spent.
        metrics: the figures that the run ended with.
    """

    kind: str
    config: Mapping[str, Any]
    seed: int
    provenance: Provenance
    class_table: Mapping[str, Any]
    command: str = ""
    started: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    finished: str | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    decoded: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, *, accelerator: str | None = None, processes: int = 1, **fields: Any) -> RunRecord:
        """Return a record of a run that starts now, here and with these versions."""
        return cls(
            command=command_line(),
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
        write_json(folder / RECORD, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values; the options of the split stand among its settings."""
        value = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        told = value.pop("provenance").to_json()
        return value | told | {"config": {**self.config, **told["config"]}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """Return the record that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, ConfigError: it is damaged.
        """
        provenance = Provenance.from_json(value)
        config = {name: entry for name, entry in value["config"].items() if name not in IN_CONFIG}
        _check_config(value["kind"], config)
        rest = {name: entry for name, entry in value.items() if name not in provenance.to_json()}
        # Sets of maps once told two shares of what was kept, where there is one now.
        if isinstance(kept := rest.get("metrics", {}).get("kept"), Mapping):
            rest["metrics"] = {**rest["metrics"], "kept": kept["after_redraws"]}
        return config_from(cls, {**rest, "config": config, "provenance": provenance})

    def ended(self, seconds: float, metrics: Mapping[str, float] | None = None) -> RunRecord:
        """Return the record as finished; it is written after all else, so that what says so is whole."""
        return replace(self, finished=_now(), seconds=round(seconds, 1), metrics=dict(metrics or {}))


_ENTRIES: Mapping[str, Any] = {
    "segmenter": str, "strategy": str, "model": Mapping[str, Any], "augment": Mapping[str, Any],
    "strategies": Mapping[str, Any] | None, "training": Mapping[str, Any], "training.steps": Steps,
    "training.batch_size": Count, "height": Pixels, "width": Pixels, "model.height": Pixels,
    "model.width": Pixels, "model.training": Mapping[str, Any], "masks": str, "classes": str | list[str],
    "sampling": Mapping[str, Any] | None, "vary": bool, "part": str, "package": str | None,
    "count": CountOrNone, "run": str, "generator": str | None, "curation": Mapping[str, Any],
}  # fmt: skip
"""Entries of a record's configuration that are read again, by dotted names, and what each must be."""
_NEEDED: Mapping[str, Sequence[str]] = {
    "segmenter": (
        "segmenter", "strategy", "model", "training.steps", "training.batch_size", "height", "width",
    )
}  # fmt: skip


def _check_config(kind: str, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that lacks what is read again, or has it in another form."""
    for name, hint in _ENTRIES.items():
        *sections, last = name.split(".")
        found: Any = config
        for section in sections:
            found = found.get(section) or {}
        if last in found:
            typed(hint, found[last], name)
        elif name in _NEEDED.get(kind, ()):
            raise KeyError(name)


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
        record = RunRecord.from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise CheckpointError(
            f"is not a run record ({getattr(error, 'what', repr(error))})",
            "Run the command again that wrote it.",
            folder / RECORD,
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


def command_line() -> str:
    """Return the command that this process runs, as one would type it."""
    program = Path(sys.argv[0]).name
    program = "rarescene" if program == "cli.py" else program  # under torchrun
    return shlex.join([program, *sys.argv[1:]])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
