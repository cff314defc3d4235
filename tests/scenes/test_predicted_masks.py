"""Masks of other people's models: whose they are, what they mean, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarescene.foundation.errors import DataError
from rarescene.scenes import ClassTable, SceneClass, SceneSet, open_scenes, write_image
from rarescene.scenes.export.nnunet import nnunet_labels
from rarescene.scenes.predicted_masks import PredictedMasks

CLASSES = ClassTable("two", (SceneClass(0, "liver", (200, 0, 0)), SceneClass(1, "blood", (0, 0, 200))))
NAMES = ("case1/frame_1", "case1/frame_2", "case2/frame_1")


def masks() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.integers(0, 2, (6, 8)).astype(np.uint8) for name in NAMES}


def data(root: Path, **of_classes: object) -> SceneSet:
    """Write a folder of three scenes; `of_classes` joins its class table."""
    value = {0: 0, 1: 1}
    table = CLASSES.to_dict()
    if "values" in of_classes:
        for entry, number in zip(table["classes"], of_classes["values"], strict=True):  # type: ignore[call-overload]
            entry["values"] = [number]
            value[entry["id"]] = number
    for name, mask in masks().items():
        write(root / f"masks/{name}.png", np.vectorize(value.get)(mask).astype(np.uint8))
        write(root / f"images/{name}.png", np.zeros((6, 8, 3), np.uint8))
    (root / "classes.json").write_text(json.dumps(table))
    return open_scenes(f"folder:{root}")


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, pixels)


def read(folder: Path, scenes: SceneSet) -> dict[str, np.ndarray]:
    found = PredictedMasks.of(folder, scenes)
    return {record.name: found.mask(record, 6, 8) for record in scenes.records}


@pytest.mark.parametrize("naming", ["{}", "{}_mask", "{}_pred", "{}_label_prediction", "flat"])
def test_masks_are_found_by_the_names_of_the_scenes(tmp_path: Path, naming: str) -> None:
    scenes, out = data(tmp_path / "data"), tmp_path / "predicted"
    for name, mask in masks().items():
        flat = naming == "flat"  # as `rarescene export` names cases
        write(out / f"{name.replace('/', '_') if flat else naming.format(name)}.png", mask)
    found = read(out, scenes)
    for name, mask in masks().items():
        np.testing.assert_array_equal(found[name], mask)


def test_scenes_without_a_mask_are_named_beside_what_is_there(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data"), tmp_path / "predicted"
    write(out / "case2/frame_1.png", masks()["case2/frame_1"])
    write(out / "case2/frame_01.png", masks()["case2/frame_1"])
    with pytest.raises(DataError, match="lacks the masks of 2 of 3 scenes: case1/frame_1, case1/") as error:
        read(out, scenes)
    assert "(case1/frame_1.png); there are case2/frame_01.png, case2/frame_1.png" in error.value.remedy


def test_a_name_that_two_recordings_share_is_not_guessed(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data"), tmp_path / "predicted"
    write(out / "frame_1.png", masks()["case1/frame_1"])
    write(out / "frame_2.png", masks()["case1/frame_2"])
    with pytest.raises(DataError, match="the mask of two scenes, case1/frame_1 and case2/frame_1"):
        read(out, scenes)
    write(out / "more/case1/frame_1.png", masks()["case1/frame_1"])
    write(out / "case1/frame_1.tif", masks()["case1/frame_1"])
    write(out / "case1/frame_1.png", masks()["case1/frame_1"])
    with pytest.raises(DataError, match="several masks of the scene case1/frame_1"):
        read(out, scenes)


def test_values_are_ids_or_those_of_the_data_and_never_guessed(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data", values=(1, 0)), tmp_path / "predicted"
    for name, mask in masks().items():
        write(out / f"{name}.png", mask)  # ids here, the reverse of the data's own values
    with pytest.raises(
        DataError, match="two ways: as ids of the class table, and as the data's own"
    ) as error:
        read(out, scenes)
    assert "classes.json beside the masks" in error.value.remedy
    (out / "classes.json").write_text(json.dumps(CLASSES.to_dict()))
    found = read(out, scenes)
    for name, mask in masks().items():
        np.testing.assert_array_equal(found[name], mask)


def test_the_datas_own_values_and_colours_are_read(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data", values=(10, 255)), tmp_path / "predicted"
    for number, (name, mask) in enumerate(masks().items()):
        ways = (np.array([10, 255], np.uint8)[mask], mask, CLASSES.palette()[mask])
        write(out / f"{name}.png", ways[number])
    found = read(out, scenes)
    for name, mask in masks().items():
        np.testing.assert_array_equal(found[name], mask)


def test_what_nnunet_writes_is_read_by_its_own_table(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data"), tmp_path / "predicted"
    labels, numbers = nnunet_labels(scenes.classes)
    assert labels == {"background": 0, "liver": 1, "blood": 2}
    for name, mask in masks().items():
        write(out / f"{name.replace('/', '_')}.png", numbers[mask])
    (out / "dataset.json").write_text(json.dumps({"labels": {**labels, "ignore": 3}}))
    found = read(out, scenes)
    for name, mask in masks().items():
        np.testing.assert_array_equal(found[name], mask)
    (out / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "blood": 1, "liver": 2}}))
    with pytest.raises(DataError, match="names other labels"):
        read(out, scenes)


def test_another_size_is_brought_to_the_frames_and_pixels_without_a_class_are_refused(tmp_path: Path) -> None:
    scenes, out = data(tmp_path / "data"), tmp_path / "predicted"
    for name, mask in masks().items():
        write(out / f"{name}.png", np.kron(mask, np.ones((3, 3), np.uint8)))
    found = read(out, scenes)
    for name, mask in masks().items():
        np.testing.assert_array_equal(found[name], mask)
    write(out / "case1/frame_1.png", masks()["case1/frame_1"] * np.uint8(255))
    with pytest.raises(DataError, match=r"frame_1.png: .*two ways"):  # white is a class, or nothing
        read(out, scenes)
    odd = masks()["case1/frame_1"].copy()
    odd[0, :3] = 255
    write(out / "case1/frame_1.png", odd)
    with pytest.raises(DataError, match="leaves 3 pixels without a class"):
        read(out, scenes)


@pytest.mark.parametrize("padded", [False, True])
def test_masks_of_the_frames_alone_lie_where_the_frames_do_in_padded_scenes(
    tmp_path: Path, padded: bool
) -> None:
    data(tmp_path / "data")
    scenes, out = open_scenes(f"folder:{tmp_path / 'data'},pad=1x1"), tmp_path / "predicted"
    for name, mask in masks().items():
        write(out / f"{name}.png", np.pad(mask, ((0, 2), (0, 0))) if padded else mask)
    found = PredictedMasks.of(out, scenes)
    for index, record in enumerate(scenes.records):
        truth = scenes.mask(index)
        assert truth.shape == (8, 8)
        shown = found.mask(record, 8, 8)
        labelled = truth != CLASSES.ignore_index
        assert labelled.sum() == 6 * 8
        np.testing.assert_array_equal(shown[labelled], truth[labelled])


def test_a_folder_without_masks_or_of_other_classes_is_refused(tmp_path: Path) -> None:
    scenes = data(tmp_path / "data")
    with pytest.raises(DataError, match="is no folder"):
        read(tmp_path / "nowhere", scenes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no masks"):
        read(tmp_path / "empty", scenes)
    other = ClassTable("other", (*CLASSES.classes, SceneClass(2, "fat", (9, 9, 9))))
    for name, mask in masks().items():
        write(tmp_path / f"other/{name}.png", mask)
    (tmp_path / "other/classes.json").write_text(json.dumps(other.to_dict()))
    with pytest.raises(DataError, match="other classes than the data: liver, blood, fat"):
        read(tmp_path / "other", scenes)
