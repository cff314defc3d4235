"""A folder belongs to somebody: commands write into their own alone, one at a time, and lose nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rarescene.foundation import locks
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import PRIVATE, atomic, atomic_folder, write_json, write_text
from rarescene.foundation.outputs import alone_in, claimed, need_own_file, writes_folder
from rarescene.foundation.run_record import RunRecord

from ..provenance import provenance

HOLDER = """
import sys, time
from pathlib import Path
from rarescene.foundation.outputs import claimed
from rarescene.foundation.files import atomic
with claimed(Path(sys.argv[1]), "set", resume=True):
    with atomic(Path(sys.argv[1]) / "images" / "a.png") as temporary:
        temporary.write_bytes(b"half")
        print("in", flush=True)
        time.sleep(60)
"""


def record(kind: str) -> RunRecord:
    return RunRecord.begin(kind=kind, config={}, seed=0, provenance=provenance(), class_table={})


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing a file of OUT, and does not come to an end."""
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    theirs = {"classes.json": b"{}", "images/000123.png": b"frame", "masks/000123.png": b"mask"}
    for name, content in theirs.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for resume in (False, True):
        refused = pytest.raises(ConfigError, match=r"is not empty .*, and no set was begun in it")
        with refused, claimed(tmp_path, "set", resume=resume):
            raise AssertionError
    assert tree(tmp_path) == theirs


def test_what_was_begun_is_gone_on_with_when_asked(tmp_path: Path) -> None:
    record(kind="scene set").write(tmp_path)
    write_text(tmp_path / "manifest.jsonl", "")
    with pytest.raises(ConfigError, match="is not empty") as told, claimed(tmp_path, "set"):
        raise AssertionError
    assert "--resume" in told.value.remedy
    with claimed(tmp_path, "set", "scene set", resume=True):
        assert (tmp_path / PRIVATE / "lock").is_file()
    with pytest.raises(CheckpointError, match="'scene set'"), claimed(tmp_path, "run", "casdm", resume=True):
        raise AssertionError
    assert not (tmp_path / PRIVATE).exists()


def test_a_record_alone_is_what_a_command_left_that_never_began(tmp_path: Path) -> None:
    record(kind="casdm").write(tmp_path)
    with claimed(tmp_path, "training"):
        pass
    record(kind="casdm").ended(1.0).write(tmp_path)  # all that somebody kept of a training
    with pytest.raises(ConfigError, match="is not empty"), claimed(tmp_path, "training"):
        raise AssertionError
    (tmp_path / "run.json").write_text('{"name": "of another tool"}')
    with pytest.raises(ConfigError, match="is not empty"), claimed(tmp_path, "training"):
        raise AssertionError
    assert json.loads((tmp_path / "run.json").read_text()) == {"name": "of another tool"}


def test_a_command_that_refuses_leaves_nothing(tmp_path: Path) -> None:
    @writes_folder("set")
    def command(*, out: Path, resume: bool = False) -> None:
        raise ConfigError("no", "Never.")

    with pytest.raises(ConfigError, match="no"):
        command(out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_told_who_is_writing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for resume in (False, True):
        refused = pytest.raises(ConfigError, match=rf"process {holder.pid} on")
        with refused as told, claimed(tmp_path / "out", "set", resume=resume):
            raise AssertionError
    assert "has been writing here since" in told.value.what
    assert told.value.remedy == "Wait for it to end, or choose another --out."


def test_after_a_kill_what_was_not_whole_goes_and_nothing_else(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    out = tmp_path / "out"
    (out / "images" / ".partial-0123456789abcdef.png").write_bytes(b"of the user")
    holder.kill()
    holder.wait()
    assert [path.read_bytes() for path in (out / PRIVATE / "partial").iterdir()] == [b"half"]
    record(kind="scene set").write(out)
    with claimed(out, "set", resume=True):
        assert not (out / PRIVATE / "partial").exists()
    assert set(tree(out)) == {"run.json", "images/.partial-0123456789abcdef.png"}


def test_the_first_command_after_a_kill_at_the_start_finds_an_empty_folder(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    (tmp_path / "out" / "images").rmdir()
    with claimed(tmp_path / "out", "set"):
        pass


def test_where_there_are_no_locks_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "_take", lambda file, wait: False)
    with claimed(tmp_path / "out", "set"):
        write_text(tmp_path / "out" / "a.txt", "a")
    assert f"no locks here; see that nobody else writes to {tmp_path / 'out'}" in capsys.readouterr().err
    assert tree(tmp_path / "out") == {"a.txt": b"a"}


def test_a_lock_outlives_no_holder_and_removes_its_file(tmp_path: Path) -> None:
    with locks.held(tmp_path / "lock", wait=False) as taken:
        assert taken
        with pytest.raises(BlockingIOError), locks.held(tmp_path / "lock", wait=False):
            raise AssertionError
    with locks.held(tmp_path / "lock", wait=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_has_it_though_its_folder_is_gone_by_then(tmp_path: Path) -> None:
    held: list[str] = []

    def wait(name: str) -> None:
        with alone_in(tmp_path / "lock", tmp_path / "out", wait=True):
            held.append(name)

    for turn in range(30):
        waiting = [threading.Thread(target=wait, args=(f"{turn} {n}",)) for n in range(3)]
        with alone_in(tmp_path / "lock", tmp_path / "out"):
            for thread in waiting:
                thread.start()
        for thread in waiting:
            thread.join(60)
        assert len(held) == 3 * (turn + 1)
        assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "gone" / "lock")
    with pytest.raises(FileNotFoundError), locks.held(tmp_path / "lock", wait=False):
        raise AssertionError


def test_of_several_ranks_the_first_one_holds_the_folder(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    record(kind="scene set").write(tmp_path / "out")
    with claimed(tmp_path / "out", "set"), atomic(tmp_path / "out" / "b.txt") as temporary:
        temporary.write_text("b")
        assert temporary.parent == tmp_path / "out" / PRIVATE / "partial"
    assert (tmp_path / "out" / "b.txt").read_text() == "b"


@pytest.mark.parametrize("processes", ["", "1", "2"])
def test_whatever_a_launcher_left_in_the_environment_a_folder_belongs_to_somebody(
    processes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", processes)
    (tmp_path / "classes.json").write_text("theirs")
    with pytest.raises(ConfigError, match="no set was begun in it"), claimed(tmp_path, "set"):
        raise AssertionError
    with claimed(tmp_path / "new", "set"):
        assert (tmp_path / "new" / PRIVATE / "lock").is_file() == (processes != "2")


@pytest.mark.parametrize("made", ["link", "fifo", "folder"])
def test_only_files_are_replaced(tmp_path: Path, made: str) -> None:
    target, path = tmp_path / "target.json", tmp_path / "out.json"
    target.write_text("theirs")
    match made:
        case "link":
            path.symlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    before = path.lstat()
    with pytest.raises(DataError, match="is no ordinary file"):
        write_json(path, {})
    assert path.lstat() == before
    assert target.read_text() == "theirs"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out.json", "target.json"]


def test_a_device_stays_a_device() -> None:
    with pytest.raises(DataError, match="is no ordinary file"):
        write_json(Path(os.devnull), {})
    assert Path(os.devnull).is_char_device()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), alone_in(tmp_path), atomic_folder(tmp_path / "made") as folder:
        (folder / "a").write_text((folder / "missing").read_text())
    assert tree(tmp_path) == {}
    with atomic_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("a")
    assert tree(tmp_path) == {"made/a": b"a"}


def test_a_file_of_somebody_else_is_not_written_anew(tmp_path: Path) -> None:
    theirs, ours, link = (tmp_path / name for name in ("classes.json", "metrics.json", "link.json"))
    theirs.write_text('{"segmenter": 1}')
    ours.write_text('{"segmenter": 1, "scores": {}}')
    link.symlink_to(ours)
    for path in (None, tmp_path / "new.json", ours):
        need_own_file(path, '"segmenter"', '"scores"')
    with pytest.raises(ConfigError, match="is a file of somebody else"):
        need_own_file(theirs, '"segmenter"', '"scores"')
    with pytest.raises(DataError, match="is no ordinary file"):
        need_own_file(link, '"segmenter"', '"scores"')
