from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import CHOLECSEG8K, SceneRecord, SceneSet, Split, split_scenes


def _scenes(frames: list[int]) -> SceneSet:
    records = [
        SceneRecord(f"{group}/{frame}", f"video{group:02d}", frame)
        for group, count in enumerate(frames, 1)
        for frame in range(count)
    ]

    def read(record: SceneRecord) -> None:
        raise AssertionError("a split reads no scene")

    return SceneSet("test", CHOLECSEG8K, tuple(records), read)  # type: ignore[arg-type]


@settings(deadline=None)  # the first split looks for the rules of all data sets
@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=12),
    st.integers(0, 99),
    st.sampled_from(["recording", "gauda"]),
)
def test_recordings_stay_whole_and_every_scene_is_in_one_part(frames: list[int], seed: int, how: str) -> None:
    scenes = _scenes(frames)
    split = split_scenes(scenes, how, seed=seed)
    assert sorted(split.train + split.validation + split.test) == list(range(len(scenes)))
    groups = [{scenes.records[i].group for i in part} for part in (split.train, split.validation, split.test)]
    assert all(groups)
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert split.warning is None
    assert split == split_scenes(scenes, how, seed=seed)


def test_seeds_differ_and_shares_are_kept() -> None:
    scenes = _scenes([10] * 20)
    splits = {split_scenes(scenes, seed=seed).test for seed in range(8)}
    assert len(splits) > 4
    assert all(len(test) == 40 for test in splits)


def test_rare_classes_lie_on_both_sides_where_they_can() -> None:
    scenes = _scenes([4] * 10)
    pixels = np.zeros((40, 13), np.int64)
    pixels[:, 0] = 1
    pixels[[0, 5], 8] = 1  # cystic duct in video01 and video02 alone
    for seed in range(10):
        split = split_scenes(scenes, fractions=(0.5, 0.0, 0.5), seed=seed, class_pixels=pixels)
        assert ("video01" in split.recordings["train"]) != ("video02" in split.recordings["train"])


def test_in_time_every_recording_is_cut_in_order() -> None:
    scenes = _scenes([6, 3])
    split = split_scenes(scenes, "time")
    assert split.train == (0, 1, 2, 3, 6, 7)
    assert split.test == (4, 5, 8)
    assert "generalising" in str(split.warning)


def test_the_split_of_casdm_is_by_frame_and_says_what_that_means() -> None:
    split = split_scenes(_scenes([100] * 2), "casdm")
    assert (len(split.train), len(split.test)) == (170, 30)
    assert "near-copies" in str(split.warning)
    assert split.recordings["train"] == split.recordings["test"]


def test_the_split_in_use_for_cholecseg8k() -> None:
    scenes = _scenes([1] * 55)
    split = split_scenes(scenes, "cholecseg8k")
    assert split.recordings["test"] == ("video12", "video27")
    assert split.recordings["validation"] == ("video17", "video52")
    assert len(split.train) == 51
    with pytest.raises(ConfigError, match="video52"):
        split_scenes(_scenes([1] * 30), "cholecseg8k")


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_a_file_names_the_recordings_of_each_part(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"split.{ending}"
    file.write_text(json.dumps({"train": ["video01", "video03"], "test": ["video02"]}))
    split = split_scenes(_scenes([2, 2, 2]), file)
    assert split.train == (0, 1, 4, 5)
    assert split.test == (2, 3)
    assert split.validation == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"train": ["video01"], "test": ["video01"]}, "twice"),
        ({"train": ["video77"]}, "video77"),
        ({"training": []}, "called train"),
        ({"train": []}, "no scene is left"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: dict[str, list[str]], words: str) -> None:
    file = tmp_path / "split.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=words):
        split_scenes(_scenes([2, 2]), file)


def test_an_unknown_rule_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="recording, gauda, time, casdm, cadis, cholecseg8k, fold1, fold2, fold3"
    ):
        split_scenes(_scenes([2]), "recordings")


def test_fractions_must_add_up() -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        split_scenes(_scenes([2, 2, 2]), fractions=(0.5, 0.1, 0.1))


def test_round_trip() -> None:
    split = split_scenes(_scenes([3, 3, 3]), "casdm")
    assert Split.from_dict(json.loads(json.dumps(split.to_dict()))) == split
