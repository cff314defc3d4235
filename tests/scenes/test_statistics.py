from __future__ import annotations

import json

import numpy as np
import pytest

from rarescene.scenes import CHOLECSEG8K, Scene, SceneCache, SceneRecord, SceneSet, class_statistics


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


def test_a_cache_gives_the_same_and_respects_subsets(tmp_path: object) -> None:
    scenes = _scenes()
    cache = SceneCache.build(scenes, 10, 20, tmp_path)  # type: ignore[arg-type]
    assert class_statistics(cache) == class_statistics(scenes)
    assert class_statistics(cache.subset([12, 3])) == class_statistics(scenes.subset([12, 3]))
