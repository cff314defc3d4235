from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rarescene.foundation.errors import CheckpointError, DataError, TrainingError
from rarescene.scenes import ClassTable, SceneClass
from rarescene.segmenters import UNetConfig, build_segmenter, load_segmenter, save_segmenter

CONFIG = UNetConfig(widths=(8, 16))


def table(*names: str, colour: int = 0) -> ClassTable:
    return ClassTable("a table", tuple(SceneClass(i, name, (colour, i, i)) for i, name in enumerate(names)))


CLASSES = table("liver", "vein", "duct")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_segmenter(build_segmenter(CONFIG, len(CLASSES)), tmp_path / "run", CLASSES)
    return tmp_path / "run"


def test_the_folder_holds_two_plain_files(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "weights.safetensors"]
    description = json.loads((run / "config.json").read_text())
    assert description["segmenter"] == "unet"
    assert description["config"] == {
        "widths": [8, 16], "dice": 1.0, "dropout": 0.0, "encoder": "scratch"
    }  # fmt: skip
    assert ClassTable.from_dict(description["classes"]) == CLASSES
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads((run / "weights.safetensors").read_bytes())


def test_colours_may_change_but_names_may_not(run: Path) -> None:
    load_segmenter(run, table("liver", "vein", "duct", colour=9))
    load_segmenter(run)
    with pytest.raises(CheckpointError, match="'a table' \\(liver, vein, duct\\)") as caught:
        load_segmenter(run, table("liver", "vein", "artery"))
    assert caught.value.path == run / "config.json"
    assert caught.value.remedy


def test_loading_draws_no_random_number(run: Path) -> None:
    before = torch.random.get_rng_state()
    load_segmenter(run)
    assert torch.equal(before, torch.random.get_rng_state())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def drop_a_weight(path: Path) -> None:
    state = load_file(path)
    state.popitem()
    save_file(state, path)


@pytest.mark.parametrize(
    "damage", [cut, flip_a_bit, drop_a_weight, Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_damaged_weights_are_named(run: Path, damage) -> None:  # type: ignore[no-untyped-def]
    damage(run / "weights.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_segmenter(run)
    assert caught.value.path == run / "weights.safetensors"
    assert caught.value.remedy


@pytest.mark.parametrize(
    "change",
    [
        {"segmenter": "transformer of tomorrow"},
        {"config": {"depth": 3}},
        {"config": {"widths": [7]}},
        {"config": None},
        {"classes": []},
        {"classes": {"name": "empty", "classes": []}},
    ],
)
def test_a_damaged_description_is_named(run: Path, change: dict[str, object]) -> None:
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError) as caught:
        load_segmenter(run)
    assert caught.value.path == path


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "{"])
def test_a_description_that_is_none_is_named(run: Path, text: str) -> None:
    (run / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        load_segmenter(run)


def test_weights_of_another_network_are_refused(run: Path, tmp_path: Path) -> None:
    save_segmenter(build_segmenter(UNetConfig(widths=(16, 24)), len(CLASSES)), tmp_path / "other", CLASSES)
    description = json.loads((tmp_path / "other" / "config.json").read_text())
    description["config"]["widths"] = [8, 16]
    (tmp_path / "other" / "config.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_segmenter(tmp_path / "other")
    shutil.copy(run / "weights.safetensors", tmp_path / "other")
    with pytest.raises(CheckpointError, match="does not belong"):
        load_segmenter(tmp_path / "other")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(DataError) as caught:
        save_segmenter(build_segmenter(CONFIG, len(CLASSES)), tmp_path / "taken", CLASSES)
    assert caught.value.path == tmp_path / "taken" / "weights.safetensors"


def test_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_segmenter(tmp_path / "nothing")
    assert caught.value.path == tmp_path / "nothing" / "config.json"


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(run: Path, tmp_path: Path) -> None:
    segmenter = build_segmenter(CONFIG, len(CLASSES))
    next(segmenter.parameters()).data[0] = float("nan")
    with pytest.raises(TrainingError, match="is not finite"):
        save_segmenter(segmenter, tmp_path / "other", CLASSES)
    assert not (tmp_path / "other").exists()
    state = load_file(run / "weights.safetensors")
    next(iter(state.values()))[:] = float("inf")
    save_file(state, run / "weights.safetensors")
    description = json.loads((run / "config.json").read_text())
    description["weights"] = hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()
    (run / "config.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="not finite"):
        load_segmenter(run)
