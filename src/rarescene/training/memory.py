"""A device whose memory is too small, told as an error that a user can act upon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rarescene.foundation.errors import DeviceError


@contextmanager
def within_memory(remedy: str) -> Iterator[None]:
    """Raise `DeviceError` with this remedy where the device has no memory left. Also a decorator."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        asked = str(error).partition(". GPU")[0].rstrip(".")  # what follows is the library's own advice
        raise DeviceError(f"the device's memory is too small ({asked})", remedy) from error
