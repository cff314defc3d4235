"""Real files through all of GAUDA: loader, both VQ-GANs, joint generator, a refresh of the strategy.

The trainings are far too short to learn anything: real frames and masks shall need no case of their own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rarescene.augmentation.refresh_log import REFRESHES
from rarescene.cli import main
from rarescene.foundation.files import read_json_lines
from rarescene.reports.refreshes_page import PAGE
from rarescene.scenes import open_scenes

from ..conftest import FRACTIONS, TINY_JOINT, TINY_VQGAN


def walk_the_road(data: list[str], out: Path) -> list[dict]:
    """Run the four commands and return the refreshes of the last one."""

    def run(*words: str) -> None:
        assert main([*words, *data]) == 0

    alike = [word for word in TINY_VQGAN if word != FRACTIONS]
    run("train", "image-vqgan", "--out", str(out / "images"), "--model.perceptual_size=32", *alike)
    run("train", "mask-vqgan", "--out", str(out / "masks"), *alike)
    joint = [word for word in TINY_JOINT if word != FRACTIONS]
    runs = ["--images", str(out / "images"), "--masks", str(out / "masks")]
    run("train", "joint", *runs, "--out", str(out / "joint"), *joint)
    run(
        "segment", "unet-ensemble", "--strategy", "gauda", "--generator", str(out / "joint"),
        "--out", str(out / "gauda"), "--model.members=2", "--model.widths=[8,16]", "--training.steps=4",
        "--training.batch_size=4", "--training.validate_every=2", "--training.mixed_precision=no",
        "--gauda.size=3", "--gauda.classes=2", "--gauda.samples=2", "--gauda.probability=0.5",
        "--sampling.steps=2", "--sampling.block=3",
    )  # fmt: skip
    assert (out / "gauda" / PAGE).is_file()
    return read_json_lines(out / "gauda" / REFRESHES)


def check_reconstruction(run: Path, shown: set[str]) -> None:
    """Each class that the real masks show is judged in the report of the mask VQ-GAN."""
    report = json.dumps(json.loads((run / "reconstruction.json").read_text(encoding="utf-8")))
    assert all(name in report for name in shown)


@pytest.mark.slow
def test_the_real_clip(real_clip: Path, tmp_path: Path) -> None:
    refreshes = walk_the_road(
        ["--data", f"cholecseg8k:{real_clip}", "--split", "time", "--fractions=[0.6,0.2,0.2]"], tmp_path
    )
    first = refreshes[0]
    shown = {name for name, value in first["lead"].items() if value is not None}
    assert {"liver", "fat", "grasper"} <= shown  # what the clip's masks show is predicted or labelled
    assert len(first["classes"]) == 2
    assert first["drawn"] == first["kept"] == 3
    check_reconstruction(tmp_path / "masks", {"liver", "fat", "grasper"})


@pytest.mark.slow
def test_the_real_cadis_pair(real_cadis: Path, tmp_path: Path) -> None:
    """The one real pair stands in four videos, so that each part of the split has a scene."""
    for video in (1, 2, 3, 4):
        for kind, folder in (("image", "Images"), ("label", "Labels")):
            place = tmp_path / "CaDIS" / f"Video{video:02d}" / folder / f"Video{video}_frame000090.png"
            place.parent.mkdir(parents=True)
            shutil.copyfile(real_cadis / "one_pair" / f"sample_{kind}.png", place)
    spec = f"cadis:{tmp_path / 'CaDIS'},setting=2"
    refreshes = walk_the_road(["--data", spec, "--fractions=[0.5,0.25,0.25]"], tmp_path)
    scenes = open_scenes(spec)
    seen = {scenes.classes.names[i] for i in np.unique(scenes[0].mask) if i != scenes.classes.ignore_index}
    lead = {name for name, value in refreshes[0]["lead"].items() if value is not None}
    assert {"pupil", "iris", "cornea"} <= seen <= lead
    assert refreshes[0]["drawn"] == 3


def test_the_real_cadis_maps(real_cadis: Path, tmp_path: Path) -> None:
    """The mask VQ-GAN needs no images."""
    words = [word for word in TINY_VQGAN if word != FRACTIONS]
    data = ["--data", f"cadis:{real_cadis},setting=2,images=no", "--fractions=[0.7,0.1,0.2]"]
    assert main(["train", "mask-vqgan", "--out", str(tmp_path / "masks"), *words, *data]) == 0
    check_reconstruction(tmp_path / "masks", {"pupil", "iris", "cornea"})
