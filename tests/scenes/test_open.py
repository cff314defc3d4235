from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rarescene.scenes
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import (
    CHOLECSEG8K,
    PhantomConfig,
    SceneSetWriter,
    open_scenes,
    phantom_scenes,
    scan_scenes,
    write_phantom,
)
from rarescene.scenes.cache import cache_root
from rarescene.scenes.datasets.groups import default_group, frame_number, group_by_pattern


@pytest.mark.parametrize("layout", ["folder", "cholecseg8k"])
def test_written_phantoms_come_back_and_are_called_phantom(tmp_path: Path, layout: str) -> None:
    config = PhantomConfig(videos=2, frames=3, height=48, width=64, seed=4)
    write_phantom(config, tmp_path, layout)  # type: ignore[arg-type]
    drawn = phantom_scenes(config)
    for spec in (f"phantom:{tmp_path}", f"{layout}:{tmp_path}"):
        found = scan_scenes(spec)
        assert found.faults == ()
        assert found.scenes is not None
        assert found.scenes.name == "phantom"
        assert found.scenes.licence == drawn.licence
        assert found.scenes.recordings == drawn.recordings
        for read, made in zip(found.scenes, drawn, strict=True):
            np.testing.assert_array_equal(read.image, made.image)
            np.testing.assert_array_equal(read.mask, made.mask)


def test_phantoms_on_demand(tmp_path: Path) -> None:
    scenes = open_scenes("phantom:videos=2,frames=3,size=32,seed=5")
    assert len(scenes) == 6
    assert scenes[0].image.shape == (32, 32, 3)
    assert scenes.name == "phantom:videos=2,frames=3,height=32,width=32,seed=5"
    (tmp_path / "data.yaml").write_text("name: phantom\nvideos: 2\nframes: 3\nheight: 32\nwidth: 48\n")
    assert open_scenes(tmp_path / "data.yaml")[5].mask.shape == (32, 48)
    assert len(open_scenes("phantom:")) == 12 * 80
    assert len(open_scenes("phantom: videos=2, frames = 3,,size=16,")) == 6
    assert open_scenes("phantom:videos=2,frames=1", group_by=r"video0(\d)").groups == ("1", "2")
    (tmp_path / "data.yaml").write_text("name: phantom\nvideos: many\n")
    with pytest.raises(ConfigError, match="'videos=many' is no number"):
        open_scenes(tmp_path / "data.yaml")
    with pytest.raises(ConfigError, match="in a folder take no options"):
        open_scenes(f"phantom:{tmp_path},videos=3")


def test_options_stand_behind_the_path_or_in_yaml(tmp_path: Path) -> None:
    write_phantom(PhantomConfig(videos=1, frames=2, height=16, width=16), tmp_path / "a, b")
    (tmp_path / "a, b" / "phantom.json").unlink()
    (tmp_path / "a, b" / "images").rename(tmp_path / "a, b" / "pictures")
    scenes = open_scenes(f"folder:{tmp_path}/a, b,title=mine,images=pictures")
    assert (scenes.name, len(scenes)) == ("mine", 2)
    (tmp_path / "mine.yaml").write_text(
        "name: folder\npath: a, b\nimages: pictures\ntitle: mine\ngroup_by:\n"
    )
    assert open_scenes(tmp_path / "mine.yaml").records == scenes.records
    assert open_scenes(f"folder:{tmp_path}/a, b,images=masks,images=pictures").name == "a, b"


def test_a_pattern_keeps_the_order_of_a_set_and_names_every_scene_in_which_it_finds_nothing(
    tmp_path: Path,
) -> None:
    writer = SceneSetWriter(tmp_path, CHOLECSEG8K)
    for index, group in enumerate("cab"):
        writer.add(index, None, np.zeros((4, 4), np.uint8), {"group": group})
    writer.finish()
    assert open_scenes(f"set:{tmp_path}").recordings == ("c", "a", "b")
    assert open_scenes(f"set:{tmp_path}", group_by=r"\d{4}[02]$|1$").recordings == ("00000", "1", "00002")
    found = scan_scenes(f"set:{tmp_path}", group_by="[02]$")
    assert [str(fault.file) for fault in found.faults] == ["masks/000001"]
    assert found.scenes is not None
    assert found.scenes.recordings == ("0", "2")
    assert any("a recording of its own" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "group", "order"),
    [
        ("video01_frame_0012", "video01", 12),
        ("case 3 - 000123", "case 3", 123),
        ("leaf_007", "leaf", 7),
        ("day1/cam2/IMG_0003", "day1", 3),
        ("frame0007", "alone", 7),
        ("op-12.img-003", "op-12", 3),
        ("portrait", "alone", None),
    ],
)
def test_recordings_are_told_apart_by_name(name: str, group: str, order: int | None) -> None:
    assert default_group(name, "alone") == group
    assert frame_number(name) == order


def test_recordings_are_told_apart_by_pattern() -> None:
    assert group_by_pattern(r"(case\d+)", "hospital/case07_left_0012") == "case07"
    assert group_by_pattern(r"case\d+", "hospital/case07_left_0012") == "case07"


def test_the_door_opens_to_every_name_and_brings_no_torch() -> None:
    for name in rarescene.scenes.__all__:
        assert getattr(rarescene.scenes, name) is getattr(rarescene.scenes, name)
    code = (
        "import sys; from rarescene.scenes import open_scenes, scan_scenes, SceneCache, Request, "
        "split_scenes, class_statistics, SceneSetWriter, resize_mask, AugmentConfig; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_phantom(PhantomConfig(videos=2, frames=2, height=16, width=16), tmp_path / "scenes", "folder")
    return tmp_path / "scenes"


def test_a_name_that_is_not_utf_8_is_a_fault(written: Path) -> None:
    (image, *_), (mask, *_) = sorted(written.glob("images/*")), sorted(written.glob("masks/*"))
    for path in (image, mask):
        path.rename(path.with_name(os.fsdecode(b"video01_frame_\xff.png")))
    found = scan_scenes(f"folder:{written}")
    assert [fault.what for fault in found.faults] == ["has a name that is not UTF-8"]
    assert found.scenes is not None
    assert len(found.scenes) == 3
    with pytest.raises(DataError, match="not UTF-8"):
        open_scenes(f"folder:{written}")


def test_a_pipe_in_place_of_an_image_is_a_fault(written: Path) -> None:
    image = min(written.glob("images/*"))
    image.unlink()
    os.mkfifo(image)
    found = scan_scenes(f"folder:{written}")
    assert [(fault.file, fault.what) for fault in found.faults] == [(image, "is not a regular file")]


def test_without_a_home_folder_the_cache_asks_for_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("RARESCENE_CACHE", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", missing)
    with pytest.raises(ConfigError, match="no home folder") as told:
        cache_root()
    assert "RARESCENE_CACHE" in told.value.remedy
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RARESCENE_CACHE", "~/some_cache")
    assert cache_root() == tmp_path / "some_cache"
