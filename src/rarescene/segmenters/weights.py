"""Trained segmenters on disk: safetensors beside a JSON file, never pickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import CheckpointError, ConfigError, TrainingError
from rarescene.foundation.files import atomic, read_json, regular, write_json
from rarescene.foundation.plugins import method_for, method_of, package_of
from rarescene.scenes import ClassTable
from rarescene.segmenters.base import SegmentationNetwork
from rarescene.training.checkpoints import not_finite

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
RESTORE = "Restore the folder from where it was written, or train the segmenter again."


def build_segmenter(config: Any, classes: int, ignore_index: int = 255) -> SegmentationNetwork:
    """Return the segmenter that `config` describes, ready to be trained.

    Its weights come from torch's global random generator, and from where `config` names weights that were
    learned before.

    Args:
        config: the configuration of any segmenter that is known here.
        classes: number of classes C.
        ignore_index: id of the pixels that are not labelled.
    """
    network: SegmentationNetwork = method_for("segmenters", config).build(config, classes, ignore_index)
    network.take_pretrained()
    return network


def save_segmenter(segmenter: SegmentationNetwork, folder: Path, classes: ClassTable) -> None:
    """Write `weights.safetensors`, and `config.json` with the network's options and classes, into `folder`.

    Raises:
        TrainingError: a weight is not finite.
        DataError: the folder cannot be written. A save that was cut short is recognised by `load_segmenter`.
    """
    state = segmenter.state_dict()
    if (wrong := not_finite(state)) is not None:
        raise TrainingError(f"{wrong} is not finite, and nothing is saved", RESTORE, folder / WEIGHTS)
    weights = save({segmenter.name_in_file(name): value.cpu().contiguous() for name, value in state.items()})
    with atomic(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)
    method = method_for("segmenters", segmenter.config)
    description = {
        "segmenter": method.name,
        **package_of(method),
        "config": asdict(segmenter.config),
        "classes": classes.to_dict(),
        "weights": _digest(weights),
    }
    write_json(folder / CONFIG, description)


def load_segmenter(folder: Path, classes: ClassTable | None = None) -> tuple[SegmentationNetwork, ClassTable]:
    """Return the segmenter that `save_segmenter` wrote, in evaluation mode on the CPU, and its class table.

    Args:
        folder: what `save_segmenter` wrote into.
        classes: the class table of the data that the segmenter is wanted for, if it is known.

    Raises:
        CheckpointError: a file is missing or damaged, or the segmenter was trained for other classes.
    """
    path = folder / CONFIG
    config, table, digest = _parse(read_json(path), path)
    if classes is not None and classes.fingerprint != table.fingerprint:
        what = (
            f"this segmenter was trained on the classes of {table.name!r} ({', '.join(table.names)}), "
            f"but the data have those of {classes.name!r} ({', '.join(classes.names)})"
        )
        raise CheckpointError(what, "Choose the data it was trained for, or train one on these data.", path)

    path = folder / WEIGHTS
    try:
        content = regular(path).read_bytes()
        state = load(content)
    except OSError as error:
        raise CheckpointError("is missing or cannot be read", RESTORE, path) from error
    except SafetensorError as error:
        raise CheckpointError(f"is damaged ({error})", RESTORE, path) from error
    if _digest(content) != digest:
        raise CheckpointError(f"is damaged, or does not belong to the {CONFIG} beside it", RESTORE, path)
    if (wrong := not_finite(state)) is not None:
        raise CheckpointError(f"holds numbers that are not finite, in {wrong}", RESTORE, path)

    with torch.random.fork_rng(devices=[]):  # loading takes nothing from the caller's random numbers
        method = method_for("segmenters", config)
        segmenter: SegmentationNetwork = method.build(config, len(table), table.ignore_index)
    named = {name: state.get(segmenter.name_in_file(name)) for name in segmenter.state_dict()}
    try:
        segmenter.load_state_dict({name: value for name, value in named.items() if value is not None})
    except RuntimeError as error:
        raise CheckpointError(f"does not fit the network of {CONFIG} ({error})", RESTORE, path) from error
    return segmenter.eval(), table


def _parse(value: Mapping[str, Any], path: Path) -> tuple[Any, ClassTable, str]:
    try:
        method = method_of("segmenters", value["segmenter"], value.get("package"), path)
        config = config_from(method.config, value["config"])
        return config, ClassTable.from_dict(value["classes"]), str(value["weights"])
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"is not the description of a segmenter ({error!r})", RESTORE, path) from error


def _digest(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()
