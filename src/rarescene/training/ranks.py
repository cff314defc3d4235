"""The processes that torchrun started, on GPUs and on processors alike."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState


def this_rank() -> PartialState:
    """Return this process's place among those that torchrun started; alone, it is rank 0 of 1.

    Left to itself, accelerate takes every process on a machine without a GPU for a single one, and each
    would do all of the work.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=several and not torch.cuda.is_available())
