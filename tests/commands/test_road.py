"""The whole road on a user's own folder, command by command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main

from ..conftest import FRACTIONS, TINY

TRAINING = [
    "--training.steps=6", "--training.batch_size=4", "--training.log_every=3", "--training.save_every=6",
    "--training.validate_every=3", FRACTIONS,
]  # fmt: skip


@pytest.mark.slow
def test_the_road_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = "folder:my scenes"
    assert main(["phantom", "my scenes", "--videos", "6", "--frames", "8", "--size", "32"]) == 0
    assert main(["check", data]) == 0
    assert main(["stats", data, "--out", "stats.json"]) == 0
    assert {entry["name"] for entry in json.loads(Path("stats.json").read_text())["classes"]} >= {
        "blood",
        "liver",
    }

    assert main(["train", "casdm", "--data", data, "--out", "casdm", *TINY]) == 0
    command = [
        "synthesize",
        "casdm",
        "--masks",
        data,
        "--classes",
        "grasper",
        "--count",
        "6",
        "--out",
        "pairs",
        "--sampling.steps=2",
    ]
    assert main(command) == 0
    for name, extra in (
        ("without", ["none"]),
        ("with", ["offline", "--synthetic", "pairs"]),
        ("copies", ["duplicate", "--duplicate.classes", "grasper"]),
    ):
        assert main(["segment", "unet", "--data", data, "--strategy", *extra, "--out", name, *TRAINING]) == 0
        assert main(["evaluate", name, "--data", data]) == 0
    assert (
        main(["segment", "segformer", "--data", data, "--model.size=tiny", "--out", "segformer", *TRAINING])
        == 0
    )
    assert main(["evaluate", "segformer", "--data", data]) == 0

    metrics = json.loads(Path("with/metrics.json").read_text())
    assert metrics["strategy"] == "offline"
    assert 0 <= metrics["scores"]["label_mean"]["iou"] <= 1
    assert main(["compare", "without", "with", "copies", "--out", "compare.json"]) == 0
    table = json.loads(Path("compare.json").read_text())
    assert table["strategies"] == ["none", "offline", "duplicate"]

    frames = Path("frames/ward ü")
    frames.mkdir(parents=True)
    Image.fromarray(np.full((40, 56, 3), 90, np.uint8)).save(frames / "one.JPG")
    assert main(["predict", "with", "frames", "--out", "predicted"]) == 0
    with Image.open("predicted/masks/ward ü/one.png") as mask:
        assert (mask.mode, mask.size) == ("P", (56, 40))
        assert np.asarray(mask).max() < 13
    with Image.open("predicted/overlays/ward ü/one.png") as overlay:
        assert overlay.size == (56, 40)

    assert main(["report", "casdm", "pairs", "without", "with", "--out", "report.html"]) == 0
    page = Path("report.html").read_text()
    assert "Phantom scenes" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<img" in page
    out = capfd.readouterr().out
    assert "hepatic vein" in out


def test_held_out_recordings_are_guarded(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = "phantom:videos=6,frames=8,size=32"
    pairs = tmp_path / "leaky"
    command = [
        "synthesize",
        str(generator_run),
        "--masks",
        data,
        "--part",
        "test",
        "--count",
        "2",
        "--out",
        str(pairs),
        "--sampling.steps=1",
    ]
    assert main(command) == 0  # drawing them is fine: realism is measured so
    assert (
        main(
            [
                "segment",
                "unet",
                "--data",
                data,
                "--strategy",
                "offline",
                "--synthetic",
                str(pairs),
                "--out",
                str(tmp_path / "x"),
                *TRAINING,
            ]
        )
        == 2
    )
    assert "held out" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()
