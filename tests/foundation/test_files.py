"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import (
    append_json_line,
    atomic,
    expanded,
    file_hash,
    parse_json,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
    write_text,
)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "note.txt"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("existing", [None, "before"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, existing: str | None) -> None:
    path = tmp_path / "note.txt"
    if existing is not None:
        path.write_text(existing)
    with suppress(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if existing is None else [existing])


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "os.open", "pathlib.Path.mkdir"])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "note.txt"
    with monkeypatch.context() as patch:
        patch.setattr(call, full)
        with pytest.raises(DataError, match="No space left") as told:
            write_text(path, "words")
    assert told.value.path == path
    assert "Free some space" in told.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "note.txt").mkdir()
    with pytest.raises(DataError, match="is no ordinary file"):
        write_text(tmp_path / "note.txt", "words")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_of_any_other(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "ours", "")
        (tmp_path / "theirs").touch()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs")}
    assert modes == {0o666 & ~umask}


def test_json_comes_back_and_nan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    value = {"größe": [1, 2.5, None], "tief": {"x": True}}
    write_json(path, value)
    assert read_json(path) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == value


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not valid JSON") as told:
        read_json(path)
    assert told.value.path == path
    with pytest.raises(CheckpointError, match="missing"):
        read_json(tmp_path / "nowhere.json")


def test_lines_are_added_and_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_json_lines(path) == []
    write_json_lines(path, [{"step": 1}])
    append_json_line(path, {"step": 2})
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_json_lines(path) == [{"step": 1}, {"step": 2}]
    assert [json.loads(line) for line in path.read_text().splitlines()[:2]] == [{"step": 1}, {"step": 2}]
    with pytest.raises(DataError, match=r"nowhere"):
        append_json_line(tmp_path / "nowhere" / "log.jsonl", {})


def test_a_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea"  # SHA-256 of "abc", FIPS 180-4
    with pytest.raises(CheckpointError, match="missing"):
        file_hash(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": NaN}', "NaN is no finite number"),
        ("[Infinity]", "Infinity is no finite number"),
        ("[1e999]", "1e999 is no finite number"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "digits"),
        ("{", "property name"),
        ("", "Expecting value"),
    ],
)
def test_json_that_python_alone_would_take_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CheckpointError, match=why) as told:
        read_json(tmp_path / "a.json")
    assert told.value.path == tmp_path / "a.json"


def test_a_hundred_levels_are_read() -> None:
    assert parse_json("[" * 100 + "]" * 100) is not None


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"name": "Gefäß"}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"name": "Gefäß"}


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_json(tmp_path / "a.json")


def test_lines_that_are_no_objects_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"step": 1}\n[1]\n{"loss": NaN}\n5\n{"step": 2}\n')
    assert read_json_lines(tmp_path / "a.jsonl") == [{"step": 1}, {"step": 2}]


def test_a_tilde_needs_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/cache") == tmp_path / "cache"
    with pytest.raises(ConfigError, match="there is no home folder"):
        expanded("~nobody-of-this-name/cache")
