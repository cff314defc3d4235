"""Synthesis: which masks, the same files whatever happens, and nothing of the held-out recordings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.scenes import open_scenes

from ..conftest import PHANTOM


def words(run: Path, out: Path, count: int = 10) -> list[str]:
    return [
        "synthesize", str(run), "--masks", PHANTOM, "--out", str(out), "--count", str(count),
        "--classes", "grasper,fat", "--sampling.steps=3", "--sampling.block=4",
    ]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    """Everything that makes up a set; `run.json` and the card tell times and commands, and are left out."""
    told = ("run.json", "README.md")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in told]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def undisturbed(generator_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "whole"
    assert main(words(generator_run, out)) == 0
    return out


def test_every_pair_shows_a_class_that_was_asked_for(undisturbed: Path) -> None:
    pairs = open_scenes(f"set:{undisturbed}")
    assert len(pairs) == 10
    wanted = pairs.classes.ids_of(["grasper", "fat"])
    assert all(np.isin(wanted, scene.mask).any() for scene in pairs)
    assert all(
        record.details["synthetic"] and record.details["generator"] == "casdm" for record in pairs.records
    )


def test_masks_come_from_training_recordings_alone(undisturbed: Path, generator_run: Path) -> None:
    trained = set(read_record(generator_run).provenance.recordings["train"])
    assert {record.group for record in open_scenes(f"set:{undisturbed}").records} <= trained
    assert set(read_record(undisturbed).provenance.seen.spans) == trained


def test_a_pair_is_drawn_for_its_own_mask(undisturbed: Path) -> None:
    pairs, source = open_scenes(f"set:{undisturbed}"), open_scenes(PHANTOM)
    masks = {record.name: index for index, record in enumerate(source.records)}
    for scene in pairs:
        assert np.array_equal(scene.mask, source[masks[scene.record.details["mask_of"]]].mask)


def test_a_longer_set_begins_with_the_shorter_one(
    undisturbed: Path, generator_run: Path, tmp_path: Path
) -> None:
    assert main(words(generator_run, tmp_path / "long", count=13)) == 0
    shorter, longer = files(undisturbed), files(tmp_path / "long")
    assert all(longer[name] == content for name, content in shorter.items() if name.endswith(".png"))


def test_an_existing_set_is_refused_without_resume(
    undisturbed: Path, generator_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = files(undisturbed)
    assert main(words(generator_run, undisturbed)) == 2
    assert "--resume" in capfd.readouterr().err
    assert files(undisturbed) == before


def test_options_of_maps_are_refused_where_none_are_drawn(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    assert main([*words(generator_run, out), "--map_sampling.guidance=4"]) == 2
    said = capfd.readouterr().err
    assert "map_sampling.guidance" in said
    assert "--maps" in said
    assert not out.exists()


def test_killed_and_resumed_equals_undisturbed(
    undisturbed: Path,
    generator_run: Path,
    tmp_path: Path,
    killed_when: Callable[[Sequence[str], Callable[[], bool]], None],
) -> None:
    out = tmp_path / "cut"
    for pairs in (1, 5):
        there = lambda least=pairs: len(list(out.glob("images/*.png"))) >= least  # noqa: E731
        killed_when([*words(generator_run, out), "--resume"], there)
        lines = (out / "manifest.jsonl").read_text().splitlines() if (out / "manifest.jsonl").exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that the kill cut through; resuming drops it
            assert (out / entry["image"]).is_file()
            assert (out / entry["mask"]).is_file()
    assert main([*words(generator_run, out), "--resume"]) == 0
    assert files(out) == files(undisturbed)


@pytest.mark.slow
def test_two_ranks_make_the_files_of_one(
    undisturbed: Path,
    generator_run: Path,
    tmp_path: Path,
    on_two_ranks: Callable[[Sequence[str], Path], None],
) -> None:
    out = tmp_path / "ranks"
    on_two_ranks(words(generator_run, out), out)
    assert files(out) == files(undisturbed)
