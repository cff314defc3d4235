"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError, DataError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes its place, on failure nothing is left.

    The temporary name keeps the suffix, since image libraries choose the format by it. A failing write (a full
    disk, a folder without permission) is reported as a `DataError` that names `path`.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        remedy = "Free some space or choose another folder; files written before are whole, so the command can be resumed."
        raise DataError(f"could not be written ({error.strerror or error})", remedy, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a `CheckpointError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError("is missing or cannot be read", "Check the path; is this the folder of a finished run?", path) from error
    except ValueError as error:
        raise CheckpointError(f"is not valid JSON ({error})", "Restore the file, or run the command again that wrote it.", path) from error


def file_hash(path: Path) -> str:
    """Return a short SHA-256 of a file's content. Raises `CheckpointError` when it is missing."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise CheckpointError("is missing or cannot be read", "Check the path of the run.", path) from error
