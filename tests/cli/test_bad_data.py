"""Bad data through the command line: a message that names file and remedy, exit code 2, nothing half-written.

What is merely unusual works.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main

from .conftest import COLOURS, FRAME, HURT, IDS, TABLE, TRAIN, refused, save, truncate, write

pytestmark = pytest.mark.usefixtures("desk")

# Data sets that cannot be used: `check` lists the fault and exits with 1, training refuses.


def damaged_image() -> str:
    return truncate(f"mine/images/{HURT}.png")


def damaged_mask() -> str:
    save(f"mine/masks/{HURT}.png", np.random.default_rng(0).integers(0, 3, IDS.shape, np.uint8))
    return truncate(f"mine/masks/{HURT}.png")


def empty_file() -> str:
    return write(f"mine/images/{HURT}.png", "")


def no_image_file() -> str:
    return write(f"mine/images/{HURT}.png", "a note about this frame")


def not_a_number() -> str:
    Path(f"mine/images/{HURT}.png").unlink()
    return save(f"mine/images/{HURT}.tiff", np.full(IDS.shape, np.nan, np.float32))


def sixteen_bits() -> str:
    return save(f"mine/masks/{HURT}.png", IDS.astype(np.uint16))


def jpeg_mask() -> str:
    Path(f"mine/masks/{HURT}.png").unlink()
    return save(f"mine/masks/{HURT}.jpg", IDS)


def other_size() -> str:
    return save(f"mine/masks/{HURT}.png", IDS[:-1])


def unknown_id() -> str:
    return save(f"mine/masks/{HURT}.png", np.where(IDS == 2, 7, IDS).astype(np.uint8))


def unknown_colour() -> str:
    return save(f"mine/masks/{HURT}.png", np.where(COLOURS == 50, 51, COLOURS).astype(np.uint8))


def strokes() -> str:
    lines = np.zeros(IDS.shape, np.uint8)
    lines[5, 4:20], lines[15, 8:24] = 21, 50
    return save(f"mine/masks/{HURT}.png", lines)


def missing_mask() -> str:
    Path(f"mine/masks/{HURT}.png").unlink()
    return f"mine/images/{HURT}.png"


def mask_without_image() -> str:
    return save("mine/masks/case9_frame1.png", IDS)


def corrupt_classes() -> str:
    return write("mine/classes.json", '{"classes": [{"id": 0,')


def missing_classes() -> str:
    Path("mine/classes.json").unlink()
    return "mine/classes.json"


def empty_folder() -> str:
    shutil.rmtree("mine/images")
    Path("mine/images").mkdir()
    return "mine/images"


def no_folder() -> str:
    shutil.rmtree("mine")
    return "mine"


FAULTS: list[tuple[Callable[[], str], str]] = [
    (damaged_image, "Copy the file again"),
    (damaged_mask, "Copy the file again"),
    (empty_file, "Copy the file again"),
    (no_image_file, "Copy the file again"),
    (not_a_number, "8-bit RGB"),
    (sixteen_bits, "8 bits a pixel"),
    (jpeg_mask, "as PNG"),
    (other_size, "nearest neighbour"),
    (unknown_id, "0, 1, 2, 255"),
    (unknown_colour, "Add the colour"),
    (strokes, "watershed_mask"),
    (missing_mask, HURT),
    (mask_without_image, "Add its image"),
    (corrupt_classes, "--write-classes"),
    (missing_classes, "--write-classes"),
    (empty_folder, "Put the frames there"),
    (no_folder, "Check the path"),
]


@pytest.mark.parametrize(("spoil", "remedy"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
def test_a_data_set_that_cannot_be_used(
    spoil: Callable[[], str], remedy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = spoil()
    assert main(["check", "folder:mine"]) == 1
    shown = capfd.readouterr()
    assert file in shown.out
    assert "Traceback" not in shown.err
    message = refused(["segment", "unet", "--data", "folder:mine", "--out", "run", *TRAIN], capfd)
    assert message.startswith(f"error {file}: ")
    assert remedy in message


def test_strokes_in_place_of_cholecseg8k_masks(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["phantom", "cholec", "--videos", "2", "--frames", "2", "--size", "32", "--layout", "cholecseg8k"]
    assert main(words) == 0
    clip = Path("cholec/video02/video02_00000")
    shutil.copyfile(clip / "frame_1_endo_mask.png", clip / "frame_1_endo_watershed_mask.png")
    capfd.readouterr()
    assert main(["check", "cholecseg8k:cholec"]) == 1
    assert "strokes" in capfd.readouterr().out
    message = refused(["segment", "unet", "--data", "cholecseg8k:cholec", "--out", "run", *TRAIN], capfd)
    assert "frame_1_endo_watershed_mask.png" in message
    assert "strokes" in message


def exchange_masks() -> None:
    """Give every mask other classes, and the file its old size and time."""
    for path in sorted(Path("mine/masks").iterdir()):
        before = path.stat()
        save(str(path), np.where(IDS == 1, 2, np.where(IDS == 2, 1, IDS)).astype(np.uint8))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("what", ["masks", "values"])
def test_data_that_changed_between_stop_and_resume_are_refused(
    what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["segment", "unet", "--data", "folder:mine", "--out", "run", *TRAIN]
    assert main([*words, "--training.steps=2"]) == 0
    record = Path("run/run.json").read_bytes()
    assert sorted(json.loads(record)["decoded"]) == ["test", "train"]
    assert main(["evaluate", "run", "--data", "folder:mine"]) == 0
    assert "not as they were" not in capfd.readouterr().out
    if what == "masks":
        exchange_masks()
    else:
        table = json.loads(Path("mine/classes.json").read_text())
        for entry, value in zip(table["classes"], (0, 2, 1), strict=True):
            entry["values"] = [value]
        write("mine/classes.json", json.dumps(table))
    message = refused([*words, "--resume"], capfd)
    assert "begun with other masks or images (train, test)" in message
    assert Path("run/run.json").read_bytes() == record
    assert main(["evaluate", "run", "--data", "folder:mine"]) == 0
    assert "note: the test scenes are not as they were when run was trained" in capfd.readouterr().out


def test_a_table_that_is_written_is_that_of_the_folder_named_in_yaml(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("mine/classes.json").unlink()
    Path("mine/masks").rename("mine/drawn by hand")
    Path("mine/images").rename("mine/Bilder")
    write(
        "data.yaml", "name: folder\npath: mine\nimages: Bilder\nmasks: drawn by hand\nclasses: table.json\n"
    )
    assert main(["check", "data.yaml"]) == 1
    said = capfd.readouterr().out
    assert "--write-classes" in said
    assert "looking at masks" in said
    assert main(["check", "data.yaml", "--write-classes"]) == 0
    table = json.loads(Path("mine/table.json").read_text())
    assert [entry["name"] for entry in table["classes"]] == ["class 0", "class 1", "class 2"]


def test_what_goes_to_a_file_is_not_folded(capfd: pytest.CaptureFixture[str]) -> None:
    deep = "a_folder_with_a_long_name_of_its_own/and_another_one_below_it/frame_0"
    save(f"mine/images/{deep}.png", FRAME)
    assert main(["check", "folder:mine"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert f"mine/images/{deep}.png" in [line.strip() for line in lines]


def test_faults_of_one_kind_are_one_line_and_a_file_lists_them_all(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for number in range(50):
        save(f"mine/images/case9_frame{number}.png", FRAME)
    assert main(["check", "folder:mine", "--out", "found.json"]) == 1
    said = capfd.readouterr().out
    assert said.count("has no mask") == 1
    assert "and 47 more" in said
    found = json.loads(Path("found.json").read_text())
    assert sorted(fault["file"] for fault in found["faults"]) == sorted(
        f"mine/images/case9_frame{number}.png" for number in range(50)
    )
    assert all(fault["what"] == "has no mask" and fault["remedy"] for fault in found["faults"])
    assert main(["check", "folder:mine", "--out", "found.json"]) == 1  # its own file is written anew
    before = Path("mine/classes.json").read_bytes()
    assert main(["check", "folder:mine", "--out", "mine/classes.json"]) == 2
    assert Path("mine/classes.json").read_bytes() == before


def test_check_and_stats_list_the_recordings(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "folder:mine"], ["stats", "folder:mine"]):
        assert main(words) == 0
        rows = [line.split() for line in capfd.readouterr().out.splitlines()]
        assert ["case1", "2", "case1_frame1", "case1_frame2"] in rows
    assert main(["stats", "folder:mine", "--split", "time", "--fractions=[0.5,0,0.5]"]) == 0
    out = capfd.readouterr().out
    assert ["case1", "1", "case1_frame1", "case1_frame1"] in [line.split() for line in out.splitlines()]
    assert "no class is rare in the training part of mine; the least shown is 'vein'" in " ".join(out.split())


# What is merely unusual works.


def test_unusual_names_modes_and_sizes_train(capfd: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("mine")
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = [entry["colour"] for entry in TABLE["classes"]]  # type: ignore[index]
    palette[255] = 255
    root = "Meine Daten (größe)"
    save(f"{root}/Images/Fall Ä 1/Bild 07.JPG", FRAME)
    save(f"{root}/LABELS/Fall Ä 1/Bild 07_Mask.PNG", palette[IDS], "RGBA")
    save(f"{root}/Images/Fall Ä 1/Bild 08.png", FRAME, "RGBA")
    save(f"{root}/LABELS/Fall Ä 1/Bild 08.png", IDS, "LA")
    save(f"{root}/Images/案例2/left/0002.PNG", FRAME[..., 0])
    save(f"{root}/LABELS/案例2/left/0002-label.png", palette[IDS])
    save(f"{root}/Images/案例2/right/0001_image.png", FRAME.repeat(2, 0).repeat(2, 1))
    save(f"{root}/LABELS/案例2/right/0001_mask.png", IDS.repeat(2, 0).repeat(2, 1))
    write(f"{root}/classes.json", json.dumps(TABLE))
    data = f"folder:{root}"
    assert main(["check", data]) == 0
    assert "2 recordings" in capfd.readouterr().out
    words = ["segment", "unet", "--data", data, "--out", "ein Lauf", *TRAIN, "--training.steps=2"]
    assert main(words) == 0
    assert main(["evaluate", "ein Lauf", "--data", data]) == 0
    assert main(["predict", "ein Lauf", f"{root}/Images", "--out", "Masken [neu]"]) == 0
    with Image.open("Masken [neu]/masks/Fall Ä 1/Bild 07.png") as mask:
        assert mask.size == IDS.shape[::-1]
    assert "Masken [neu]" in capfd.readouterr().out
