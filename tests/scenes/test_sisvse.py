"""SISVSE: its layout written by phantom scenes and read again, its names, its folds, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import (
    PhantomConfig,
    SceneCache,
    open_scenes,
    phantom_scenes,
    scan_scenes,
    split_scenes,
    write_phantom,
)
from rarescene.scenes.datasets.class_tables import SISVSE

CONFIG = PhantomConfig(videos=8, frames=3, height=24, width=30, seed=2, classes="sisvse")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantom gastrectomies in the layout of SISVSE."""
    out = tmp_path_factory.mktemp("sisvse")
    write_phantom(CONFIG, out, "sisvse")
    return out


def copied(source: Path, target: Path) -> Path:
    for path in source.rglob("*.*"):
        if path.parent != source:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())
    return target


def test_round_trip(written: Path) -> None:
    drawn, read = phantom_scenes(CONFIG), open_scenes(f"sisvse:{written}")
    assert read.classes == drawn.classes == SISVSE
    assert read.name == "phantom", "a phantom is called so, whatever its layout"
    assert [record.name for record in read.records] == [record.name for record in drawn.records]
    for one, other in zip(drawn, read, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        assert np.abs(one.image.astype(int) - other.image).mean() < 8, "JPEG keeps the picture"
        assert (one.record.group, one.record.order) == (other.record.group, other.record.order)
        assert one.record.details["folds"] == other.record.details["folds"]
    again = open_scenes(f"phantom:{written}")
    assert [record.mask for record in again.records] == [record.mask for record in read.records]


def test_the_folder_around_it_opens_too(written: Path) -> None:
    assert len(open_scenes(f"sisvse:{written.parent}")) == 24


def test_names_say_case_and_time(written: Path, tmp_path: Path) -> None:
    root = copied(written, tmp_path)
    names = [
        "R117_ch1_video_01_00-10-37-20",
        "R117_ch1_video_03_00-00-00-01",
        "R117_ch1_video_01_01-00-00-00",
    ]
    for name in names:
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(root / "semantic_masks/real_val_2" / f"{name}.png")
        Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(root / "images/real" / f"{name}.jpg")
    scenes = open_scenes(f"sisvse:{root}").of_groups(["R117"])
    assert [record.name for record in scenes.records] == [names[0], names[2], names[1]]
    first, hour, _ = scenes.records
    assert hour.order - first.order == ((49 * 60 + 22) * 30 + 10)  # 49 min 22 s 10 frames of 1/30 s
    assert scenes.records[0].details["folds"] == {"2": "val"}
    assert open_scenes(f"sisvse:{root}", group_by=r"^(R\d)").groups == ("R0", "R1")


@pytest.mark.parametrize("fold", [1, 2, 3])
@pytest.mark.parametrize("source", ["files", "drawn", "cache"])
def test_folds_part_by_case(written: Path, fold: int, source: str, tmp_path: Path) -> None:
    scenes = open_scenes(f"sisvse:{written}") if source != "drawn" else phantom_scenes(CONFIG)
    given = SceneCache.build(scenes, 24, 30, tmp_path, images=False) if source == "cache" else scenes
    split = split_scenes(given, f"fold{fold}", seed=1)
    parts = [set(split.recordings[part]) for part in ("train", "validation", "test")]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 8
    assert parts[2] == {f"R{fold:03d}", f"R{fold + 4:03d}"}
    assert [len(part) for part in parts] == [5, 1, 2]
    assert split.warning is None
    assert split.note is not None
    assert "val cases" in split.note
    assert type(split).from_dict(split.to_dict()) == split
    on_disk = {path.stem for path in (written / f"semantic_masks/real_val_{fold}").iterdir()}
    assert {scenes.records[index].name for index in split.test} == on_disk


def test_folds_are_disjoint_and_another_seed_holds_back_others(written: Path) -> None:
    scenes = open_scenes(f"sisvse:{written}")
    tests = [split_scenes(scenes, f"fold{fold}").recordings["test"] for fold in (1, 2, 3)]
    assert len({case for cases in tests for case in cases}) == 6
    held = {split_scenes(scenes, "fold1", seed=seed).recordings["validation"] for seed in range(6)}
    assert len(held) > 1


def test_a_fold_needs_sisvse_and_warns_when_it_cuts_cases(written: Path) -> None:
    with pytest.raises(ConfigError, match="fold 2"):
        split_scenes(phantom_scenes(PhantomConfig(videos=4, frames=2, height=16, width=16)), "fold2")
    mixed = open_scenes(f"sisvse:{written}", group_by="(R00)")
    with pytest.raises(ConfigError, match="single recording"):
        split_scenes(mixed, "fold1")
    two = open_scenes(f"sisvse:{written}", group_by=r"R00([1-4]|[5-8])")
    assert split_scenes(two, "fold1").warning is None
    pairs = open_scenes(
        f"sisvse:{written}", group_by=r"_(\d\d-\d\d-\d\d-\d\d)"
    )  # one group a moment, not a case
    assert split_scenes(pairs, "fold1").warning is not None


def test_the_command_line_prints_what_a_fold_means(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "segment",
        "unet",
        "--data",
        f"sisvse:{written}",
        "--split",
        "fold1",
        "--out",
        str(tmp_path / "run"),
    ]
    brief = [
        "--model.widths=[8,16]",
        "--training.steps=1",
        "--training.batch_size=2",
        "--height=24",
        "--width=32",
    ]
    assert main([*words, *brief, "--training.mixed_precision=no"]) == 0
    assert "official fold of SISVSE" in " ".join(capsys.readouterr().out.split())


def test_faults_are_named(written: Path, tmp_path: Path) -> None:
    root = copied(written, tmp_path)
    name = "R003_ch1_video_00_00-00-00-01"
    image = root / "images/real" / f"{name}.jpg"
    image.unlink()
    orphan = root / "images/real/R004_ch1_video_00_00-09-00-00.jpg"
    Image.fromarray(np.zeros((24, 30, 3), np.uint8)).save(orphan)
    strange = root / "semantic_masks/real_train_2/R001_ch1_video_00_00-00-00-00.png"
    strange = root / "semantic_masks/real_val_1" / strange.name
    Image.fromarray(np.full((24, 30), 32, np.uint8)).save(strange)
    small = root / "semantic_masks/real_train_1/R002_ch1_video_00_00-00-00-00.png"
    Image.fromarray(np.zeros((12, 15), np.uint8)).save(small)
    found = scan_scenes(f"sisvse:{root}")
    said = {str(fault.file): fault for fault in found.faults}
    assert len(said) == 4
    assert "without its image" in said[str(root / "semantic_masks/real_train_1" / f"{name}.png")].what
    assert said[str(orphan)].what == "has no mask"
    assert "32 (720 pixels)" in said[str(strange)].what
    assert "15x12" in said[str(small)].what
    assert all(fault.remedy for fault in found.faults)


def test_masks_alone_open(written: Path, tmp_path: Path) -> None:
    root = copied(written, tmp_path)
    for image in root.glob("images/real/*"):
        image.unlink()
    scenes = open_scenes(f"sisvse:{root}")
    assert not scenes.has_images
    assert len(scenes) == 24


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no SISVSE masks"):
        open_scenes(f"sisvse:{tmp_path}")
