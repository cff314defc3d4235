"""What a run folder says of itself."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rarescene.foundation import run_record
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import RunRecord, installed_versions, read_record, source_commit

from ..provenance import provenance


def record() -> RunRecord:
    return RunRecord.begin(
        kind="casdm",
        config={"model": {"height": 64}},
        seed=3,
        provenance=provenance(seen=Seen({"a": [[0, 3], [5, 6]], "b": None})),
        class_table={"name": "t", "classes": []},
        accelerator="a GPU",
    )


def test_a_record_comes_back(tmp_path: Path) -> None:
    begun = record()
    begun.write(tmp_path)
    assert read_record(tmp_path, "casdm") == begun
    assert (begun.finished, begun.machine["accelerator"]) == (None, "a GPU")
    ended = begun.ended(1.26, {"loss": 0.5})
    ended.write(tmp_path)
    assert read_record(tmp_path) == ended
    assert ended == replace(begun, finished=ended.finished, seconds=1.3, metrics={"loss": 0.5})
    assert ended.finished is not None


def test_an_older_set_of_maps_is_read(tmp_path: Path) -> None:
    value = record().ended(1.0).to_json()
    kept = {"first_draw": 0.25, "after_redraws": 0.5}
    (tmp_path / "run.json").write_text(json.dumps({**value, "metrics": {"maps": 4, "kept": kept}}))
    assert read_record(tmp_path).metrics == {"maps": 4, "kept": 0.5}


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
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match=words) as told:
        read_record(tmp_path)
    assert told.value.path in (tmp_path, tmp_path / "run.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"colour": 3},
        {"seed": None, "config": {}},
        {"data": {"name": "x"}},
        {"recordings": []},
        {"seen": {"spans": {"a": [0, 3]}}},
        {"seen": {"spans": {"a": [[0]]}}},
        {"seen": {"spans": []}},
        {"kind": 3},
        {"seed": "0"},
        {"metrics": {"loss": "low"}},
        {"kind": "segmenter"},
        {"config": {**record().to_json()["config"], "height": "tall"}},
        {"config": {**record().to_json()["config"], "model": 3}},
        {"config": {**record().to_json()["config"], "fractions": [0.5]}},
        {"data": {**record().to_json()["data"], "spec": None}},
        {"recordings": {"train": 5}},
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(record().to_json() | damage))
    with pytest.raises(CheckpointError, match="not a run record"):
        read_record(tmp_path)


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
    assert value["recordings"] == {"train": ["a"], "validation": [], "test": ["b"]}
    assert value["data"]["licence"] == "mine"
    assert value["config"] == {
        "model": {"height": 64}, "split": "recording", "fractions": None, "split_seed": 0, "group_by": None,
    }  # fmt: skip
