"""What was seen, and what a run folder says of itself."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarescene.foundation import run_record
from rarescene.foundation.errors import CheckpointError, LeakError
from rarescene.foundation.run_record import RunRecord, Seen, installed_versions, read_record, source_commit

FRAMES = st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=20)


def test_a_recording_counts_as_a_whole_after_a_split_by_recording() -> None:
    seen = Seen.of([("a", 3), ("a", 9), ("b", 0)])
    assert seen == Seen({"a": None, "b": None})
    assert seen.covers("a", 1000)
    assert not seen.covers("c", 3)


def test_a_split_in_time_is_one_run_of_frames() -> None:
    seen = Seen.of([("a", order) for order in (0, 25, 50)], others=[("a", 75), ("a", 100), ("b", 25)])
    assert seen == Seen({"a": [[0, 50]]})
    assert [seen.covers("a", order) for order in (0, 13, 50, 51, 75)] == [True, True, True, False, False]
    assert not seen.covers("b", 25)


def test_a_split_by_frames_covers_no_frame_that_was_left_out() -> None:
    seen = Seen.of([("a", 0), ("a", 2), ("a", 3), ("a", 7)], others=[("a", 1), ("a", 5)])
    assert seen == Seen({"a": [[0, 0], [2, 3], [7, 7]]})


@given(used=FRAMES, unused=FRAMES)
def test_what_was_used_is_covered_and_what_was_not_is_not(
    used: set[tuple[str, int]], unused: set[tuple[str, int]]
) -> None:
    seen = Seen.of(used, unused - used)
    assert all(seen.covers(*place) for place in used)
    assert not any(seen.covers(*place) for place in unused - used)


@given(one=FRAMES, other=FRAMES, all_frames=FRAMES)
def test_a_union_covers_what_either_covers(
    one: set[tuple[str, int]], other: set[tuple[str, int]], all_frames: set[tuple[str, int]]
) -> None:
    first, second = Seen.of(one, all_frames - one), Seen.of(other, all_frames - other)
    for both in (first.union(second), second.union(first)):
        for place in [(group, order) for group in "ab" for order in range(13)]:
            assert both.covers(*place) == (first.covers(*place) or second.covers(*place))


def test_a_whole_recording_swallows_its_runs() -> None:
    runs, whole = Seen({"a": [[0, 3]], "b": [[1, 1]]}), Seen({"a": None})
    assert runs.union(whole) == whole.union(runs) == Seen({"a": None, "b": [[1, 1]]})


def test_a_leak_is_refused_by_name(tmp_path: Path) -> None:
    seen = Seen.of([(f"video{number}", 0) for number in range(9)])
    seen.refuse([("other", 0)], "the set", tmp_path)
    with pytest.raises(
        LeakError, match=r"the set saw .*: video0, video1, video2, video3, video4 and 1 more"
    ) as told:
        seen.refuse([(f"video{number}", 5) for number in range(6)], "the set", tmp_path)
    assert told.value.path == tmp_path


def record() -> RunRecord:
    return RunRecord.begin(
        kind="casdm",
        config={"model": {"height": 64}, "fractions": None},
        seed=3,
        data={"spec": "folder:x", "name": "x", "licence": "mine", "scenes": 4},
        recordings={"train": ["a"], "validation": [], "test": ["b"]},
        seen=Seen({"a": [[0, 3], [5, 6]], "b": None}),
        class_table={"name": "t", "classes": []},
        accelerator="a GPU",
    )


def test_a_record_comes_back(tmp_path: Path) -> None:
    begun = record()
    begun.write(tmp_path)
    assert read_record(tmp_path, "casdm") == begun
    assert (begun.finished, begun.machine["accelerator"]) == (None, "a GPU")
    ended = begun.end(tmp_path, 1.26, {"loss": 0.5})
    assert read_record(tmp_path) == ended
    assert ended == replace(begun, finished=ended.finished, seconds=1.3, metrics={"loss": 0.5})
    assert ended.finished is not None


def test_a_record_tells_versions_command_and_start() -> None:
    begun = record()
    assert begun.versions == installed_versions()
    assert {"rarescene", "torch", "numpy"} <= begun.versions.keys()
    assert begun.command
    assert begun.started.startswith("20")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not a run folder"),
        ("{", "not valid JSON"),
        ("[]", "not a run record"),
        ("{}", "not a run record"),
        ('{"seen": {"spans": {}}, "colour": 3}', "not a run record"),
        ('{"seen": {"spans": {"a": [0, 3]}}}', "not a run record"),
        ('{"seen": {"spans": {"a": [[0]]}}}', "not a run record"),
        ('{"seen": {"spans": []}}', "not a run record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match=words) as told:
        read_record(tmp_path)
    assert told.value.path in (tmp_path, tmp_path / "run.json")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    record().write(tmp_path)
    with pytest.raises(CheckpointError, match="of kind 'casdm', and one of kind 'scene set' is needed"):
        read_record(tmp_path, "scene set")


def test_the_commit_is_that_of_this_source_and_of_no_checkout_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "site-packages" / "rarescene" / "foundation"
    room.mkdir(parents=True)
    installed = room / "run_record.py"
    installed.write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "another project"], check=True)
    monkeypatch.setattr(run_record, "__file__", str(installed))
    assert source_commit() is None
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    clean = source_commit()
    assert clean is not None
    assert len(clean) == 12
    installed.write_text("changed")
    assert source_commit() == f"{clean}+"


def test_a_record_is_plain_json(tmp_path: Path) -> None:
    record().write(tmp_path)
    value = json.loads((tmp_path / "run.json").read_text())
    assert value["seen"] == {"spans": {"a": [[0, 3], [5, 6]], "b": None}}
