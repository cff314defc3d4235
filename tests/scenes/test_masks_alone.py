"""Scenes without images: read, cached, counted, stored; and refused where an image is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import (
    CHOLECSEG8K,
    SceneCache,
    SceneSetWriter,
    class_statistics,
    open_scenes,
    open_set,
    read_confidence,
    scan_scenes,
)

COUNT, HEIGHT, WIDTH = 6, 12, 20


@pytest.fixture
def masks_alone(tmp_path: Path) -> Path:
    """A set of six masks from three recordings."""
    writer = SceneSetWriter(tmp_path / "maps", CHOLECSEG8K)
    for index in range(COUNT):
        writer.add(index, None, _mask(index), {"group": f"video{index % 3}"}, _confidence(index))
    writer.finish()
    return tmp_path / "maps"


def _mask(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 13, (HEIGHT, WIDTH)).astype(np.uint8)


def _confidence(index: int) -> np.ndarray:
    return np.random.default_rng([index, 1]).random((HEIGHT, WIDTH))


def test_a_set_of_masks_round_trip(masks_alone: Path) -> None:
    assert not (masks_alone / "images").exists()
    lines = [json.loads(line) for line in (masks_alone / "manifest.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(COUNT))
    assert not any("image" in line for line in lines)
    scenes = open_set(masks_alone)
    assert not scenes.has_images
    assert scenes.records[2].name == "masks/000002"
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(scene.mask, _mask(index))
        np.testing.assert_array_equal(scenes.mask(index), _mask(index))
        told = read_confidence(scene.record)
        assert told is not None
        np.testing.assert_allclose(told, _confidence(index), atol=0.5 / 255 + 1e-6)
    with pytest.raises(DataError, match=r"masks/000000.*has no image"):
        _ = scenes[0].image


def test_pairs_may_tell_their_confidence_too(tmp_path: Path) -> None:
    writer = SceneSetWriter(tmp_path / "set", CHOLECSEG8K)
    image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    writer.add(10_001, image, _mask(0), {}, _confidence(0))  # in a shard
    writer.add(1, image, _mask(1))
    scenes = writer.finish()
    assert scenes.has_images
    assert read_confidence(scenes.records[0]) is None
    told = read_confidence(scenes.records[1])
    assert told is not None
    np.testing.assert_allclose(told, _confidence(0), atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(scenes[1].image, image)


@pytest.mark.parametrize(
    "confidence",
    [np.zeros((HEIGHT, WIDTH + 1)), np.full((HEIGHT, WIDTH), 1.5), np.full((HEIGHT, WIDTH), np.nan)],
)
def test_an_impossible_confidence_is_refused(tmp_path: Path, confidence: np.ndarray) -> None:
    writer = SceneSetWriter(tmp_path / "set", CHOLECSEG8K)
    with pytest.raises(DataError, match="confidence"):
        writer.add(0, None, _mask(0), {}, confidence)
    assert not list((tmp_path / "set").rglob("*.png"))


def test_a_lost_confidence_is_a_fault_and_what_no_line_names_is_left_alone(masks_alone: Path) -> None:
    lost = masks_alone / "confidence" / "000003.png"
    shutil.copy(lost, masks_alone / "confidence" / "000099.png")
    SceneSetWriter(masks_alone, CHOLECSEG8K).finish()
    assert (masks_alone / "confidence" / "000099.png").is_file()
    lost.unlink()
    faults = scan_scenes(f"set:{masks_alone}").faults
    assert [fault.file for fault in faults] == [lost]
    again = SceneSetWriter(masks_alone, CHOLECSEG8K)  # a resumed run draws what is not whole once more
    assert again.done == set(range(COUNT)) - {3}


def test_masks_are_cached_alone(masks_alone: Path, tmp_path: Path) -> None:
    scenes = open_set(masks_alone)
    cache = SceneCache.build(scenes, HEIGHT, WIDTH, tmp_path / "cache", images=False)
    assert not (cache.folder / "images.npy").exists()
    np.testing.assert_array_equal(cache.take_masks([4, 1, 1]), [_mask(4), _mask(1), _mask(1)])
    np.testing.assert_array_equal(cache.subset([5, 2]).take_masks([1]), [_mask(2)])
    np.testing.assert_array_equal(cache.class_pixels[0], np.bincount(_mask(0).ravel(), minlength=13))
    np.testing.assert_array_equal(cache[3].mask, _mask(3))
    assert cache.recordings == tuple(f"video{index % 3}" for index in range(COUNT))
    with pytest.raises(DataError, match="masks and no images"):
        cache.take([0])
    with pytest.raises(DataError, match="holds no images"):
        SceneCache.build(scenes, HEIGHT, WIDTH, tmp_path / "cache")
    assert class_statistics(cache).to_dict() == class_statistics(scenes).to_dict()


def test_both_kinds_of_cache_stand_side_by_side(tmp_path: Path) -> None:
    writer = SceneSetWriter(tmp_path / "set", CHOLECSEG8K)
    for index in range(3):
        writer.add(index, np.full((HEIGHT, WIDTH, 3), index, np.uint8), _mask(index))
    scenes = writer.finish()
    alone = SceneCache.build(scenes, 6, 10, tmp_path / "cache", images=False)
    whole = SceneCache.build(scenes, 6, 10, tmp_path / "cache")
    assert alone.folder != whole.folder
    np.testing.assert_array_equal(alone.take_masks([0, 2]), whole.take_masks([0, 2]))
    np.testing.assert_array_equal(whole.take([2, 0])[1], whole.take_masks([2, 0]))
    # No image is looked at where none is wanted: a damaged one does not matter.
    (tmp_path / "set/images/000001.png").write_bytes(b"no image")
    assert (
        SceneCache.build(open_set(tmp_path / "set"), 6, 10, tmp_path / "cache", images=False).folder
        == alone.folder
    )
    assert class_statistics(open_set(tmp_path / "set")).frames == 3


def test_phantoms_drawn_on_demand_have_images(tmp_path: Path) -> None:
    scenes = open_scenes("phantom:videos=2,frames=2,size=16")
    assert scenes.has_images
    alone = SceneCache.build(scenes, 16, 16, tmp_path, images=False)
    whole = SceneCache.build(scenes, 16, 16, tmp_path)
    assert alone.folder != whole.folder
    np.testing.assert_array_equal(alone.take_masks(range(4)), whole.take_masks(range(4)))


def test_check_notes_what_masks_alone_are_good_for(
    masks_alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"set:{masks_alone}"]) == 0
    assert "6 of 6 scenes have a mask and no image" in " ".join(capsys.readouterr().out.split())
    assert main(["stats", f"set:{masks_alone}"]) == 0


def test_a_broken_mask_among_masks_alone_is_listed(masks_alone: Path) -> None:
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save(masks_alone / "masks" / "000002.png")
    found = scan_scenes(f"set:{masks_alone}")
    assert len(found.faults) == 1
    assert "77" in found.faults[0].what


@pytest.mark.parametrize("command", [["train", "casdm"], ["segment", "unet"]])
def test_training_on_masks_alone_ends_at_once(
    command: list[str], masks_alone: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*command, "--data", f"set:{masks_alone}", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "holds no images" in said
    assert "Restore the image files" in said
    assert not list((tmp_path / "run").glob("**/*.safetensors"))


def test_another_header_is_still_another_set(masks_alone: Path) -> None:
    with pytest.raises(ConfigError):
        SceneSetWriter(masks_alone, CHOLECSEG8K, {"licence": "other"})
