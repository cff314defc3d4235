"""A working folder with a sound data set, small runs to spoil, and what every refusal must keep."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main

from ..conftest import BRIEF

TABLE = {
    "name": "mine",
    "classes": [
        {"id": 0, "name": "background", "colour": [10, 10, 10]},
        {"id": 1, "name": "liver", "colour": [255, 114, 114]},
        {"id": 2, "name": "vein", "colour": [0, 50, 128]},
    ],
}
IDS = np.array([[0, 1, 2, 1], [1, 1, 255, 0], [0, 0, 2, 2]], np.uint8).repeat(8, 0).repeat(8, 1)
COLOURS = np.array([(10, 10, 10), (255, 114, 114), (0, 50, 128)], np.uint8)[np.minimum(IDS, 2)]
FRAME = np.random.default_rng(0).integers(0, 256, (*IDS.shape, 3), np.uint8)
TRAIN = ["--split", "time", "--fractions=[0.5,0,0.5]", *(word for word in BRIEF if "fractions" not in word)]
HURT = "case1_frame2"


def save(path: str, values: np.ndarray, mode: str | None = None) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


def truncate(path: str) -> str:
    Path(path).write_bytes(Path(path).read_bytes()[:-60])
    return path


def write(path: str, text: str) -> str:
    Path(path).write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sound data set `mine`: three recordings of two frames."""
    monkeypatch.chdir(tmp_path)
    for case in (1, 2, 3):
        for frame in (1, 2):
            save(f"mine/images/case{case}_frame{frame}.png", FRAME)
            save(f"mine/masks/case{case}_frame{frame}.png", IDS)
    write("mine/classes.json", json.dumps(TABLE))
    return tmp_path


def tree() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def refused(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; return its message. Nothing may have been written or changed."""
    before = tree()
    assert main(words) == 2
    message = capfd.readouterr().err
    assert "Traceback" not in message
    assert message.startswith("error ")
    assert len(message.split("\nremedy ")[1]) > 10
    assert {name: content for name, content in tree().items() if name not in before} == {}
    assert tree() == before
    return message


@pytest.fixture
def runs(desk: Path, generator_run: Path, pairs: Path, segmenter_run: Path) -> dict[str, str]:
    """Copies of small runs, in the working folder, to be spoilt."""
    found = {"casdm": generator_run, "pairs": pairs, "none": segmenter_run}
    for name, folder in found.items():
        shutil.copytree(folder, name)
    return {name: name for name in found}
