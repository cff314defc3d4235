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

from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError, DeviceError, out_of_memory


def this_rank() -> PartialState:
    """Return this process's place among those that torchrun started; alone, it is rank 0 of 1.

    Left to itself, accelerate takes every process on a machine without a GPU for a single one, and each
    would do all of the work. It also takes settings of a training from variables, which are not those of the
    configuration and are overruled.

    Raises:
        ConfigError: variables of a launcher say that there are several processes, and not how they meet.
    """
    for name in [name for name in os.environ if name.startswith("ACCELERATE_") and name not in _KEPT]:
        del os.environ[name]
    several = _launched()
    return PartialState(cpu=several and not torch.cuda.is_available())


_KEPT = ("ACCELERATE_TORCH_DEVICE", "ACCELERATE_DEBUG_MODE", "ACCELERATE_CPU_AFFINITY")
_PLACE = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def _launched() -> bool:
    """Return whether a launcher started several processes; what one that did not left is removed.

    Raises:
        ConfigError: a variable is no number, or is missing where there are several processes.
    """
    remedy = "Start the command by torchrun, which sets all of them, or unset it to train alone."
    found: dict[str, int] = {}
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        text = os.environ.get(name, "")
        if text and not text.isdecimal():
            raise ConfigError(f"the variable {name} is {text!r}, which is no number", remedy)
        found[name] = int(text or 0)
    if found["WORLD_SIZE"] <= 1 and (found["RANK"] or found["LOCAL_RANK"]):
        name = "RANK" if found["RANK"] else "LOCAL_RANK"
        what = f"the variable {name} is {found[name]}, and WORLD_SIZE does not say that there are others"
        raise ConfigError(what, remedy)
    missing = [name for name in _PLACE if not os.environ.get(name)]
    if found["WORLD_SIZE"] > 1:
        if missing:
            what = f"the variable WORLD_SIZE is {found['WORLD_SIZE']}, and {missing[0]} is not set"
            raise ConfigError(what, remedy.replace("unset it", "unset WORLD_SIZE"))
        return True
    if missing:
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
    return False


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

    rank, used = this_rank(), int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    spare = torch.cuda.device_count() - used
    if rank.device.type != "cuda" or spare < 1:
        return None
    return torch.device("cuda", used + rank.local_process_index % spare)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 by itself; by emulation it takes 8 to 30 times as long."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def sensible_precision(precision: str, device: torch.device) -> str:
    """Return "no", float32, for a bfloat16 that the device would emulate, and say so; else what is given."""
    if precision != "bf16" or has_bfloat16(device):
        return precision
    if this_rank().is_main_process:
        say_once("note: this device has no bfloat16, which it would emulate slowly; float32 is taken instead")
    return "no"


@contextmanager
def within_memory(remedy: str) -> Iterator[None]:
    """Raise `DeviceError` with this remedy where the device has no memory left. Also a decorator."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        asked = (
            str(error).rpartition("] ")[2].partition(". GPU")[0].rstrip(".")
        )  # without the library's advice
        raise DeviceError(f"the device's memory is too small ({asked})", remedy) from error
