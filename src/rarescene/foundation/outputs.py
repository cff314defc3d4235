"""The one door to whatever a command writes: whose it is, who writes there, what a kill left.

A command takes a folder that is missing or empty, or goes on with what a record of its own kind marks as its
own. While it writes it holds a lock in `OUT/.rarescene`, beside the files that are not whole yet; both are
gone when it ends.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError, RareSceneError
from rarescene.foundation.files import (
    PRIVATE,
    begun_in,
    drop_partial,
    need_ordinary,
    read_json,
)
from rarescene.foundation.locks import held
from rarescene.foundation.run_record import RECORD, command_line, read_record

_LOCK, _WRITER = "lock", "writer.json"

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def writes_folder(
    what: str, kind: str | None = None, *, marker: str = RECORD, goes_on: bool = False
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Let a command write the folder `out` that it is called with, alone, and only if the folder is its own.

    Args:
        what: the command makes, in words: "set".
        kind: of its record; by default the command itself compares the records (`same_run`).
        marker: the file that marks a folder as one of the command's, if it is no run record.
        goes_on: whether it goes on with what is there without being told (`resume`).
    """

    def decorate(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(command)
        def alone(*args: Parameters.args, **values: Parameters.kwargs) -> Result:
            given = inspect.signature(command).bind(*args, **values)
            given.apply_defaults()
            options: dict[str, Any] = {**given.arguments, **given.arguments.get("options", {})}
            resume = goes_on or bool(options.get("resume"))
            with claimed(Path(options["out"]), what, kind, marker=marker, resume=resume):
                return command(*args, **values)

        return alone

    return decorate


@contextmanager
def claimed(
    out: Path, what: str, kind: str | None = None, *, marker: str = RECORD, resume: bool = False
) -> Iterator[None]:
    """Hold a folder for as long as its files are written. Of several ranks the first one answers for all.

    Raises:
        ConfigError: it holds something that is not to be gone on with, or somebody else writes there.
        CheckpointError: what it holds is of another kind.
    """
    if os.environ.get("RANK", "0") not in ("", "0") and os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        _refuse(out, what, kind, marker, resume=True)  # the first one may have begun already
        with begun_in(out, out):
            yield
        return
    try:
        _refuse(out, what, kind, marker, resume)
    except RareSceneError:
        sweep(out)  # tells who is writing, if that is the reason
        raise
    with alone_in(out):
        _refuse(out, what, kind, marker, resume)  # the one who wrote until now may have left something
        yield


@contextmanager
def alone_in(folder: Path, target: Path | None = None, *, wait: bool = False) -> Iterator[Path]:
    """Hold the lock of a folder, which is made if it is missing, and remove what a kill left unfinished.

    Args:
        folder: of the lock.
        target: what is begun there, if it is not for the folder itself, which goes afterwards.
        wait: for somebody else to end.

    Raises:
        ConfigError: somebody else holds it; the message tells who.
        DataError: the folder cannot be written to.
    """
    private, passing = folder / PRIVATE, target is not None or not folder.exists()
    with ExitStack() as stack:
        stack.callback(_leave, folder, passing)
        try:
            if not stack.enter_context(held(private / _LOCK, wait=wait)):
                print(f"note: no locks here; see that nobody else writes to {folder}", file=sys.stderr)
            drop_partial(folder)
            writer = {"command": command_line(), "process": os.getpid(), "machine": platform.node()}
            told = json.dumps({**writer, "since": time.strftime("%H:%M:%S")})
            (private / _WRITER).write_text(told, encoding="utf-8")
        except BlockingIOError as error:
            remedy = "Wait for it to end, or choose another --out."
            raise ConfigError(_whose(private), remedy, target or folder) from error
        except OSError as error:
            what = f"could not be written ({error.strerror or error})"
            remedy = "Choose another folder, or make room in this one."
            raise DataError(what, remedy, target or folder) from error
        stack.callback(_tidy, folder)
        with begun_in(folder, target or folder):
            yield folder


def sweep(folder: Path, target: Path | None = None, *, wait: bool = False) -> None:
    """Remove what a killed command left of the lock of a folder, where no other would; as for `alone_in`.

    Raises:
        ConfigError: somebody holds it, and there is no waiting.
        DataError: the folder cannot be written to.
    """
    if (folder / PRIVATE if target is None else folder).is_dir():
        with alone_in(folder, target, wait=wait):
            pass


def _tidy(folder: Path) -> None:
    """Remove, still under the lock, what a command kept for itself."""
    drop_partial(folder)
    with suppress(OSError):
        (folder / PRIVATE / _WRITER).unlink()


def _leave(folder: Path, passing: bool) -> None:
    """Remove the folder of the lock, and one that nothing was written to; not where somebody else came in."""
    with suppress(OSError):
        (folder / PRIVATE).rmdir()
        if passing:
            folder.rmdir()


def alone_at(path: Path) -> AbstractContextManager[Path]:
    """Hold the place of a single file while it is written, as `alone_in` holds a folder."""
    return alone_in(path.with_name(f".{path.name}.rarescene"), path)


def need_own_file(path: Path | None, *marks: str) -> None:
    """Refuse an `--out` that is a file of somebody else.

    Args:
        path: of the file; None where none is asked for.
        marks: what the text of every file holds that the command writes.

    Raises:
        ConfigError: a file is there that does not hold them.
        DataError: a link, a folder or a device is there.
    """
    if path is None:
        return
    need_ordinary(path)
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if not all(mark in text for mark in marks):
        remedy = "Choose another --out, or delete it; only what this command wrote is written anew."
        raise ConfigError("is a file of somebody else", remedy, path)


def _refuse(out: Path, what: str, kind: str | None, marker: str, resume: bool) -> None:
    """Raise unless the folder is missing, empty, or one to go on with."""
    if not out.exists():
        if out.is_symlink():
            raise ConfigError("is a link to nothing", "Choose another --out.", out)
        return
    if not out.is_dir():
        raise ConfigError("is no folder", "Choose a folder for --out.", out)
    there = {entry.name for entry in out.iterdir()} - {PRIVATE}
    if not there:
        return
    if marker not in there:
        strange = min(there)
        remedy = "Choose another --out: only what a command itself has begun is ever added to."
        raise ConfigError(f"is not empty (it holds {strange}), and no {what} was begun in it", remedy, out)
    if not resume:
        # An unfinished record alone is what a command leaves that stopped before its first step.
        with suppress(RareSceneError):
            if there == {RECORD} and read_record(out).finished is None:
                return
        remedy = f"Choose another --out, or add --resume to go on with the {what} in it."
        raise ConfigError("is not empty", remedy, out)
    if marker == RECORD:
        read_record(out, kind)


def _whose(private: Path) -> str:
    """Return who writes to a folder, in words."""
    try:
        told = read_json(private / _WRITER)
        command, process, machine, since = (told[name] for name in ("command", "process", "machine", "since"))
        return f"`{command}` has been writing here since {since} (process {process} on {machine})"
    except (CheckpointError, KeyError, TypeError):
        return "another command is writing here"
