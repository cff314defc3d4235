"""COCO: read back with pycocotools and by the formula of panoptic ids; masks come back pixel by pixel."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy import ndimage

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import Export, ExportSource, write_coco
from rarescene.scenes.export.coco import class_pieces, panoptic_segments, run_lengths

from .exporting import TABLE, mixed, scene_set

MASKS = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, 3, 255])
)


@given(MASKS)
def test_pieces_are_run_length_encoded_as_pycocotools_does(mask: np.ndarray) -> None:
    coder = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    height, width = mask.shape
    found = np.full(mask.shape, 255, np.uint8)
    for piece in class_pieces(mask, range(4)):
        runs = run_lengths(piece, height, width)
        whole = np.asfortranarray(coder.decode(runs))
        assert coder.encode(whole)["counts"].decode() == runs["counts"]
        assert coder.toBbox(runs).tolist() == piece.box
        assert coder.area(runs) == piece.area == whole.sum()
        assert ndimage.label(whole, np.ones((3, 3)))[1] == 1
        assert (found[whole == 1] == 255).all()  # pieces do not overlap
        found[whole == 1] = piece.class_id
    np.testing.assert_array_equal(found, mask)


@given(MASKS, st.sets(st.sampled_from([0, 1, 2, 3])))
def test_segments_cover_all_that_is_labelled(mask: np.ndarray, things: set[int]) -> None:
    segments = list(panoptic_segments(mask, TABLE, things))
    found = np.full(mask.shape, 255, np.uint8)
    for segment in segments:
        height, width = segment.region.shape
        found[segment.top : segment.top + height, segment.left : segment.left + width][segment.region] = (
            segment.class_id
        )
    np.testing.assert_array_equal(found, mask)
    counts = Counter(segment.class_id for segment in segments)
    for class_id in set(np.unique(mask).tolist()) - {255}:
        pieces = ndimage.label(mask == class_id, np.ones((3, 3)))[1]
        assert counts[class_id] == (pieces if class_id in things else 1)


@pytest.mark.parametrize("things", [(), (2, 3)])
def test_pycocotools_reads_back_what_was_written(things: tuple[int, ...], tmp_path: Path) -> None:
    COCO = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed").COCO  # noqa: N806
    export = mixed()
    out = write_coco(export, tmp_path / "coco", things)
    for part, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        coco = COCO(out / "annotations" / f"instances_{folder}.json")
        cases = {f"{case.name}.png": case for case in export.of_part(part)}
        assert {image["file_name"] for image in coco.imgs.values()} == set(cases)
        names = {entry["name"] for entry in coco.loadCats(coco.getCatIds())}
        assert names == ({"grasper", "vein"} if things else {"background", "liver", "grasper", "vein"})
        for number, image in coco.imgs.items():
            case = cases[image["file_name"]]
            scene = export.read(case)
            assert image["synthetic"] is image["phantom"] is case.source.synthetic
            assert image["unlabelled"] == pytest.approx((scene.mask == 255).mean(), abs=1e-6)
            with Image.open(out / folder / image["file_name"]) as stored:
                np.testing.assert_array_equal(np.asarray(stored), scene.image)
            found = np.full(scene.mask.shape, 255, np.uint8)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[number])):
                piece = coco.annToMask(annotation) == 1
                assert annotation["iscrowd"] == 0
                assert annotation["area"] == piece.sum()
                found[piece] = coco.cats[annotation["category_id"]]["id"] - 1
            shown = np.isin(scene.mask, things) if things else scene.mask != 255
            np.testing.assert_array_equal(found, np.where(shown, scene.mask, 255))


@pytest.mark.parametrize("things", [(), (2,)])
def test_panoptic_pictures_say_the_same_by_id(things: tuple[int, ...], tmp_path: Path) -> None:
    export = mixed()
    out = write_coco(export, tmp_path / "coco", things)
    cases = {f"{case.name}.png": case for case in export.cases}
    seen = 0
    for folder in ("train", "val", "test"):
        content = json.loads((out / "annotations" / f"panoptic_{folder}.json").read_text())
        assert [bool(entry["isthing"]) for entry in content["categories"]] == [
            index in things for index in range(4)
        ]
        for annotation in content["annotations"]:
            with Image.open(out / "annotations" / f"panoptic_{folder}" / annotation["file_name"]) as stored:
                assert stored.mode == "RGB"
                ids = np.asarray(stored).astype(int) @ [1, 256, 256**2]
            mask = export.read(cases[annotation["file_name"]]).mask
            found = np.full(mask.shape, 255)
            assert {0, *(one["id"] for one in annotation["segments_info"])} == set(np.unique(ids)) | {0}
            for segment in annotation["segments_info"]:
                region = ids == segment["id"]
                y, x = np.nonzero(region)
                box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
                assert segment["area"] == region.sum()
                assert segment["bbox"] == box
                found[region] = segment["category_id"] - 1
            np.testing.assert_array_equal(found, mask)  # void exactly where nothing is labelled
            seen += 1
    assert seen == len(export)


def test_over_256_segments_go_on_into_the_next_channel(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[::2, ::2] = 2  # 600 pieces
    scenes = scene_set({"a/1": (np.zeros((40, 60, 3), np.uint8), mask)})
    out = write_coco(Export.of("t", [ExportSource(scenes, {"train": [0]})]), tmp_path / "coco", (2,))
    with Image.open(out / "annotations/panoptic_train/a_1.png") as stored:
        ids = np.asarray(stored).astype(int) @ [1, 256, 256**2]
    assert sorted(np.unique(ids)) == list(range(1, 602))
    assert len(json.loads((out / "annotations/instances_train.json").read_text())["annotations"]) == 600


def test_a_thing_that_is_no_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no class ids"):
        write_coco(mixed(), tmp_path / "coco", (4,))
    assert not list(tmp_path.iterdir())
