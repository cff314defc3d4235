"""A set of drawn maps is a source of masks like any other, and remembers the recordings behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.run_record import read_record
from rarescene.scenes import open_scenes

from ..conftest import BRIEF, PHANTOM, TINY_MAPS


def test_images_are_drawn_for_a_set_of_maps(generator_run: Path, maps_run: Path, tmp_path: Path) -> None:
    drawn, out = tmp_path / "maps", tmp_path / "pairs"
    sampling = ["--map_sampling.steps=1", "--map_sampling.block=4", "--map_sampling.tries=1"]
    assert main(["maps", str(maps_run), "--out", str(drawn), "--count", "4", *sampling]) == 0
    words = ["synthesize", str(generator_run), "--masks", f"set:{drawn}", "--out", str(out)]
    assert main([*words, "--count", "4", "--sampling.steps=1", "--sampling.block=4"]) == 0
    maps, pairs = open_scenes(f"set:{drawn}"), open_scenes(f"set:{out}")
    order = [record.details["mask_of"] for record in pairs.records]
    assert sorted(order) == [record.name for record in maps.records]
    places = {record.name: index for index, record in enumerate(maps.records)}
    for index, name in enumerate(order):
        assert np.array_equal(pairs.mask(index), maps.mask(places[name]))
    offline = ["--strategy", "offline", "--synthetic", str(out), "--out", str(tmp_path / "with")]
    assert main(["segment", "unet", "--data", PHANTOM, *BRIEF, *offline]) == 0


def test_maps_of_held_out_recordings_are_still_a_leak(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A map generator that saw what is held out passes that on through its maps."""
    run, drawn, out = tmp_path / "run", tmp_path / "maps", tmp_path / "pairs"
    assert main(["train", "maps", "--data", PHANTOM, "--out", str(run), *TINY_MAPS, "--split_seed=3"]) == 0
    held_out = set(read_record(generator_run).provenance.recordings["test"])
    assert held_out & set(read_record(run).provenance.seen.spans)
    sampling = ["--map_sampling.steps=1", "--map_sampling.block=4", "--map_sampling.tries=1"]
    assert main(["maps", str(run), "--out", str(drawn), "--count", "4", *sampling]) == 0
    words = ["synthesize", str(generator_run), "--masks", f"set:{drawn}", "--out", str(out)]
    assert main([*words, "--count", "4", "--sampling.steps=1", "--sampling.block=4"]) == 0
    assert held_out & set(read_record(out).provenance.seen.spans)
    capfd.readouterr()
    offline = ["--strategy", "offline", "--synthetic", str(out), "--out", str(tmp_path / "with")]
    assert main(["segment", "unet", "--data", PHANTOM, *BRIEF, *offline]) == 2
    assert "held out" in capfd.readouterr().err


def test_recordings_told_apart_in_two_ways_are_refused(
    generator_run: Path, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A map generator that called the same recordings by other names would hide what it saw."""
    drawn, out = tmp_path / "maps", tmp_path / "pairs"
    sampling = ["--map_sampling.steps=1", "--map_sampling.block=4", "--map_sampling.tries=1"]
    assert main(["maps", str(maps_run), "--out", str(drawn), "--count", "4", *sampling]) == 0
    record = read_json(drawn / "run.json")
    record["config"]["group_by"] = r"(\d)$"
    write_json(drawn / "run.json", record)
    words = ["synthesize", str(generator_run), "--masks", f"set:{drawn}", "--out", str(out)]
    capfd.readouterr()
    assert main([*words, "--count", "4", "--sampling.steps=1"]) == 2
    assert "told apart in two ways" in " ".join(capfd.readouterr().err.split())


def test_options_of_real_data_are_refused_for_drawn_maps(
    generator_run: Path, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "maps"
    sampling = ["--map_sampling.steps=1", "--map_sampling.block=4", "--map_sampling.tries=1"]
    assert main(["maps", str(maps_run), "--out", str(drawn), "--count", "4", *sampling]) == 0
    words = ["synthesize", str(generator_run), "--masks", f"set:{drawn}", "--out", str(tmp_path / "pairs")]
    for option in (["--part", "test"], ["--split", "time"], ["--group_by", "(x)"]):
        capfd.readouterr()
        assert main([*words, *option]) == 2
        assert "speak of real data" in " ".join(capfd.readouterr().err.split())
