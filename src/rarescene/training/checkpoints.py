"""Checkpoints as safetensors and JSON: written whole, read without unpickling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rarescene.foundation.errors import CheckpointError, DataError, TrainingError
from rarescene.foundation.files import (
    atomic,
    atomic_folder,
    read_json,
    read_text,
    regular,
    sha256,
    write_json,
    write_text,
)

EARLIER = "Restore the file, or go on from an earlier checkpoint by deleting this one's folder."
DIGEST = ".sha256"
"""What is added to the name of a weights file for the one that holds its digest, as `sha256sum` writes it."""
_STEP = re.compile(r"step_(\d{8})$")


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors as one safetensors file, whole or not at all, and its digest beside it.

    Raises:
        DataError: the file cannot be written.
        TrainingError: a number is not finite, and what is there already stays.
    """
    if (name := not_finite(tensors)) is not None:
        remedy = "Go on from an earlier checkpoint, with a lower learning rate."
        raise TrainingError(f"{name} is not finite, and nothing is saved", remedy, path)
    digest = path.with_name(path.name + DIGEST)
    digest.unlink(missing_ok=True)  # a kill from here on leaves no digest, and never a wrong one
    with atomic(path) as temporary:
        try:
            save_file(
                {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()},
                temporary,
            )
        except SafetensorError as error:  # the library's word for a full disk
            raise OSError(str(error)) from error
    write_text(digest, f"{sha256(path)}  {path.name}\n")


def saved(path: Path) -> bool:
    """Return whether `save_tensors` came to its end there: it writes the digest last."""
    return path.is_file() and path.with_name(path.name + DIGEST).is_file()


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: it is missing, damaged or not what was written, or a number is not finite.
    """
    digest = path.with_name(path.name + DIGEST)
    try:
        tensors = load_file(regular(path))
        written = read_text(digest).split()[:1] if digest.is_file() else []
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"weights are missing or damaged ({error})", EARLIER, path) from error
    if digest.is_file() and written != [sha256(path)]:
        raise CheckpointError(f"is damaged: {digest.name} tells another content", EARLIER, path)
    if (name := not_finite(tensors)) is not None:
        raise CheckpointError(f"holds numbers that are not finite, in {name}", EARLIER, path)
    return tensors


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or an infinity, or None."""
    wrong = (name for name, value in tensors.items() if not bool(torch.isfinite(value).all()))
    return next(wrong, None)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a module's weights.

    Raises:
        CheckpointError: the file is damaged, or belongs to another network.
    """
    try:
        module.load_state_dict(load_tensors(path))
    except RuntimeError as error:
        remedy = "Use the configuration that the weights were trained with; it lies in the same run folder."
        raise CheckpointError(
            f"the weights do not fit the network ({str(error).splitlines()[-1].strip()})", remedy, path
        ) from error


def save_checkpoint(
    folder: Path,
    step: int,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write the checkpoint after `step` steps, a folder that appears whole; only the newest `keep` stay."""
    place = folder / f"step_{step:08d}"
    try:
        with atomic_folder(place) as partial:
            for name, module in modules.items():
                save_tensors(module.state_dict(), partial / f"{name}.safetensors")
            moments = optimiser.state_dict()["state"]
            tensors = {
                f"{index}.{key}": torch.as_tensor(value)
                for index, entry in moments.items()
                for key, value in entry.items()
            }
            save_tensors(tensors, partial / "optimiser.safetensors")
            write_json(partial / "state.json", {"step": step, "files": [*modules, "optimiser"], **state})
            _remove(place)
    except (OSError, DataError) as error:
        remedy = "Free some space and add --resume; the checkpoints before this one are whole."
        raise DataError(f"the checkpoint could not be written ({_reason(error)})", remedy, place) from error
    for old in checkpoints(folder)[:-keep]:
        _remove(old)
    return place


def _remove(place: Path) -> None:
    """Remove the files that a checkpoint names as its own, their list last, and the folder if it is empty."""
    if not (place / "state.json").is_file():
        return
    state = read_json(place / "state.json")
    told = state.get("files") if isinstance(state, dict) else None
    for name in told if isinstance(told, list) else ("learner", "average", "optimiser"):
        if Path(str(name)).name == str(name):  # a damaged list leads nowhere else
            (place / f"{name}.safetensors").unlink(missing_ok=True)
            (place / f"{name}.safetensors{DIGEST}").unlink(missing_ok=True)
    (place / "state.json").unlink()
    with suppress(OSError):
        place.rmdir()


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints in a folder, and nothing that lies beside or in them."""
    for place in checkpoints(folder):
        _remove(place)


def _reason(error: OSError | DataError) -> str:
    cause = error.__cause__ if isinstance(error, DataError) else error
    return str(getattr(cause, "strerror", None) or cause)


def load_checkpoint(
    place: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Take up a checkpoint and return its JSON state, which holds at least `step`.

    Raises:
        CheckpointError: a file is missing or damaged, or belongs to another network.
    """
    for name, module in modules.items():
        load_weights(module, place / f"{name}.safetensors")
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in load_tensors(place / "optimiser.safetensors").items():
        index, _, key = name.partition(".")
        if not index.isdecimal():
            raise CheckpointError("is not the state of an optimiser", EARLIER, place)
        moments.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    state = read_json(place / "state.json")
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise CheckpointError("is not the state of a checkpoint", EARLIER, place / "state.json")
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints in a folder, oldest first."""
    whole = folder.glob("step_*/state.json")
    return sorted(path.parent for path in whole if _STEP.search(path.parent.name))
