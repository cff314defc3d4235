"""Recordings are told by names; where the rule is not clear, whoever splits is told."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.scenes import open_scenes, scan_scenes
from rarescene.scenes.data import open_data
from rarescene.scenes.datasets.groups import frame_number, places_in_recordings, why_unclear

TABLE = {
    "classes": [{"id": 0, "name": "a", "colour": [0, 0, 0]}, {"id": 1, "name": "b", "colour": [1, 1, 1]}]
}


def told(names: list[str]) -> tuple[list[str], str]:
    """Return the recordings of names, sorted, and why they may be wrong."""
    places = places_in_recordings(names, "alone")
    groups = [group for group, _ in places]
    return sorted(set(groups)), why_unclear(zip(names, groups, strict=True))


def named(pattern: str, cases: int = 3, frames: int = 4) -> list[str]:
    return [pattern.format(c=case, i=frame) for case in range(1, cases + 1) for frame in range(frames)]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (named("video{c:02d}_frame_{i:05d}"), ["video01", "video02", "video03"]),
        (named("case{c}_{i:03d}"), ["case1", "case2", "case3"]),
        (named("seq{c:02d}__{i:03d}"), ["seq01", "seq02", "seq03"]),
        (named("case{c}/frame_{i}"), ["case1", "case2", "case3"]),
        (named("video{c:02d}_{i:05d}_endo"), ["video01", "video02", "video03"]),  # a constant ending
        (named("case{c}_00-10-{i:02d}-05"), ["case1", "case2", "case3"]),  # a time of the video
        (named("case{c}_0h10m{i:02d}s"), ["case1", "case2", "case3"]),
        (named("{c}_{i:04d}", 2, 9), ["1", "2"]),
        (named("frame_{i:04d}", 1, 9), ["alone"]),
        (named("day{c}/left/0{i}"), ["day1", "day2", "day3"]),
        (["frame (1)", "frame (2)"], ["alone"]),
        (["patientA_1", "patientA_2", "patientB_1", "patientB_2"], ["patientA", "patientB"]),
        (["A_1", "A_2", "B_1", "B_2"], ["A", "B"]),
        (
            named("patient{c}/video1/{i}") + named("patient{c}/video2/{i}"),
            ["patient1", "patient2", "patient3"],
        ),
        (
            named("2024-05-0{c}_case{c}_{i}", 2),
            ["2024-05-01_case1", "2024-05-02_case2"],
        ),  # one number alone tells
        (named("2024050{c}_12331{c}_{i}", 2), ["20240501_123311", "20240502_123312"]),
    ],
)
def test_clear_names(names: list[str], groups: list[str]) -> None:
    assert told(names) == (groups, "")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            [*named("p1s1__{i:04d}", 1), *named("p1s4__{i:04d}_l", 1), *named("p2s5__{i:04d}_l", 1)],
            "'p1s4__0000_l'",
        ),
        (named("{i:04d}_case{c}"), "that of a case"),
        (named("{i:04d}/case{c}"), "'case1' lies in the folders 0000, 0001"),
        ([f"{number:04d}/image" for number in range(9)], "9 of 9 recordings would have a single frame"),
        (named("{i:04d}_{c:02d}", 3, 9), "which number"),
        (named("frame{i:04d}_{c}", 3, 9), "is called as a frame"),
        (named("op{c}_0{i}_37") + named("op{c}_0{i}_38"), "several numbers tell recordings apart"),
        (named("p{c}s{i}_001", 2, 3) + named("p{c}s{i}_002", 2, 3), "several numbers"),
        (
            ["e0_001_b4c4137c02ac", "e0_002_163a745959c0", "e1_000_bfcd6da15fc6", "e1_001_36c7cb5a7de1"],
            "frame number",
        ),
        (["1a65d2b46d0a", "04ccdc265a0b", "b4c4137c02ac"], "frame number"),
        (["a1b2c3d4e5f60718", "b1b2c3d4e5f60719", "c1b2c3d4e5f6072a3"], "single frame"),
        (named("video{i:02d}", 1, 9), "that of a video"),
        (named("case{c:02d}{i:03d}x1", 3, 3), "single frame"),
        (["portrait", "landscape"], "do not end in a frame number"),
        (["Case1_01", "Case1_02", "case1_03", "case1_04"], "may be one"),
        (["case1_01", "case1_02", "case01_03", "case01_04"], "may be one"),
        (["train/case1_01", "train/case2_01", "test/case3_01"], "a part of a split"),
        (
            ["left/case1_01", "right/case1_01", "left/case2_01", "right/case2_01"],
            "lies in the folders left, right",
        ),
        (["left_1", "left_2", "right_1", "right_2"], "'left' counts as a recording and bears no number"),
        (["L1", "L2", "R1", "R2"], "'L' counts as a recording and bears no number"),
        (["normal/1", "normal/2", "polyp/1", "polyp/2"], "as a kind of frames or a view"),
        (["train_1", "train_2", "test_1", "test_2"], "'test' is called as a part of a split"),
        (named("batch1/case{c}/{i}") + named("batch2/case{c}/{i}"), "'batch1' is called as a part"),
        (named("cam{c}_{i}"), "'cam1' is called as a part of a split or of a view"),
        (named("2024-05-0{c}_12-33-1{i}"), "'2024-05-01' is called as a day"),
        (named("IMG_2024050{c}_12331{i}"), "'IMG_20240501' is called as a day"),
        (named("{i:04d}_p{c}"), "which number of '0000_p1'"),
        (["case1a_1", "case1a_2", "case1b_1", "case1b_2", "case2a_1", "case2a_2"], "'case1a', 'case1b'"),
        (named("case1_{i}_aug{c}"), "that of an aug"),
    ],
)
def test_unclear_names_are_doubted(names: list[str], words: str) -> None:
    assert words in told(names)[1]


def test_positions_pass_over_hashes_and_count_time() -> None:
    assert frame_number("e134__012_193ac8d551c1") == 12
    assert frame_number("case_v1f07") == 7
    assert frame_number("case_00-10-38-05") == (10 * 60 + 38) * 1000 + 5


def _written(root: Path, names: list[str], mask_form: str = "NFC") -> str:
    for name in names:
        for kind, shape in (("images", (8, 8, 3)), ("masks", (8, 8))):
            shown = unicodedata.normalize(mask_form if kind == "masks" else "NFC", name)
            path = root / kind / f"{shown}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    (root / "classes.json").write_text(json.dumps(TABLE))
    return f"folder:{root}"


def test_two_forms_of_an_umlaut_are_one_name_and_one_recording(tmp_path: Path) -> None:
    spec = _written(tmp_path, ["Müller_1/frame_0", "Müller_1/frame_1", "Müller_2/frame_0"], "NFD")
    assert scan_scenes(spec).faults == ()
    assert open_scenes(spec).groups == ("Müller_1", "Müller_2")
    decomposed = unicodedata.normalize("NFD", "(Müller_.)")
    assert open_scenes(spec, group_by=decomposed).groups == ("Müller_1", "Müller_2")


def test_every_split_says_that_the_rule_is_not_clear_and_a_pattern_settles_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = _written(tmp_path, named("{i:04d}_case{c}", 6, 3))
    open_data(spec, "time", 0)
    said = " ".join(capsys.readouterr().out.split())
    assert "which recording a frame belongs to is not clear" in said
    assert "--group-by" in said
    assert any("is not clear" in note for note in scan_scenes(spec).notes)
    settled = scan_scenes(spec, group_by=r"case\d+")
    assert not any("is not clear" in note for note in settled.notes)
    assert settled.scenes is not None
    assert [(one.name, one.frames, one.first, one.last) for one in settled.scenes.listed[:2]] == [
        ("case1", 3, "0000_case1", "0002_case1"),
        ("case2", 3, "0000_case2", "0002_case2"),
    ]


def test_two_frames_at_one_position_are_told_apart(tmp_path: Path) -> None:
    spec = _written(tmp_path, ["case1/left/01", "case1/left/02", "case1/right/01", "case2/left/07"])
    scenes = open_scenes(spec)
    assert [(record.name, record.order) for record in scenes.records] == [
        ("case1/left/01", 0), ("case1/right/01", 1), ("case1/left/02", 2), ("case2/left/07", 7),
    ]  # fmt: skip
    (note,) = (note for note in scan_scenes(spec).notes if "position" in note)
    assert "'case1'" in note
    assert "case1/left/01 and case1/right/01" in note
    assert [record.order for record in open_scenes(spec, group_by="left|right").records] == [1, 2, 7, 1]


def test_recordings_of_real_names_that_do_not_tell_them_are_doubted(
    real_folder: Callable[[str], Path],
) -> None:
    folds = scan_scenes(f"folder:{real_folder('vocalfolds')}")
    assert folds.faults == ()
    assert any("136 names do not end in a frame number ('p1s4__0001_l')" in note for note in folds.notes)
    told = scan_scenes(f"folder:{real_folder('vocalfolds')}", group_by="^(.+?)__")
    assert not any("is not clear" in note for note in told.notes)
    assert told.scenes is not None
    assert [one.frames for one in told.scenes.listed] == [32, 34, 26, 66, 26, 44, 122, 186]
    assert told.scenes.licence == "Attribution 4.0 International (LICENSE)"


def test_recordings_of_real_names_that_tell_them_are_not(real_folder: Callable[[str], Path]) -> None:
    scenes = open_scenes(f"folder:{real_folder('cvc_clinicdb')}")
    assert (len(scenes), len(scenes.groups), scenes.doubt) == (612, 29, "")
