"""Weights on disk: with their digest, and finite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rarescene.foundation.errors import CheckpointError, TrainingError
from rarescene.training import load_tensors, save_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "ids": torch.arange(3)}


def test_a_digest_lies_beside_the_weights_as_other_tools_read_it(tmp_path: Path) -> None:
    save_tensors(TENSORS, tmp_path / "w.safetensors")
    told = subprocess.run(["sha256sum", "-c", "w.safetensors.sha256"], cwd=tmp_path, capture_output=True)
    assert told.returncode == 0
    found = load_tensors(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors(TENSORS, path)
    save_file({**TENSORS, "a": TENSORS["a"] + 1}, path)
    with pytest.raises(CheckpointError, match=r"w\.safetensors\.sha256 tells another content") as told:
        load_tensors(path)
    assert told.value.path == path


def test_weights_without_a_digest_are_read_as_before(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors")
    assert torch.equal(load_tensors(tmp_path / "w.safetensors")["a"], TENSORS["a"])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_neither_saved_nor_read(wrong: float, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors(TENSORS, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    broken = {**TENSORS, "b": torch.tensor([1.0, wrong])}
    with pytest.raises(TrainingError, match="b is not finite"):
        save_tensors(broken, path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    save_file(broken, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not finite, in b"):
        load_tensors(tmp_path / "other.safetensors")
