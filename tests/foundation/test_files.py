"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.files import (
    append_json_line,
    atomic,
    file_hash,
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
