"""The real clip: 72 frames of one CholecSeg8k recording. It shows that real files work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import CHOLECSEG8K, SceneCache, class_statistics, open_scenes, scan_scenes, split_scenes

PRESENT = {
    "black background",
    "abdominal wall",
    "liver",
    "gastrointestinal tract",
    "fat",
    "grasper",
    "L-hook electrocautery",
    "gallbladder",
}


def test_the_clip_has_no_faults_and_eight_classes(real_clip: Path) -> None:
    told: list[tuple[int, int]] = []
    found = scan_scenes(f"cholecseg8k:{real_clip}", progress=lambda done, all_: told.append((done, all_)))
    assert found.faults == ()
    assert found.scenes is not None
    assert len(found.scenes) == 72
    assert found.scenes.groups == ("video48",)
    assert found.scenes.licence == "CC BY-NC-SA 4.0"
    assert [record.order for record in found.scenes.records] == list(range(561, 633))
    present = {CHOLECSEG8K.names[class_id] for class_id in np.flatnonzero(found.class_pixels.sum(axis=0))}
    assert present == PRESENT
    assert any("single recording" in note for note in found.notes)
    assert sum("never occurs" in note for note in found.notes) == 13 - 8
    assert told[-1] == (72, 72)


def test_ids_agree_with_the_colour_mask_that_lies_beside(real_clip: Path) -> None:
    scene = open_scenes(f"cholecseg8k:{real_clip}")[40]
    assert scene.image.shape == (480, 854, 3)
    assert scene.mask.shape == (480, 854)
    assert set(np.unique(scene.mask)) <= {*range(13), 255}
    assert scene.record.mask is not None
    beside = scene.record.mask.with_name(scene.record.mask.name.replace("watershed", "color"))
    colours = np.asarray(Image.open(beside).convert("RGB"))
    np.testing.assert_array_equal(CHOLECSEG8K.colourise(scene.mask), colours)


def test_one_recording_is_split_in_time_and_not_by_recording(real_clip: Path) -> None:
    scenes = open_scenes(f"cholecseg8k:{real_clip}")
    with pytest.raises(ConfigError, match="--split time"):
        split_scenes(scenes)
    split = split_scenes(scenes, "time")
    assert split.train == tuple(range(48))
    assert split.test == tuple(range(48, 72))
    assert split.validation == ()
    assert split.warning is not None
    assert "generalising" in split.warning


def test_the_cache_keeps_every_class_of_the_clip(real_clip: Path, tmp_path: Path) -> None:
    scenes = open_scenes(f"cholecseg8k:{real_clip}").subset(range(0, 72, 6))
    cache = SceneCache.build(scenes, 64, 64, tmp_path)
    full = np.stack([np.bincount(scene.mask.ravel(), minlength=256)[:13] > 0 for scene in scenes])
    np.testing.assert_array_equal(cache.class_pixels > 0, full)
    statistics = class_statistics(cache)
    assert statistics["fat"].share_of_frames == 1.0
    assert statistics["blood"].frames == 0
