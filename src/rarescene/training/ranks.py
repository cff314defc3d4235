"""The processes that torchrun started, on GPUs and on processors alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor

from rarescene.foundation.errors import DeviceError


def this_rank() -> PartialState:
    """Return this process's place among those that torchrun started; alone, it is rank 0 of 1.

    Left to itself, accelerate takes every process on a machine without a GPU for a single one, and each
    would do all of the work.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=several and not torch.cuda.is_available())


def over_ranks(values: Tensor) -> Tensor:
    """Return the values of all ranks, joined along the first dimension; every rank must call it alike."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean of the values over all ranks; every rank must call it alike."""
    return over_ranks(values[None]).mean(0)


def agreed(value: Any) -> Any:
    """Return on every rank the value that rank 0 passes; every rank must call it alike."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    box = [value]
    broadcast_object_list(box)
    return box[0]


def is_main_process() -> bool:
    """Return whether this is the only process, or the first of those that torchrun started."""
    return bool(this_rank().is_main_process)


def processes() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(this_rank().num_processes)


def accelerator() -> str | None:
    """Return the names of the GPUs, for a run record; None without one."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(names) or None


def spare_device() -> torch.device | None:
    """Return a GPU of this machine that no process of the training runs on, or None."""
    import torch

    rank, used = this_rank(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    spare = torch.cuda.device_count() - used
    if rank.device.type != "cuda" or spare < 1:
        return None
    return torch.device("cuda", used + rank.local_process_index % spare)


@contextmanager
def within_memory(remedy: str) -> Iterator[None]:
    """Raise `DeviceError` with this remedy where the device has no memory left. Also a decorator."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        asked = str(error).partition(". GPU")[0].rstrip(".")  # what follows is the library's own advice
        raise DeviceError(f"the device's memory is too small ({asked})", remedy) from error
