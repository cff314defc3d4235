"""Bad input: each kind is an error that names the file and the remedy, and `scan` lists them all at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.scenes import SceneCache, open_scenes, propose_class_table, scan_scenes, split_scenes
from rarescene.scenes.datasets.class_tables import WATERSHED_CODES
from rarescene.scenes.datasets.folder import read_classes

TABLE = {
    "name": "mine",
    "classes": [
        {"id": 0, "name": "background", "colour": [10, 10, 10]},
        {"id": 1, "name": "liver", "colour": [255, 114, 114]},
        {"id": 2, "name": "vein", "colour": [0, 50, 128]},
    ],
}
IDS = np.array([[0, 1, 2, 1], [1, 1, 255, 0], [0, 0, 2, 2]], np.uint8).repeat(4, 0).repeat(4, 1)


def _save(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound folder: two recordings of two frames."""
    root = tmp_path / "mine"
    rng = np.random.default_rng(0)
    for name in ("case1_frame1", "case1_frame2", "case2_frame1", "case2_frame2"):
        _save(root / "images" / f"{name}.png", rng.integers(0, 256, (12, 16, 3), np.uint8))
        _save(root / "masks" / f"{name}.png", IDS)
    (root / "classes.json").write_text(json.dumps(TABLE))
    return root


def test_the_sound_folder_is_read(folder: Path) -> None:
    found = scan_scenes(f"folder:{folder}")
    assert found.faults == ()
    assert found.scenes is not None
    assert found.scenes.groups == ("case1", "case2")
    assert [record.order for record in found.scenes.records] == [1, 2, 1, 2]
    for scene in open_scenes(f"folder:{folder}"):
        np.testing.assert_array_equal(scene.mask, IDS)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _sixteen_bits(root: Path) -> Path:
    return _save(root / "masks/case1_frame1.png", IDS.astype(np.uint16))


def _sixteen_bit_colours(root: Path) -> Path:
    # Pillow cannot write these: a PNG of 16x12 pixels, 16 bits, RGB, all black.
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 16, 12, 16, 2, 0, 0, 0)
    path = root / "masks/case1_frame1.png"
    rows = zlib.compress(bytes(12 * (1 + 16 * 6)))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return path


def _truncated_image(root: Path) -> Path:
    _truncate(root / "images/case1_frame2.png")
    return root / "images/case1_frame2.png"


def _truncated_mask(root: Path) -> Path:
    rng = np.random.default_rng(0)
    path = _save(root / "masks/case1_frame2.png", rng.integers(0, 3, (12, 16), np.uint8))
    _truncate(path)
    return path


def _empty_file(root: Path) -> Path:
    (root / "images/case1_frame2.png").write_bytes(b"")
    return root / "images/case1_frame2.png"


def _not_an_image(root: Path) -> Path:
    (root / "images/case1_frame2.png").write_text("a note about this frame")
    return root / "images/case1_frame2.png"


def _wrong_size(root: Path) -> Path:
    return _save(root / "masks/case2_frame1.png", IDS[:-1])


def _unknown_id(root: Path) -> Path:
    return _save(root / "masks/case2_frame1.png", np.where(IDS == 2, 7, IDS).astype(np.uint8))


def _unknown_colour(root: Path) -> Path:
    colours = np.array([(10, 10, 10), (255, 114, 114), (1, 2, 3)], np.uint8)
    return _save(root / "masks/case2_frame1.png", colours[np.minimum(IDS, 2)])


def _palette_that_contradicts(root: Path) -> Path:
    image = Image.fromarray(np.minimum(IDS, 1))
    image.putpalette([255, 114, 114, 10, 10, 10])  # index 0 looks like liver
    image.save(root / "masks/case2_frame1.png")
    return root / "masks/case2_frame1.png"


def _jpeg_mask(root: Path) -> Path:
    (root / "masks/case2_frame1.png").unlink()
    return _save(root / "masks/case2_frame1.jpg", IDS)


def _missing_mask(root: Path) -> Path:
    (root / "masks/case2_frame1.png").unlink()
    return root / "images/case2_frame1.png"


def _mask_without_image(root: Path) -> Path:
    (root / "images/case2_frame1.png").unlink()
    return root / "masks/case2_frame1.png"


def _two_masks(root: Path) -> Path:
    _save(root / "masks/case2_frame1.bmp", IDS)
    return root / "images/case2_frame1.png"


def _two_images(root: Path) -> Path:
    _save(root / "images/case2_frame1.BMP", np.zeros((12, 16, 3), np.uint8))
    return root / "images/case2_frame1.png"


def _strokes(root: Path) -> Path:
    lines = np.zeros((12, 16), np.uint8)
    lines[3, 2:9], lines[8, 4:10] = 21, 50
    return _save(root / "masks/case2_frame1.png", lines)


def _nan(root: Path) -> Path:
    (root / "images/case2_frame1.png").unlink()
    return _save(root / "images/case2_frame1.tif", np.full((12, 16), np.nan, np.float32))


def _corrupt_table(root: Path) -> Path:
    (root / "classes.json").write_text('{"classes": [{"id": 0,')
    return root / "classes.json"


def _table_without_colours(root: Path) -> Path:
    (root / "classes.json").write_text('{"classes": [{"id": 0, "name": "liver"}]}')
    return root / "classes.json"


def _table_with_shared_values(root: Path) -> Path:
    classes = [entry | {"values": [4]} for entry in TABLE["classes"]]  # type: ignore[operator]
    (root / "classes.json").write_text(json.dumps({"classes": classes}))
    return root / "classes.json"


def _missing_table(root: Path) -> Path:
    (root / "classes.json").unlink()
    return root / "classes.json"


def _no_images(root: Path) -> Path:
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    return root / "images"


def _no_mask_folder(root: Path) -> Path:
    (root / "masks").rename(root / "somewhere")
    return root


def _no_folder(root: Path) -> Path:
    shutil.rmtree(root)
    return root


KINDS: list[tuple[Callable[[Path], Path], str, str]] = [
    (_truncated_image, "truncated or damaged", "Copy the file again"),
    (_truncated_mask, "truncated or damaged", "Copy the file again"),
    (_empty_file, "is empty", "Copy the file again"),
    (_not_an_image, "not an image file", "Copy the file again"),
    (_nan, "NaN", "8-bit RGB"),
    (_sixteen_bits, "16 bits", "8 bits a pixel"),
    (_sixteen_bit_colours, "16 bits", "8 bits a pixel"),
    (_jpeg_mask, "JPEG", "as PNG"),
    (_wrong_size, "16x11 pixels, the image 16x12", "nearest neighbour"),
    (_unknown_id, "does not know: 7 (48 pixels)", "0, 1, 2, 255"),
    (_unknown_colour, "does not know: (1, 2, 3)", "Add the colour"),
    (_palette_that_contradicts, "palette colours", "plain ids"),
    (_strokes, "strokes", "watershed_mask"),
    (_missing_mask, "has no mask", "case2_frame1.png"),
    (_mask_without_image, "without an image", "Add its image"),
    (_two_masks, "several masks", "Keep one"),
    (_two_images, "has the name of another image", "Rename"),
    (_corrupt_table, "not a class table", "--write-classes"),
    (_table_without_colours, "not understood", '"colour"'),
    (_table_with_shared_values, "share the mask value 4", "Correct it"),
    (_missing_table, "is missing", "--write-classes"),
    (_no_images, "holds no images", "Put the frames there"),
    (_no_mask_folder, "has no folder of masks (found: images, somewhere)", "masks: NAME"),
    (_no_folder, "not a folder", "Check the path"),
]


@pytest.mark.parametrize(("spoil", "what", "remedy"), KINDS, ids=[kind[0].__name__[1:] for kind in KINDS])
def test_each_kind_is_an_error_and_a_fault(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], Path], what: str, remedy: str
) -> None:
    file = spoil(folder)
    with pytest.raises(RareSceneError) as told:
        SceneCache.build(open_scenes(f"folder:{folder}"), 8, 8, tmp_path / "cache")
    assert told.value.path == file
    assert what in told.value.what
    assert remedy in told.value.remedy
    assert not list(tmp_path.glob("cache/*/index.json"))
    faults = {(fault.file, fault.what, fault.remedy) for fault in scan_scenes(f"folder:{folder}").faults}
    assert any(fault[0] == file and what in fault[1] and remedy in fault[2] for fault in faults)


def test_all_faults_are_listed_at_once(folder: Path) -> None:
    _truncated_image(folder)
    _unknown_id(folder)
    _save(folder / "images/case2_frame1.png", np.zeros((20, 20, 3), np.uint8))
    _save(folder / "masks/case9_frame1.png", IDS)
    (folder / "masks/case2_frame2.png").unlink()
    found = scan_scenes(f"folder:{folder}")
    assert [(fault.file.name, fault.kind) for fault in found.faults if fault.file] == [
        ("case1_frame2.png", "is truncated or damaged"),
        ("case2_frame2.png", "has no mask"),
        ("case2_frame1.png", "holds ids that the class table does not know"),
        ("case2_frame1.png", "is of another size than its image"),
        ("case9_frame1.png", "is a mask without an image"),
    ]
    assert found.scenes is not None
    assert [record.name for record in found.scenes.records] == ["case1_frame1"]
    with pytest.raises(DataError, match="1 more fault"):
        open_scenes(f"folder:{folder}")


def test_notes_are_no_faults(folder: Path) -> None:
    for name in ("case2_frame1", "case2_frame2"):
        (folder / f"images/{name}.png").unlink()
        (folder / f"masks/{name}.png").unlink()
    for name in ("case1_frame1", "case1_frame2"):
        _save(folder / f"masks/{name}.png", np.minimum(IDS, 1))
    found = scan_scenes(f"folder:{folder}")
    assert found.faults == ()
    assert any("'vein' never occurs" in note for note in found.notes)
    assert any("single recording ('case1')" in note for note in found.notes)
    with pytest.raises(ConfigError, match="single recording"):
        split_scenes(open_scenes(f"folder:{folder}"))


def test_a_class_that_one_recording_alone_shows_is_noted(folder: Path) -> None:
    _save(folder / "masks/case1_frame1.png", np.minimum(IDS, 1))
    _save(folder / "masks/case1_frame2.png", np.minimum(IDS, 1))
    assert any("'vein' occurs in 'case2' alone" in note for note in scan_scenes(f"folder:{folder}").notes)


# What is merely unusual works.


@pytest.mark.parametrize("mode", ["L", "P", "RGB ids", "RGB", "RGBA", "LA"])
def test_masks_in_every_mode_mean_the_same(folder: Path, mode: str) -> None:
    palette = np.array(
        [entry["colour"] for entry in TABLE["classes"]] + [[0, 0, 0]] * 252 + [[255] * 3], np.uint8
    )  # type: ignore[index]
    for path in sorted((folder / "masks").iterdir()):
        if mode == "P":
            image = Image.fromarray(IDS)
            image.putpalette(palette.tobytes())
            image.save(path)
        elif mode in ("L", "LA"):
            _save(path, IDS, mode)
        else:
            _save(path, IDS[..., None].repeat(3, -1) if mode == "RGB ids" else palette[IDS], mode[:4].strip())
    assert scan_scenes(f"folder:{folder}").faults == ()
    for scene in open_scenes(f"folder:{folder}"):
        np.testing.assert_array_equal(scene.mask, IDS)


def test_unusual_names_endings_folders_sizes_and_modes(tmp_path: Path) -> None:
    root = tmp_path / "Meine Daten (größe)"
    grey = np.zeros((12, 16), np.uint8)
    _save(root / "Images/Fall Ä 1/Bild 07.JPG", np.zeros((12, 16, 3), np.uint8))
    _save(root / "LABELS/Fall Ä 1/Bild 07_Mask.PNG", IDS)
    _save(root / "Images/案例2/left/0002.png", grey)
    _save(root / "LABELS/案例2/left/0002-label.png", IDS)
    _save(root / "Images/案例2/right/0001_image.png", np.zeros((24, 32, 4), np.uint8))
    _save(root / "LABELS/案例2/right/0001_mask.png", IDS.repeat(2, 0).repeat(2, 1))
    _save(root / "Images/.hidden.png", grey)
    (root / "Images/Thumbs.db").write_bytes(b"")
    (root / "classes.json").write_text(json.dumps(TABLE))
    found = scan_scenes(f"folder:{root}")
    assert found.faults == ()
    assert found.scenes is not None
    assert [(r.group, r.order) for r in found.scenes.records] == [("Fall Ä 1", 7), ("案例2", 1), ("案例2", 2)]
    assert any("2 different sizes, 16x12 to 32x24" in note for note in found.notes)
    assert (
        SceneCache.build(found.scenes, 12, 16, tmp_path / "cache").take([0, 1, 2])[1].tolist()
        == [IDS.tolist()] * 3
    )


def test_raw_values_images_and_masks_in_one_folder_and_yaml(tmp_path: Path) -> None:
    root = tmp_path / "all"
    _save(root / "day1-op3-0001.png", np.zeros((12, 16, 3), np.uint8))
    _save(root / "day1-op3-0001_mask.png", np.array([200, 50, 70], np.uint8)[np.minimum(IDS, 2)])
    classes = [
        entry | {"values": [value]} for entry, value in zip(TABLE["classes"], (200, 50, 70), strict=True)
    ]  # type: ignore[operator]
    (root / "table.json").write_text(json.dumps({"classes": classes, "ignore_values": [3]}))
    (tmp_path / "data.yaml").write_text(
        "name: folder\npath: all\nimages: .\nmasks: .\nclasses: table.json\n"
        "group_by: '(op\\d+)'\nlicence: mine\ntitle: one day\n"
    )
    scenes = open_scenes(tmp_path / "data.yaml")
    assert (scenes.name, scenes.licence, scenes.groups) == ("one day", "mine", ("op3",))
    np.testing.assert_array_equal(scenes[0].mask, np.minimum(IDS, 2))
    assert open_scenes(tmp_path / "data.yaml", group_by=r"day\d").groups == ("day1",)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("cholec:/data", "cadis, cholecseg8k, folder, phantom, set, sisvse"),
        ("/data", "NAME:PATH"),
        ("folder:", "no path"),
        ("phantom:videos=x", "phantom:videos=12"),
        ("phantom:films=3", "films"),
        ("missing.yaml", "cannot be read"),
    ],
)
def test_a_wrong_spec_says_what_is_right(spec: str, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        open_scenes(spec)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not valid YAML"),
        ("path: x", "names no data set"),
        ("name: folder", "no `path`"),
        ("name: phantom\nfilms: 3", "'films'"),
    ],
)
def test_a_wrong_yaml_file_says_what_is_right(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(ConfigError) as told:
        open_scenes(tmp_path / "data.yaml")
    assert words in str(told.value)


def test_a_pattern_that_finds_nothing_or_is_none(folder: Path) -> None:
    with pytest.raises(DataError, match="finds no recording"):
        open_scenes(f"folder:{folder}", group_by=r"patient(\d+)")
    with pytest.raises(ConfigError, match="not a regular expression"):
        open_scenes(f"folder:{folder}", group_by="(case")


# A class table is proposed where there is none.


def test_the_proposed_table_can_be_saved_and_read(folder: Path) -> None:
    (folder / "classes.json").unlink()
    with pytest.raises(DataError) as told:
        open_scenes(f"folder:{folder}")
    proposed = json.loads(told.value.remedy.split("\n", 1)[1])
    assert proposed == propose_class_table(folder)
    (folder / "classes.json").write_text(json.dumps(proposed))
    scenes = open_scenes(f"folder:{folder}")
    assert scenes.classes.names == ("class 0", "class 1", "class 2")
    np.testing.assert_array_equal(scenes[0].mask, IDS)


def test_odd_ids_colours_and_known_codes_are_proposed(tmp_path: Path) -> None:
    _save(tmp_path / "ids/a.png", np.array([[3, 3, 9], [255, 9, 40]], np.uint8))
    assert [entry["values"] for entry in propose_class_table(tmp_path / "ids")["classes"]] == [[3], [9], [40]]
    _save(
        tmp_path / "colours/a.png",
        np.array([[[255, 0, 0], [9, 9, 8]], [[255, 255, 255], [9, 9, 8]]], np.uint8),
    )
    found = propose_class_table(tmp_path / "colours")["classes"]
    assert [(entry["name"], entry["colour"]) for entry in found] == [
        ("class 0", [9, 9, 8]),
        ("class 1", [255, 0, 0]),
        ("class 2", [255, 255, 255]),  # it may be one; to leave it out is to call it unlabelled
    ]
    codes = _save(tmp_path / "codes/a.png", np.array([[50, 11, 24], [255, 0, 33]], np.uint8))
    (tmp_path / "classes.json").write_text(json.dumps(propose_class_table(tmp_path / "codes")))
    code = read_classes(tmp_path / "classes.json")
    assert [code.values[value] for value in WATERSHED_CODES] == list(range(13))
    assert code.values[0] == code.values[255] == 255
    assert codes.is_file()


def test_photographs_are_no_masks(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="no label mask"):
        propose_class_table(tmp_path)


# CholecSeg8k.


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    codes = np.array([50, 11, 21, 24], np.uint8)[np.arange(12) % 4].reshape(3, 4).repeat(3, 0)
    root = tmp_path / "CholecSeg8k"
    for video, frame in (("video01", 80), ("video01", 81), ("video12", 5)):
        stem = root / video / f"{video}_00080" / f"frame_{frame}_endo"
        _save(stem.with_name(f"{stem.name}.png"), np.zeros((9, 4, 3), np.uint8))
        _save(stem.with_name(f"{stem.name}_watershed_mask.png"), codes, "RGBA" if frame == 81 else "RGB")
        _save(stem.with_name(f"{stem.name}_mask.png"), np.zeros((9, 4, 3), np.uint8))
    return root


def test_cholecseg8k_is_read_whole_by_video_and_by_clip(clip: Path) -> None:
    found = scan_scenes(f"cholecseg8k:{clip}")
    assert found.faults == ()
    assert found.scenes is not None
    assert [(r.group, r.order) for r in found.scenes.records] == [
        ("video01", 80),
        ("video01", 81),
        ("video12", 5),
    ]
    assert sorted(np.unique(found.scenes[1].mask)) == [0, 1, 2, 7]
    assert open_scenes(f"cholecseg8k:{clip}/video01/video01_00080").groups == ("video01",)


def test_cholecseg8k_reads_colours_where_the_codes_are_missing(clip: Path) -> None:
    mask = clip / "video12/video12_00080/frame_5_endo_watershed_mask.png"
    colours = np.zeros((9, 4, 3), np.uint8)
    colours[:5], colours[5:7], colours[7:] = (255, 0, 0), (127, 127, 127), (255, 255, 255)
    _save(mask.with_name("frame_5_endo_color_mask.png"), colours)
    mask.unlink()
    found = scan_scenes(f"cholecseg8k:{clip}")
    assert found.faults == ()
    assert any("colour masks are read" in note for note in found.notes)
    assert found.scenes is not None
    assert found.scenes[2].mask[:, 0].tolist() == [7] * 5 + [0] * 2 + [255] * 2


def test_cholecseg8k_never_takes_strokes_for_masks(clip: Path) -> None:
    mask = clip / "video12/video12_00080/frame_5_endo_watershed_mask.png"
    mask.unlink()
    with pytest.raises(DataError, match="strokes and is never used"):
        open_scenes(f"cholecseg8k:{clip}")
    strokes = np.zeros((9, 4, 3), np.uint8)
    strokes[4] = 21
    _save(mask, strokes)
    with pytest.raises(DataError, match="annotation strokes, not a label mask"):
        open_scenes(f"cholecseg8k:{clip}")[2]


def test_cholecseg8k_faults(clip: Path) -> None:
    (clip / "video01/video01_00080/frame_80_endo.png").unlink()
    _save(clip / "video01/video01_00080/frame_81_endo_watershed_mask.png", np.full((9, 4, 3), 77, np.uint8))
    faults = scan_scenes(f"cholecseg8k:{clip}").faults
    assert [fault.what.split(":")[0] for fault in faults] == [
        "is a mask without its image",
        "holds ids that the class table does not know",
    ]
    empty = clip / "nothing"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no CholecSeg8k frames"):
        open_scenes(f"cholecseg8k:{empty}")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_named(folder: Path) -> None:
    (folder / "images/case1_frame1.png").chmod(0)
    with pytest.raises(DataError, match="no permission"):
        open_scenes(f"folder:{folder}")[0]
