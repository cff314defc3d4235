"""Errors that a user can act upon. Each says what is wrong, where, and what to do."""

from __future__ import annotations

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
