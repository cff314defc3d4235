"""Phantom scenes as files: both layouts hold the very scenes, and a broken run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import DataError
from rarescene.foundation.files import read_json
from rarescene.scenes import PhantomConfig, phantom_scenes, write_phantom
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K, WATERSHED_CODES

CONFIG = PhantomConfig(videos=2, frames=3, height=40, width=64, seed=3)


def test_folder_layout_round_trip(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_phantom(CONFIG, tmp_path, "folder", lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]
    assert ClassTable.from_dict(read_json(tmp_path / "classes.json")) == CHOLECSEG8K
    for scene in phantom_scenes(CONFIG):
        image = Image.open(tmp_path / "images" / f"{scene.record.name}.png")
        mask = Image.open(tmp_path / "masks" / f"{scene.record.name}.png")
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), scene.image)
        np.testing.assert_array_equal(np.asarray(mask), scene.mask)
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), CHOLECSEG8K.colourise(scene.mask))
    assert "phantom" in (tmp_path / "README.txt").read_text(encoding="utf-8")


def test_cholecseg8k_layout_round_trip(tmp_path: Path) -> None:
    config = PhantomConfig(videos=1, frames=82, height=32, width=32)
    write_phantom(config, tmp_path, "cholecseg8k")
    codes = np.array(WATERSHED_CODES, np.uint8)
    for index, scene in enumerate(phantom_scenes(config)):
        clip = tmp_path / "video01" / ("video01_00000" if index < 80 else "video01_00080")
        read = {
            kind: np.asarray(Image.open(clip / f"frame_{index}_endo{kind}.png"))
            for kind in ("", "_mask", "_color_mask", "_watershed_mask")
        }
        assert all(array.shape == (32, 32, 3) for array in read.values())
        np.testing.assert_array_equal(read[""], scene.image)
        np.testing.assert_array_equal(read["_color_mask"], CHOLECSEG8K.colourise(scene.mask))
        np.testing.assert_array_equal(read["_watershed_mask"][..., 0], codes[scene.mask])
        strokes = read["_mask"][..., 0]
        assert set(np.unique(strokes)) <= {0, *WATERSHED_CODES}
        assert 0.3 < (strokes == 0).mean() < 1, "strokes leave most of the frame unmarked"


def test_a_broken_run_goes_on_and_keeps_what_is_there(tmp_path: Path) -> None:
    write_phantom(CONFIG, tmp_path)
    kept, lost = tmp_path / "images/video01_frame_00000.png", tmp_path / "masks/video02_frame_00001.png"
    before, whole = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    write_phantom(CONFIG, tmp_path)
    assert lost.read_bytes() == whole
    assert kept.stat().st_mtime_ns == before


def test_what_a_user_wrote_into_the_table_and_the_note_is_kept(tmp_path: Path) -> None:
    write_phantom(CONFIG, tmp_path)
    for name in ("classes.json", "README.txt"):
        (tmp_path / name).write_text("mine")
    write_phantom(CONFIG, tmp_path)
    assert [(tmp_path / name).read_text() for name in ("classes.json", "README.txt")] == ["mine"] * 2


def test_other_scenes_are_not_mixed_in(tmp_path: Path) -> None:
    write_phantom(CONFIG, tmp_path)
    with pytest.raises(DataError, match="another kind"):
        write_phantom(PhantomConfig(videos=2, frames=3, height=40, width=64, seed=4), tmp_path)
    with pytest.raises(DataError, match="another kind"):
        write_phantom(CONFIG, tmp_path, "cholecseg8k")
    with pytest.raises(DataError, match="no layout"):
        write_phantom(CONFIG, tmp_path / "new", "coco")  # type: ignore[arg-type]
