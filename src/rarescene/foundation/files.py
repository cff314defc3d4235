"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError

PRIVATE = ".rarescene"
"""What a command keeps in its --out while it writes: the lock, who holds it, and files that are not whole."""

_PARTIAL = "partial"
_places: list[tuple[Path, Path]] = []


@contextmanager
def begun_in(home: Path, target: Path) -> Iterator[None]:
    """Begin `target`, or files below it, in a private place of `home`, which `drop_partial` removes."""
    place = target.absolute(), home.absolute() / PRIVATE / _PARTIAL
    _places.append(place)
    try:
        yield
    finally:
        _places.remove(place)


def drop_partial(folder: Path) -> None:
    """Remove what a killed command had begun in a folder, and nothing else."""
    shutil.rmtree(folder / PRIVATE / _PARTIAL, ignore_errors=True)


def need_ordinary(path: Path) -> None:
    """Raise `DataError` where a link, a folder, a device or anything else than a file is in the way."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        remedy = "Choose another name; links, folders and devices are never replaced."
        raise DataError("is no ordinary file", remedy, path)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on success it takes the place of `path`, on failure nothing is left.

    The temporary name keeps the suffix, since image libraries choose the format by it. A failing write (a
    full disk, a folder without permission) is reported as a `DataError` that names `path`; so is a place that
    holds a link, a device or anything else than a file.
    """
    path = Path(path)
    temporary = _beginning_of(path)
    try:
        need_ordinary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        os.close(
            os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        )  # with the user's own permissions
        mode = temporary.stat().st_mode
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(mode)  # a library may have put a private file of its own in this place
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it takes the place of `path`, which is missing or empty."""
    temporary = _beginning_of(Path(path))
    try:
        temporary.mkdir(parents=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beginning_of(path: Path) -> Path:
    """Return where to begin a file or folder: with the command that writes there, or else beside it."""
    name = f"{uuid.uuid4().hex}{path.suffix}"
    for target, place in reversed(_places):
        if path.absolute().is_relative_to(target) and _one_device(place.parent, path.parent):
            return place / name
    return path.with_name(f".partial-{name}")


def _one_device(folder: Path, other: Path) -> bool:
    """Return whether a file can move from one folder to the other, of which the second may be yet to come."""
    try:
        return folder.stat().st_dev == other.stat().st_dev
    except FileNotFoundError:
        return True


def _unwritable(path: Path, error: OSError) -> DataError:
    remedy = (
        "Free some space or choose another folder; files written before are whole, "
        "so the command can be resumed."
    )
    return DataError(f"could not be written ({error.strerror or error})", remedy, path)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    return regular(path).read_text(encoding="utf-8-sig")


def regular(path: Path) -> Path:
    """Return the path of a file that can be read to its end. Raises `OSError` for a pipe, which may hang."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return Path(path)


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; unlike the standard library, numbers are finite and depth is bounded.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return bounded(value)


def bounded(value: Any, most: float = math.inf) -> Any:
    """Return a JSON or YAML value of at most 100 levels and so many lists and objects.

    Raises:
        ValueError: it has more, perhaps endlessly many: a YAML file of ten lines can.
    """
    level, depth, count = [value], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > _DEPTH:
            raise ValueError("it is nested too deeply")
        if count > most:
            raise ValueError("it becomes too large where it is written out")
        level = [one for found in level for one in _entries(found) if isinstance(one, (dict, list))]
    return value


_DEPTH = 100


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a `CheckpointError` that names it."""
    try:
        return parse_json(read_text(path))
    except OSError as error:
        raise CheckpointError(
            "is missing or cannot be read", "Check the path; is this the folder of a finished run?", path
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"is not valid JSON ({error})", "Restore the file, or run the command again that wrote it.", path
        ) from error


def write_json_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one line of JSON for each value, atomically."""
    write_text(path, "".join(map(_json_line, lines)))


def append_json_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line of JSON to a file. A failing write is a `DataError` that names it."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_json_line(line))
    except OSError as error:
        raise _unwritable(path, error) from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON-lines file, without one that a kill cut off; a missing file has none."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            if isinstance(line := parse_json(text), dict):
                lines.append(line)
    return lines


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the lines of a training's log, each a step and numbers by name; whatever else is left out."""
    return [
        line
        for line in read_json_lines(path)
        if "step" in line and all(type(value) in (int, float) for value in line.values())
    ]


def expanded(path: str | Path) -> Path:
    """Return a path whose tilde is the home folder. Raises `ConfigError` where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"there is no home folder for {path}", "Write the path without a tilde.") from error


def _json_line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content. Raises `OSError` when it is missing."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """Return a short SHA-256 of a file's content. Raises `CheckpointError` when it is missing."""
    try:
        return sha256(path)[:16]
    except OSError as error:
        raise CheckpointError("is missing or cannot be read", "Check the path of the run.", path) from error
