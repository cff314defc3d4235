from __future__ import annotations

import errno
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import CHOLECSEG8K, SceneSetWriter, open_scenes, open_set, scan_scenes
from rarescene.scenes.store import list_set

HEADER = {"generator": "test", "licence": "CC0-1.0", "recordings": ["video01"]}

WRITE = """
import sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from rarescene.foundation.outputs import claimed
from rarescene.scenes import CHOLECSEG8K, SceneSetWriter
folder, rank, ranks = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with claimed(folder, "set", marker="set.json", resume=True) if ranks == 1 else nullcontext():
    writer = SceneSetWriter(folder, CHOLECSEG8K, {"generator": "test"}, rank=rank, ranks=ranks)
    print("open", flush=True)
    for index in range(rank, 60, ranks):
        if index not in writer.done:
            rng = np.random.default_rng(index)
            image, mask = rng.integers(0, 256, (24, 32, 3), np.uint8), rng.integers(0, 13, (24, 32), np.uint8)
            writer.add(index, image, mask, {"seed": 7, "request": {"classes": [{"class_id": index % 13}]}})
    if ranks == 1:
        writer.finish()
"""


def _pair(index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(index)
    return rng.integers(0, 256, (6, 8, 3), np.uint8), rng.choice(np.array([0, 3, 12, 255], np.uint8), (6, 8))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    writer = SceneSetWriter(tmp_path, CHOLECSEG8K, HEADER)
    for index in (3, 0, 10_123):
        writer.add(
            index, *_pair(index), {"request": {"classes": []}, "seed": 5, "group": "video01", "order": index}
        )
    scenes = writer.finish()
    assert writer.done == {0, 3, 10_123}
    assert [record.details["index"] for record in scenes.records] == [0, 3, 10_123]
    assert scenes.classes == CHOLECSEG8K
    assert scenes.licence == "CC0-1.0"
    assert scenes.groups == ("video01",)
    assert scenes.records[0].details["synthetic"] is True
    for scene in scenes:
        image, mask = _pair(scene.record.details["index"])
        np.testing.assert_array_equal(scene.image, image)
        np.testing.assert_array_equal(scene.mask, mask)
    assert (tmp_path / "images/001/010123.png").is_file()
    with Image.open(tmp_path / "masks/000003.png") as shown:
        assert shown.mode == "P"
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), CHOLECSEG8K.colourise(_pair(3)[1]))
    assert scan_scenes(f"set:{tmp_path}").faults == ()
    assert len(open_scenes(f"phantom:{tmp_path}")) == 3


def test_killed_at_any_time_and_resumed_it_equals_an_undisturbed_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE]
    subprocess.run([*command, str(tmp_path / "whole"), "0", "1"], check=True, stdout=subprocess.DEVNULL)
    draws = random.Random(0)
    killed = 0
    for _ in range(4):
        process = subprocess.Popen([*command, str(tmp_path / "killed"), "0", "1"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draws.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed
    subprocess.run([*command, str(tmp_path / "killed"), "0", "1"], check=True, stdout=subprocess.DEVNULL)
    assert _files(tmp_path / "killed") == _files(tmp_path / "whole")


def test_three_ranks_write_what_one_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE]
    subprocess.run([*command, str(tmp_path / "one"), "0", "1"], check=True, stdout=subprocess.DEVNULL)
    many = [
        subprocess.Popen([*command, str(tmp_path / "three"), str(rank), "3"], stdout=subprocess.DEVNULL)
        for rank in range(3)
    ]
    assert [process.wait() for process in many] == [0, 0, 0]
    assert not (tmp_path / "three/manifest.jsonl").exists()
    # Resumed with another number of ranks, everything is known to be done.
    writer = SceneSetWriter(tmp_path / "three", CHOLECSEG8K, {"generator": "test"}, rank=0, ranks=2)
    assert writer.done == set(range(60))
    writer.finish()
    assert _files(tmp_path / "three") == _files(tmp_path / "one")


def test_a_cut_line_and_a_lost_file_are_put_right_and_what_no_line_names_stays(tmp_path: Path) -> None:
    whole = SceneSetWriter(tmp_path / "whole", CHOLECSEG8K, HEADER)
    torn = SceneSetWriter(tmp_path / "torn", CHOLECSEG8K, HEADER)
    for index in range(5):
        whole.add(index, *_pair(index))
        torn.add(index, *_pair(index))
    whole.finish()
    manifest = tmp_path / "torn/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-30])  # line 4 is cut off
    (tmp_path / "torn/masks/000002.png").unlink()
    (tmp_path / "torn/images/000004.png").write_bytes(b"half")
    theirs = {"images/.partial-x.png": b"half", "masks/000900.png": b"theirs"}
    for name, content in theirs.items():
        (tmp_path / "torn" / name).write_bytes(content)
    assert {fault.file.name for fault in list_set(tmp_path / "torn").faults if fault.file} == {
        "manifest.jsonl",
        "000002.png",
    }
    again = SceneSetWriter(tmp_path / "torn", CHOLECSEG8K, HEADER)
    assert again.done == {0, 1, 3}
    for index in (4, 2, 0):
        again.add(index, *_pair(index))
    again.finish()
    assert _files(tmp_path / "torn") == {**_files(tmp_path / "whole"), **theirs}


def test_a_set_made_otherwise_is_not_mixed_up(tmp_path: Path) -> None:
    SceneSetWriter(tmp_path, CHOLECSEG8K, HEADER)
    with pytest.raises(ConfigError, match=r"set\.json.*made otherwise"):
        SceneSetWriter(tmp_path, CHOLECSEG8K, HEADER | {"generator": "another"})


@pytest.mark.parametrize(
    ("image", "mask", "words"),
    [
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), "no pair"),
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), "float32"),
        (np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 13, np.uint8), r"unknown ids \[13\]"),
    ],
)
def test_what_is_no_scene_is_refused(tmp_path: Path, image: np.ndarray, mask: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        SceneSetWriter(tmp_path, CHOLECSEG8K).add(0, image, mask)
    assert not (tmp_path / "images").exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SceneSetWriter(tmp_path, CHOLECSEG8K, HEADER)
    writer.add(0, *_pair(0))
    before = _files(tmp_path)
    saved = Image.Image.save

    def full(self: Image.Image, path: Path, *arguments: object) -> None:
        if self.mode == "P":  # the mask is the second file of a scene
            Path(path).write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(self, path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DataError, match=r"masks/000001\.png.*No space left on device") as told:
        writer.add(1, *_pair(1))
    assert "Free some space" in told.value.remedy
    assert 1 not in writer.done
    monkeypatch.undo()
    left = _files(tmp_path)
    assert left.pop("images/000001.png")  # whole, and overwritten when the scene is added again
    assert left == before
    writer.add(1, *_pair(1))
    assert [json.loads(line)["index"] for line in (tmp_path / "manifest.jsonl").read_text().splitlines()] == [
        0,
        1,
    ]


def test_a_folder_that_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes\.json"):
        open_set(tmp_path)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "masks/../../secret.png", 3, None])
def test_a_manifest_names_no_file_outside_of_its_set(name: object, tmp_path: Path) -> None:
    Image.new("P", (8, 6)).save(tmp_path / "secret.png")
    writer = SceneSetWriter(tmp_path / "set", CHOLECSEG8K, HEADER)
    writer.add(0, *_pair(0))
    writer.finish()
    manifest = tmp_path / "set" / "manifest.jsonl"
    line = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(line | {"mask": name}) + "\n")
    (fault,) = list_set(tmp_path / "set").faults
    assert f"names the file {name!r}, which is not in the set" in fault.what
    with pytest.raises(DataError, match="line 1 is damaged"):
        open_set(tmp_path / "set")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"request": {"classes": [{"class_id": 13}]}}, "table has not"),
        ({"request": {"classes": [{"class_id": "a"}]}}, "class 'a'"),
        ({"request": {"classes": [{"a": 1}]}}, "request is damaged"),
        ({"request": []}, "request"),
        ({"kept": {"classes": []}}, "kept"),
        ({"scores": {"agreement": "high"}}, "scores"),
        ({"group": 3}, "group"),
        ({"order": 1.5}, "order"),
    ],
)
def test_a_line_of_a_manifest_says_what_lines_say(
    change: dict[str, object], word: str, tmp_path: Path
) -> None:
    writer = SceneSetWriter(tmp_path, CHOLECSEG8K, HEADER)
    writer.add(0, *_pair(0))
    writer.finish()
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change) + "\n")
    (fault,) = list_set(tmp_path).faults
    assert "line 1 is damaged" in fault.what
    assert word in fault.what
