from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import DataError
from rarescene.scenes import (
    CHOLECSEG8K,
    Scene,
    SceneCache,
    SceneRecord,
    SceneSet,
    data_digest,
    open_scenes,
    pixel_digest,
)
from rarescene.scenes.transforms import resize_image, resize_mask

CLASSES = [{"id": 0, "name": "a", "colour": [0, 0, 0]}, {"id": 1, "name": "b", "colour": [1, 1, 1]}]
SPEC = "phantom:videos=3,frames=4,size=32,seed=1"


def test_what_is_cached_is_what_was_read_and_resized(tmp_path: Path) -> None:
    scenes = open_scenes(SPEC)
    told: list[int] = []
    cache = SceneCache.build(scenes, 16, 24, tmp_path, progress=lambda done, _: told.append(done))
    assert told == list(range(1, 13))
    assert cache.size == (16, 24)
    assert cache.names == tuple(record.name for record in scenes.records)
    assert cache.groups == scenes.groups
    assert cache.recordings == scenes.recordings
    assert cache.classes == scenes.classes
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(cache[index].image, resize_image(scene.image, 16, 24))
        np.testing.assert_array_equal(cache[index].mask, resize_mask(scene.mask, 16, 24))
        np.testing.assert_array_equal(
            cache.class_pixels[index], np.bincount(cache[index].mask.ravel(), minlength=13)[:13]
        )
    assert sorted(path.name for path in cache.folder.iterdir()) == ["images.npy", "index.json", "masks.npy"]


@pytest.mark.parametrize("indices", [[5], [7, 2, 2, 0]])
def test_take_keeps_the_order_asked_for_and_respects_subsets(tmp_path: Path, indices: list[int]) -> None:
    cache = SceneCache.build(open_scenes(SPEC), 16, 16, tmp_path)
    images, masks = cache.take(indices)
    np.testing.assert_array_equal(images, [cache[index].image for index in indices])
    np.testing.assert_array_equal(masks, [cache[index].mask for index in indices])
    assert images.flags.writeable
    part = cache.subset(range(11, -1, -1)).of_groups(["video02"])
    assert len(part) == 4
    assert [record.order for record in part.records] == [3, 2, 1, 0]
    np.testing.assert_array_equal(part.take([0])[0][0], cache[7].image)
    np.testing.assert_array_equal(part.class_pixels[0], cache.class_pixels[7])


def test_it_is_found_again_and_changed_files_make_another(tmp_path: Path) -> None:
    for kind, value in (("images", 90), ("masks", 1)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for frame in range(3):
            Image.new("RGB" if kind == "images" else "L", (20, 20), value).save(
                tmp_path / "data" / kind / f"{frame}.png"
            )
    (tmp_path / "data" / "classes.json").write_text(json.dumps({"classes": CLASSES}))
    spec = f"folder:{tmp_path / 'data'}"
    first = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    written = (first.folder / "images.npy").stat().st_mtime_ns
    assert (
        SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache").folder / "images.npy"
    ).stat().st_mtime_ns == written
    assert SceneCache.build(open_scenes(spec), 8, 9, tmp_path / "cache").folder != first.folder
    Image.new("L", (20, 20), 0).save(tmp_path / "data" / "masks" / "1.png")
    second = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    assert second.folder != first.folder
    assert second.class_pixels[:, 1].tolist() == [64, 0, 64]


def _exchange(one: Path, other: Path) -> None:
    """Exchange two files, each with the size and the time of the other, as a restored copy has them."""
    contents, times = [path.read_bytes() for path in (one, other)], one.stat().st_mtime_ns
    for path, content in zip((one, other), reversed(contents), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(times, times))


def _bitmaps(root: Path, table: dict[str, Any]) -> str:
    """Write three scenes whose masks are files of one size and one time."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for frame in range(3):
        Image.new("RGB", (20, 20), 90).save(root / "images" / f"{frame}.png")
        mask = root / "masks" / f"{frame}.bmp"
        Image.new("L", (20, 20), frame % 2).save(mask)
        os.utime(mask, ns=(10**18, 10**18))
    (root / "classes.json").write_text(json.dumps(table))
    return f"folder:{root}"


def _valued(*values: int, **more: Any) -> dict[str, Any]:
    return {"classes": [entry | {"values": [v]} for entry, v in zip(CLASSES, values, strict=True)], **more}


@pytest.mark.parametrize(
    ("table", "pixels"),
    [
        (_valued(1, 0), [64, 0, 64]),
        (_valued(0, 7, ignore_values=[1]), [0, 0, 0]),
        ({"classes": [*CLASSES, {"id": 2, "name": "c", "colour": [2, 2, 2]}]}, [0, 64, 0]),
    ],
)
def test_what_the_values_of_masks_mean_is_in_the_key(
    table: dict[str, Any], pixels: list[int], tmp_path: Path
) -> None:
    spec = _bitmaps(tmp_path / "data", {"classes": CLASSES})
    first = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    assert first.class_pixels[:, 1].tolist() == [0, 64, 0]
    (tmp_path / "data" / "classes.json").write_text(json.dumps(table))
    second = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    assert second.class_pixels[:, 1].tolist() == pixels
    assert second.digest != first.digest


def test_masks_that_are_exchanged_are_noticed_whatever_their_size_and_time(tmp_path: Path) -> None:
    spec = _bitmaps(tmp_path / "data", {"classes": CLASSES})
    first = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    _exchange(tmp_path / "data/masks/0.bmp", tmp_path / "data/masks/1.bmp")
    second = SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache")
    assert second.class_pixels[:, 1].tolist() == [64, 0, 0]
    assert second.digest != first.digest
    assert second.subset([2]).digest == first.subset([2]).digest
    _exchange(tmp_path / "data/masks/0.bmp", tmp_path / "data/masks/1.bmp")
    assert SceneCache.build(open_scenes(spec), 8, 8, tmp_path / "cache").digest == first.digest


def test_a_digest_tells_every_pixel_name_and_class() -> None:
    image, mask = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    other = mask.copy()
    other[3, 3] = 1
    pixels = [pixel_digest(image, mask), pixel_digest(None, mask), pixel_digest(image, other)]
    assert len(set(pixels)) == 3
    told = data_digest(CHOLECSEG8K, ["a", "b"], pixels[:2])
    assert told != data_digest(CHOLECSEG8K, ["a", "c"], pixels[:2])
    assert told != data_digest(CHOLECSEG8K, ["b", "a"], pixels[1::-1])
    assert told != data_digest(replace(CHOLECSEG8K, ignore_index=254), ["a", "b"], pixels[:2])


def test_phantoms_of_another_size_are_another_cache(tmp_path: Path) -> None:
    small = open_scenes(SPEC)
    large = replace(open_scenes(SPEC.replace("size=32", "size=48")), name=small.name)
    assert (
        SceneCache.build(small, 16, 16, tmp_path).folder != SceneCache.build(large, 16, 16, tmp_path).folder
    )


def _numbered(count: int, broken: int | None = None) -> SceneSet:
    def read(record: SceneRecord) -> Scene:
        if record.order == broken:
            raise DataError("is truncated", "Copy it again.", record.name)
        image = np.full((8, 8, 3), record.order % 251, np.uint8)
        return Scene(image, np.full((8, 8), record.order % 13, np.uint8), record)

    records = tuple(SceneRecord(f"scene{index}", "a", index) for index in range(count))
    return SceneSet("numbered", CHOLECSEG8K, records, read)


def test_a_broken_file_is_named_and_what_was_decoded_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scene290"):
        SceneCache.build(_numbered(300, broken=290), 8, 8, tmp_path)
    assert not list(tmp_path.glob("*/index.json"))
    told: list[int] = []
    cache = SceneCache.build(_numbered(300), 8, 8, tmp_path, progress=lambda done, _: told.append(done))
    assert told[0] == 257  # the first block of 256 was on disk already
    np.testing.assert_array_equal(cache.images[:, 0, 0, 0], np.arange(300) % 251)


def test_no_scenes_and_a_full_disk_are_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no scenes"):
        SceneCache.build(_numbered(0), 8, 8, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match="No space left on device"):
        SceneCache.build(_numbered(3), 8, 8, tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_damaged_cache_says_so(tmp_path: Path) -> None:
    cache = SceneCache.build(_numbered(3), 8, 8, tmp_path)
    (cache.folder / "masks.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="Delete this folder"):
        SceneCache.open(cache.folder)


@pytest.mark.parametrize("spoil", ["gone", "cut", "changed", "none", "short", "empty", "zeros"])
def test_a_damaged_cache_heals_itself(spoil: str, tmp_path: Path) -> None:
    whole = SceneCache.build(_numbered(3), 8, 8, tmp_path)
    folder, digest = whole.folder, whole.digest
    index, masks = folder / "index.json", folder / "masks.npy"
    if spoil == "gone":
        index.unlink()
    elif spoil == "cut":
        index.write_text(index.read_text()[:50])
    elif spoil == "changed":
        index.write_text(index.read_text().replace("scene1", "scene7"))
    elif spoil == "none":
        index.write_text("[null]")
    elif spoil == "short":
        masks.write_bytes(masks.read_bytes()[:-5])
    elif spoil == "zeros":
        np.save(masks, np.zeros((3, 8, 8), np.uint8))
    else:
        masks.write_bytes(b"")
    healed = SceneCache.build(_numbered(3), 8, 8, tmp_path)
    assert (healed.folder, healed.digest, healed.names) == (folder, digest, ("scene0", "scene1", "scene2"))
    np.testing.assert_array_equal(healed.masks[:, 0, 0], [0, 1, 2])


def test_damage_in_the_middle_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    folder = SceneCache.build(_numbered(9), 8, 8, tmp_path).folder
    for kind in ("masks", "images"):
        array = np.load(folder / f"{kind}.npy", mmap_mode="r+")
        array[2, 3] += 1
        array.flush()
        cache = SceneCache.build(_numbered(9), 8, 8, tmp_path)
        cache.take([0, 1, 8])
        with pytest.raises(DataError, match=f"damaged in row 2 of its {kind}") as told:
            cache.subset([2, 3]).take([0])
        assert "Delete this folder" in told.value.remedy
        array[2, 3] -= 1
        array.flush()


def test_a_cache_is_not_healed_over_somebody_elses_files(tmp_path: Path) -> None:
    cache = SceneCache.build(_numbered(3), 8, 8, tmp_path)
    (cache.folder / "index.json").unlink()
    (cache.folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="cannot be written"):
        SceneCache.build(_numbered(3), 8, 8, tmp_path)
    assert (cache.folder / "notes.txt").read_text() == "mine"


BUILD = """
import sys
from pathlib import Path
from rarescene.scenes import SceneCache, open_scenes
SceneCache.build(open_scenes("phantom:videos=2,frames=300,size=32,seed=3"), 16, 16, Path(sys.argv[1]))
"""


def test_a_build_killed_at_any_time_ends_equal_to_an_undisturbed_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    for delay in (0.3, 0.8):
        process = subprocess.Popen([*command, str(tmp_path / "killed")])
        while not list((tmp_path / "killed").glob("*.partial/done.npy")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True)
    whole, killed = (
        SceneCache.open(next((tmp_path / name).glob("*/index.json")).parent) for name in ("whole", "killed")
    )
    for file in ("images.npy", "masks.npy", "index.json"):
        assert (whole.folder / file).read_bytes() == (killed.folder / file).read_bytes()
    shutil.rmtree(tmp_path)


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from rarescene.scenes import SceneCache
def own():
    return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])
cache = SceneCache.open(Path(sys.argv[1]))
rng = np.random.default_rng(0)
cache.take([0])
before = own()
for _ in range(200):
    cache.take(rng.integers(0, len(cache), 8))
print(own() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the process's own memory from /proc"
)
def test_a_process_does_not_grow_with_the_number_of_scenes(tmp_path: Path) -> None:
    grown = []
    for count in (100, 3000):
        cache = SceneCache.build(_numbered(count), 64, 64, tmp_path)
        result = subprocess.run(
            [sys.executable, "-c", MEMORY, str(cache.folder)], check=True, capture_output=True, text=True
        )
        grown.append(int(result.stdout))
    assert grown[1] < grown[0] + 2000  # kB; all pixels of the larger cache are 49,000 kB
