"""Which processes there are, and what a device without memory says."""

from __future__ import annotations

import os

import pytest
import torch

from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError, DeviceError
from rarescene.training import ranks
from rarescene.training.ranks import _launched, this_rank, within_memory

VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
WHOLE = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what is removed comes back
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "left", [{}, {"WORLD_SIZE": ""}, {"LOCAL_RANK": "0"}, {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}]
)
def test_what_a_launcher_left_behind_is_passed_over(
    left: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    assert not _launched()
    assert [name for name in VARIABLES if name in os.environ] == []  # or the library would wait for others


def test_a_launcher_that_says_all_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    assert _launched()
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not _launched()
    assert os.environ["WORLD_SIZE"] == "1"


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_half_of_a_launchers_variables_are_refused(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WHOLE.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"WORLD_SIZE is 2, and {missing} is not set") as told:
        _launched()
    assert "torchrun" in told.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("WORLD_SIZE", "two", "WORLD_SIZE is 'two'"),
        ("WORLD_SIZE", "-1", "WORLD_SIZE is '-1'"),
        ("RANK", "1", "RANK is 1, and WORLD_SIZE"),
        ("LOCAL_RANK", "3", "LOCAL_RANK is 3, and WORLD_SIZE"),
    ],
)
def test_a_variable_that_cannot_be_is_named(
    name: str, value: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=what):
        _launched()


def test_the_librarys_own_variables_change_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    monkeypatch.setenv("ACCELERATE_DEBUG_MODE", "false")
    this_rank()
    assert [name for name in os.environ if name.startswith("ACCELERATE_")] == ["ACCELERATE_DEBUG_MODE"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError("Unable to allocate 2 GiB"),
    ],
)  # fmt: skip
def test_a_device_without_memory_names_the_remedy(error: Exception) -> None:
    with pytest.raises(DeviceError, match="memory is too small") as told, within_memory("Lower it."):
        raise error
    assert told.value.remedy == "Lower it."


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"), within_memory("Lower it."):
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize(("has", "taken"), [(True, "bf16"), (False, "no")])
def test_a_precision_that_would_be_emulated_is_not_taken(
    has: bool, taken: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ranks, "has_bfloat16", lambda device: has)
    say_once.cache_clear()
    processor = torch.device("cpu")
    assert ranks.sensible_precision("bf16", processor) == taken
    assert ("float32 is taken instead" in capfd.readouterr().out) is not has
    assert [ranks.sensible_precision(one, processor) for one in ("no", "fp16")] == ["no", "fp16"]
