"""Runs that several processes make together: each once, one that failed is told, and no lock is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rarescene.foundation.errors import ConfigError
from rarescene.recipes.evidence.shared_store import SharedStore


def test_a_run_that_failed_is_tried_once_and_one_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    calls: list[str] = []

    def fails(out: Path) -> None:
        calls.append(out.name)
        raise ConfigError("it cannot be", "Do otherwise.")

    store = SharedStore(tmp_path)
    for _ in range(2):
        with pytest.raises(ConfigError, match="it cannot be"):
            store.planned("x", {}, fails).made()
    assert len(calls) == 1
    with pytest.raises(ConfigError):
        SharedStore(tmp_path).planned("x", {}, fails).made()
    assert len(calls) == 2

    begun, go_on = threading.Event(), threading.Event()
    made: list[int] = []

    def maker(number: int) -> Callable[[Path], None]:
        def make(out: Path) -> None:
            begun.set()
            assert go_on.wait(60)
            out.mkdir()
            made.append(number)

        return make

    stores = [SharedStore(tmp_path), SharedStore(tmp_path)]
    planned = [one.planned("y", {}, maker(n), Path.is_dir) for n, one in enumerate(stores)]
    first = threading.Thread(target=planned[0].made)
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=planned[1].made)
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(60)
    assert made == [0]
    assert [len(one.made) for one in stores] == [1, 0]
    assert [path.name for path in tmp_path.iterdir()] == [planned[0].name]  # no lock is left


def test_a_lock_that_a_kill_left_beside_a_finished_run_goes_with_the_next_process(tmp_path: Path) -> None:
    planned = SharedStore(tmp_path).planned("x", {}, Path.mkdir, Path.is_dir)
    run = planned.made()
    lock = tmp_path / f".{run.name}.rarescene" / ".rarescene"
    lock.mkdir(parents=True)
    for name in ("lock", "writer.json"):
        (lock / name).write_text("{}")
    assert SharedStore(tmp_path).planned("x", {}, Path.mkdir, Path.is_dir).made() == run
    assert list(tmp_path.iterdir()) == [run]
