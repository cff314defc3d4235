"""Errors that a user can act upon. Each says what is wrong, where, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path


class RareSceneError(Exception):
    """A fault of the input or the surroundings, never of the program; the command line exits with 2.

    Args:
        what: what was found and what was expected.
        remedy: what the user can do about it.
        path: the file or folder concerned.
    """

    def __init__(self, what: str, remedy: str, path: Path | str | None = None) -> None:
        super().__init__(what, remedy, path)
        self.what = what
        self.remedy = remedy
        self.path = None if path is None else Path(path)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path is not None else ""
        return f"{where}{self.what}\n{self.remedy}"


class DataError(RareSceneError):
    """A data set cannot be read as it lies on disk."""


class ConfigError(RareSceneError):
    """An option or a configuration file asks for something that does not exist or does not fit."""


class CheckpointError(RareSceneError):
    """A run folder or its weights are missing, damaged, or belong to something else."""


class LeakError(RareSceneError):
    """A generator or a synthetic set saw recordings that are held out here."""


class DeviceError(RareSceneError):
    """The device cannot do what was asked, for instance because its memory is too small."""


class TrainingError(RareSceneError):
    """Training cannot go on, for instance because the loss is no longer finite."""


_REMEDIES = {
    errno.ENOSPC: "Free some space; what was written before is whole.",
    errno.EDQUOT: "Free some space; what was written before is whole.",
    errno.EACCES: "Change the permissions, or choose another place.",
    errno.EPERM: "Change the permissions, or choose another place.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Remove the links that lead back to themselves.",
    errno.ENOENT: "Check the path.",
    errno.EMFILE: "Raise the number of files that a process may open: `ulimit -n 4096`.",
}


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says, on whatever device, that memory ran out."""
    words = ("can't allocate memory", "Cannot allocate memory", "std::bad_alloc", "can't start new thread")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which is not imported here
        or (isinstance(error, RuntimeError | OSError) and any(word in str(error) for word in words))
    )


def machine_fault(error: BaseException) -> RareSceneError | None:
    """Return what a user can act upon where the machine refused: a file, memory, an encoding; else None."""
    if out_of_memory(error):
        remedy = "Take smaller pictures, fewer of them at once, or free some memory."
        return DeviceError("the memory of this machine is too small", remedy)
    if isinstance(error, OSError):
        code = -1 if error.errno is None else error.errno
        remedy = _REMEDIES.get(code, "Check the path, and the disk or the network that it lies on.")
        what = f"the machine refuses it ({error.strerror or error})"
        return DataError(what, remedy, None if error.filename is None else str(error.filename))
    if isinstance(error, UnicodeError):
        what = f"a name or a text is not UTF-8 ({error})"
        return DataError(what, "Rename the file, or save the text as UTF-8.")
    if isinstance(error, RecursionError):
        return DataError("something that was read is nested too deeply", "Restore the file.")
    return None
