"""The processes that torchrun started, on GPUs and on processors alike."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor


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
