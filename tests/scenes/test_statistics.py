from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarescene.scenes import CHOLECSEG8K, Scene, SceneCache, SceneRecord, SceneSet, Split, class_statistics
from rarescene.scenes.data import Data
from rarescene.scenes.statistics import rare_classes


def _scenes() -> SceneSet:
    """Twenty frames of two recordings: liver everywhere, grasper in ten, a vein of two pixels in one."""
    masks = np.full((20, 10, 20), 2, np.uint8)
    masks[:10, :5, :4] = 5
    masks[:10, 8, ::4] = 5
    masks[0, 9, :2] = 11
    masks[:, :, 19] = 255

    def read(record: SceneRecord) -> Scene:
        index = int(record.name)
        return Scene(np.zeros((10, 20, 3), np.uint8), masks[index], record)

    records = tuple(SceneRecord(str(index), f"video{index // 10 + 1}", index % 10) for index in range(20))
    return SceneSet("by hand", CHOLECSEG8K, records, read)


def test_figures_worked_by_hand() -> None:
    told: list[int] = []
    found = class_statistics(_scenes(), progress=lambda done, _: told.append(done))
    assert told[-1] == 20
    liver, grasper, vein, blood = (found[name] for name in ("liver", "grasper", "hepatic vein", "blood"))
    assert (liver.frames, liver.share_of_frames, liver.recordings, liver.is_rare, liver.why) == (
        20,
        1.0,
        2,
        False,
        "",
    )
    assert liver.mean_area == pytest.approx((10 * 165 + 10 * 190 - 2) / 20 / 200)
    assert (grasper.frames, grasper.share_of_frames, grasper.components) == (10, 0.5, 6.0)
    assert grasper.mean_area == 25 / 200
    assert not grasper.is_rare
    assert grasper.why == "in video1 alone, so a split by recording cannot score it"
    assert vein.is_rare
    assert vein.why.startswith("in 5.0% of the frames (below 10%); in video1 alone")
    assert (blood.frames, blood.is_rare, blood.why) == (0, False, "never occurs")
    assert found.unlabelled == pytest.approx(0.05)
    assert [entry.name for entry in found.rare] == ["hepatic vein"]
    json.dumps(found.to_dict(), allow_nan=False)


def test_thresholds_are_arguments() -> None:
    names = [entry.name for entry in class_statistics(_scenes(), frame_share=0.0, area_share=0.2).rare]
    assert names == ["grasper", "hepatic vein"]


def _of(masks: np.ndarray, recordings: list[str]) -> SceneSet:
    def read(record: SceneRecord) -> Scene:
        return Scene(np.zeros((*masks.shape[1:], 3), np.uint8), masks[int(record.name)], record)

    records = tuple(SceneRecord(str(index), group, index) for index, group in enumerate(recordings))
    return SceneSet("by hand", CHOLECSEG8K, records, read)


def test_a_share_of_all_pixels_and_of_the_recordings_makes_rare() -> None:
    masks = np.full((16, 20, 20), 2, np.uint8)
    masks[:2, :, :2] = 5  # in 2 of 16 frames with a tenth of each, and in 2 of 8 recordings
    masks[2:5, :2, :3] = 7  # in 3 of 16 frames with 1.5 % of each, and in 3 of 8 recordings
    found = class_statistics(_of(masks, [f"video{index % 8}" for index in range(16)]))
    assert found["grasper"].share_of_pixels == pytest.approx(0.0125)
    assert found["grasper"].why == "in 2 of 8 recordings (at most 25%)"
    assert found["blood"].share_of_pixels == pytest.approx(3 * 0.015 / 16)
    assert found["blood"].why == "has 0.28% of all pixels (below 0.5%)"
    assert [entry.name for entry in found.rare] == ["grasper", "blood"]
    seven = class_statistics(_of(masks, [f"video{index % 7}" for index in range(16)]))
    assert [entry.name for entry in seven.rare] == ["blood"]  # of 7 recordings a share says too little


def test_rare_is_what_is_rare_in_the_training_part_and_nothing_rare_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RARESCENE_CACHE", str(tmp_path))
    masks = np.full((20, 20, 20), 2, np.uint8)
    masks[[0, *range(12, 20)], :4, :4] = 5  # rare in the first twelve frames, which train
    masks[:12, 10:] = 7
    scenes = _of(masks, [f"video{index // 4}" for index in range(20)])

    def split(train: range) -> Data:
        options = dict.fromkeys(("split", "fractions", "split_seed", "group_by"))
        return Data("by hand", scenes, Split(tuple(train), (), (), "by hand"), options)

    assert rare_classes(split(range(12))) == ("grasper",)
    assert rare_classes(split(range(12)), "blood, 2") == ("blood", "liver")
    assert rare_classes(split(range(4, 12))) == ()
    said = " ".join(capsys.readouterr().out.split())
    assert "no class is rare in the training part of by hand; the least shown is 'liver'" in said
    assert "--classes" in said


def test_a_cache_gives_the_same_and_respects_subsets(tmp_path: object) -> None:
    scenes = _scenes()
    cache = SceneCache.build(scenes, 10, 20, tmp_path)  # type: ignore[arg-type]
    assert class_statistics(cache) == class_statistics(scenes)
    assert class_statistics(cache.subset([12, 3])) == class_statistics(scenes.subset([12, 3]))
