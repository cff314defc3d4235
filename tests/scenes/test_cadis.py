"""CaDISv2: settings, masks in every mode, what is missing, the official split; and the real label maps."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import SceneCache, open_scenes, scan_scenes, split_scenes

# The design's table of Setting II, written out anew: class of each id in the files.
SETTING_2 = {
    **{raw: raw for raw in range(7)},
    **dict.fromkeys((7, 8, 10, 20, 27, 32), 7), **dict.fromkeys((9, 22), 8), **dict.fromkeys((11, 33), 9),
    **dict.fromkeys((12, 28), 10), **dict.fromkeys((13, 21), 11), **dict.fromkeys((14, 24), 12),
    **dict.fromkeys((15, 18), 13), **dict.fromkeys((16, 23), 14), 17: 15, 19: 16,
    **dict.fromkeys((25, 26, 29, 30, 31, 34, 35, 255), 255),
}  # fmt: skip
SETTING_1 = {raw: min(raw, 7) for raw in range(36)} | {255: 255}
SETTING_3 = {raw: raw if raw < 25 else 255 for raw in range(36)} | {255: 255}


def write_frame(root: Path, video: int, frame: int, ids: np.ndarray, mode: str = "L") -> tuple[Path, Path]:
    name = f"Video{video}_frame{frame:06d}.png"
    image, label = (root / f"Video{video:02d}" / kind / name for kind in ("Images", "Labels"))
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*ids.shape, 3), frame % 256, np.uint8)).save(image)
    Image.fromarray(ids).convert(mode).save(label)
    return image, label


@pytest.fixture
def cadis(tmp_path: Path) -> Path:
    """Three videos of two frames each; between them they show every id."""
    for video in (1, 2, 12):
        for frame in (110, 20):
            write_frame(tmp_path / "data", video, frame, raw_ids(video + frame))
    return tmp_path / "data"


def raw_ids(seed: int) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(0, 36, (9, 16)).astype(np.uint8)
    ids.flat[:36] = np.arange(36)
    ids.flat[-1] = 255
    return ids


@pytest.mark.parametrize(
    ("setting", "classes", "table"), [(1, 8, SETTING_1), (2, 17, SETTING_2), (3, 25, SETTING_3)]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_settings_in_every_mode(
    tmp_path: Path, setting: int, classes: int, table: dict[int, int], mode: str
) -> None:
    write_frame(tmp_path, 3, 70, raw_ids(0), mode)
    scenes = open_scenes(f"cadis:{tmp_path},setting={setting}")
    assert len(scenes.classes) == classes
    expected = np.vectorize(table.__getitem__)(raw_ids(0))
    np.testing.assert_array_equal(scenes[0].mask, expected)
    assert len({entry.colour for entry in scenes.classes.classes}) == classes


def test_ids_are_read_from_the_first_channel(tmp_path: Path) -> None:
    _, label = write_frame(tmp_path, 3, 70, raw_ids(0))
    Image.fromarray(np.stack([raw_ids(0), raw_ids(1), raw_ids(2)], axis=-1)).save(label)
    expected = np.vectorize(SETTING_2.__getitem__)(raw_ids(0))
    np.testing.assert_array_equal(open_scenes(f"cadis:{tmp_path}")[0].mask, expected)


def test_names_recordings_and_order(cadis: Path, tmp_path: Path) -> None:
    scenes = open_scenes(f"cadis:{cadis}")
    assert scenes.name == "cadis setting 2"
    assert scenes.groups == ("Video01", "Video02", "Video12")
    assert [(record.name, record.order) for record in scenes.records[:2]] == [
        ("Video1_frame000020", 20), ("Video1_frame000110", 110)
    ]  # fmt: skip
    assert scenes[0].image[0, 0].tolist() == [20, 20, 20]
    yaml = tmp_path / "cadis.yaml"
    yaml.write_text("name: cadis\npath: data\nsetting: 3\nimages: no\n")
    other = open_scenes(yaml)
    assert other.name == "cadis setting 3"
    assert not other.has_images
    assert open_scenes(f"cadis:{cadis / 'Video12'}").groups == ("Video12",)


def test_one_missing_image_is_a_fault_and_none_at_all_is_not(cadis: Path) -> None:
    images = sorted(cadis.rglob("Images/*.png"))
    images[0].unlink()
    found = scan_scenes(f"cadis:{cadis}")
    assert [fault.file for fault in found.faults] == [cadis / "Video01" / "Labels" / images[0].name]
    assert "images=no" in found.faults[0].remedy
    assert found.scenes is not None
    assert len(found.scenes) == 5
    with pytest.raises(DataError, match="without its image"):
        open_scenes(f"cadis:{cadis}")
    assert len(open_scenes(f"cadis:{cadis},images=no")) == 6
    for image in images[1:]:
        image.unlink()
    alone = open_scenes(f"cadis:{cadis}")
    assert not alone.has_images
    assert len(alone) == 6
    assert scan_scenes(f"cadis:{cadis}").faults == ()
    with pytest.raises(DataError, match="without its image"):
        open_scenes(f"cadis:{cadis},images=yes")


def test_one_missing_label_is_a_fault(cadis: Path) -> None:
    label = cadis / "Video02" / "Labels" / "Video2_frame000020.png"
    label.unlink()
    (fault,) = scan_scenes(f"cadis:{cadis}").faults
    assert fault.what == "has no label map"
    assert str(label) in fault.remedy


def test_an_unknown_id_and_another_size_are_named(cadis: Path) -> None:
    strange = raw_ids(4)
    strange[3, 3:6] = 40
    _, label = write_frame(cadis, 1, 20, strange)
    _, small = write_frame(cadis, 2, 20, raw_ids(5))
    Image.fromarray(raw_ids(5)[:-1]).save(small)
    first, second = scan_scenes(f"cadis:{cadis}").faults
    assert (first.file, second.file) == (label, small)
    assert "40 (3 pixels)" in first.what
    assert "16x8" in second.what
    assert "same size" in second.remedy


@pytest.mark.parametrize(
    ("spec", "said"),
    [("{},setting=4", "no setting"), ("{},images=maybe", "neither yes nor no")],
)
def test_wrong_options_are_refused(cadis: Path, spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_scenes(f"cadis:{spec.format(cadis)}")


def test_a_folder_without_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no CaDIS labels"):
        open_scenes(f"cadis:{tmp_path}")


def test_the_official_split(tmp_path: Path) -> None:
    for video in range(1, 26):
        write_frame(tmp_path, video, 10, raw_ids(video))
    scenes = open_scenes(f"cadis:{tmp_path}")
    split = split_scenes(scenes, "cadis")
    assert split.recordings["validation"] == ("Video05", "Video07", "Video16")
    assert split.recordings["test"] == ("Video02", "Video12", "Video22")
    assert len(split.train) == 19
    assert split.warning is None
    with pytest.raises(ConfigError, match="Video05"):
        split_scenes(scenes.of_groups(["Video01", "Video02"]), "cadis")


def _in_setting(pixels: list[int], table: dict[int, int]) -> np.ndarray:
    expected = np.zeros(256, int)
    for raw, count in enumerate(pixels):
        expected[table[raw]] += count
    return expected


def _counted(root: Path) -> dict[str, list[int]]:
    """Return the pixels of each of the 36 ids in each file, as the data set's table counts them."""
    with (root / "pixel_counts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    first, name = rows[0].index("Pupil"), rows[0].index("file_name")
    return {Path(row[name]).stem: [int(value) for value in row[first : first + 36]] for row in rows[1:]}


@pytest.mark.parametrize(("setting", "table"), [(1, SETTING_1), (2, SETTING_2), (3, SETTING_3)])
def test_a_real_pair_has_the_counted_pixels(
    real_cadis: Path, tmp_path: Path, setting: int, table: dict[int, int]
) -> None:
    # The pair carries no name of its own; its counts are those of the first frame of the table.
    name = "Video1_frame000090"
    for kind, file in (("Images", "sample_image.png"), ("Labels", "sample_label.png")):
        (tmp_path / "Video01" / kind).mkdir(parents=True)
        shutil.copy(real_cadis / "one_pair" / file, tmp_path / "Video01" / kind / f"{name}.png")
    scene = open_scenes(f"cadis:{tmp_path},setting={setting}")[0]
    assert scene.image.shape == (540, 960, 3)
    expected = _in_setting(_counted(real_cadis)[name], table)
    np.testing.assert_array_equal(np.bincount(scene.mask.ravel(), minlength=256), expected)


def test_real_label_maps_are_close_to_the_counted_pixels(real_cadis: Path) -> None:
    # These forty are the relabelled ones; the table counts them as they were before.
    scenes, counted = open_scenes(f"cadis:{real_cadis},setting=3"), _counted(real_cadis)
    assert len(scenes) == 40
    assert not scenes.has_images
    moved, modes = [], set()
    for index, record in enumerate(scenes.records):
        mask = scenes.mask(index)
        assert mask.shape == (540, 960)
        expected = _in_setting(counted[record.name], SETTING_3)
        found = np.bincount(mask.ravel(), minlength=256)
        moved.append(np.abs(found - expected).sum() / 2 / mask.size)
        with Image.open(str(record.mask)) as label:
            modes.add(label.mode)
    assert modes == {"L", "RGB", "RGBA"}
    assert np.median(moved) < 0.02
    assert max(moved) < 0.2


def test_real_label_maps_are_cached_without_images(real_cadis: Path, tmp_path: Path) -> None:
    scenes = open_scenes(f"cadis:{real_cadis}")
    cache = SceneCache.build(scenes, 54, 96, tmp_path, images=False)
    assert cache.take_masks([0, 39]).shape == (2, 54, 96)
    # No class is lost on the way: small instruments are kept.
    for index in range(0, 40, 7):
        full = np.bincount(scenes.mask(index).ravel(), minlength=256)[:17]
        np.testing.assert_array_equal(cache.class_pixels[index] > 0, full > 0)
    split = split_scenes(cache, "recording", class_pixels=cache.class_pixels)
    assert all(re.fullmatch(r"Video\d\d", name) for part in split.recordings.values() for name in part)
