"""What was seen, and where weights and pairs come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarescene.foundation.errors import ConfigError, LeakError
from rarescene.foundation.provenance import Provenance, Seen

from ..provenance import SPLIT, provenance

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


def test_a_union_is_of_the_first_data_and_of_all_that_was_seen() -> None:
    mine = provenance(licence="A + B")
    other = provenance(name="y", spec="folder:y", licence="B + C", phantom=True, seen=Seen({"q": None}))
    both = mine.union(other, mine)
    assert (both.spec, both.name, both.recordings, both.options) == (
        mine.spec, mine.name, mine.recordings, mine.options,
    )  # fmt: skip
    assert (both.licence, both.phantom) == ("A + B + C", True)
    assert both.seen == Seen({"a": None, "q": None})
    assert both.grouping == {"x": None, "y": None}
    assert mine.union() == mine


def test_recordings_told_apart_in_two_ways_would_hide_a_leak() -> None:
    mine, other = provenance(), provenance(name="y")
    elsewhere = replace(other, grouping={"x": r"(\d)", "y": None})
    assert mine.union(other).grouping == {"x": None, "y": None}
    with pytest.raises(ConfigError, match=r"of x were told apart in two ways: None and .*\nRepeat one"):
        mine.union(other, elsewhere)


def test_it_comes_back_from_json() -> None:
    split = {**SPLIT, "fractions": (0.5, 0.1, 0.4)}
    one = provenance(options=split, grouping={"x": None, "y": "(z)"}, seen=Seen({"a": [[0, 3]]}))
    assert Provenance.from_json(one.to_json()) == one
    assert one.to_json()["config"]["told_apart"] == {"x": None, "y": "(z)"}
    assert one.describe() == one.to_json()["data"]


def test_a_record_that_names_one_data_set_alone_says_how_it_was_grouped() -> None:
    name, split = "phantom:videos=2", {**SPLIT, "group_by": "(z)"}
    value = provenance(name=name, options=split, grouping={name: "(z)"}).to_json()
    assert "told_apart" not in value["config"]
    del value["data"]["phantom"]
    read = Provenance.from_json(value)
    assert read.grouping == {name: "(z)"}
    assert read.phantom
