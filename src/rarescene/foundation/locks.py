"""A lock on a file: one process holds it, and it is free when that process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    with suppress(ImportError):  # a Python may lack it
        import fcntl

_TRIES = 100
"""How often the folder of a lock is made anew; whoever leaves may remove it each time."""
_UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock for the length of a `with`; the file is gone afterwards.

    Args:
        path: of the lock; its folder is made, since whoever held it before may have removed that, too.
        wait: for another process that holds it.

    Yields:
        Whether it is held: false where the system or the file system knows no locks.

    Raises:
        BlockingIOError: another process holds it, and there is no waiting.
        OSError: the file cannot be written.
    """
    tries = 0
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            tries += 1
            if tries > _TRIES:
                raise
            with suppress(FileNotFoundError, FileExistsError):
                path.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            taken = _take(file, wait)
            try:
                same = os.path.samestat(os.fstat(file), path.stat())
            except FileNotFoundError:
                same = False
            if not same:
                continue  # whoever held it removed the file between our opening it and locking it
            try:
                yield taken
            finally:
                with suppress(OSError):
                    path.unlink()
            return
        finally:
            os.close(file)


def _take(file: int, wait: bool) -> bool:
    """Lock an open file. Returns false where there are no locks."""
    if sys.platform == "win32":
        while True:
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                return True
            except OSError as error:
                if not wait:
                    raise BlockingIOError from error
                time.sleep(0.1)
    elif "fcntl" in globals():
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
    return False
