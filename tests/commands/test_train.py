"""Training CASDM from the command line: ranks, records, leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.generators import load_image_generator

from ..conftest import PHANTOM, TINY, took


def test_the_run_folder_tells_how_to_repeat_it(generator_run: Path) -> None:
    record = read_record(generator_run, "casdm")
    assert record.finished is not None
    assert record.provenance.spec == PHANTOM
    assert record.config["model"]["network"]["base_channels"] == 16
    assert {"torch", "diffusers", "rarescene"} <= set(record.versions)
    parts = [set(record.provenance.recordings[part]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 6
    assert set(record.provenance.seen.spans) == parts[0]
    log = [json.loads(line) for line in (generator_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]


@pytest.mark.slow
def test_two_ranks_follow_one(
    generator_run: Path, tmp_path: Path, by_torchrun: Callable[[Sequence[str], Path], None]
) -> None:
    out = tmp_path / "ranks"
    by_torchrun(["train", "casdm", "--data", PHANTOM, "--out", str(out), *TINY], out)
    one, two = (load_file(run / "model" / "weights.safetensors") for run in (generator_run, out))
    for name in one:
        torch.testing.assert_close(
            one[name], two[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize(
    ("command", "kind", "method", "scalars"),
    [
        ("sdm", "sdm", "SDM", {"mse", "vlb"}),
        ("conditional-ddpm", "conditional_ddpm", "Conditional DDPM", {"mse"}),
    ],
)
def test_a_baseline_trains_as_casdm_does(
    command: str, kind: str, method: str, scalars: set[str], generator_run: Path, tmp_path: Path
) -> None:
    out, words = tmp_path / kind, ["--data", PHANTOM, *TINY]
    assert main(["train", command, "--out", str(out), *words]) == 0
    record, casdm = read_record(out, kind), read_record(generator_run, "casdm")
    assert record.provenance == casdm.provenance
    shared = {name: casdm.config["model"][name] for name in ("height", "width", "diffusion", "training")}
    assert shared.items() <= record.config["model"].items()
    assert scalars <= set(record.metrics)
    card = (out / "README.md").read_text()
    assert f"**{method} image generator.**" in card
    assert "CASDM" not in card
    drawn = load_image_generator(out / "model").generate(
        torch.zeros(1, 32, 32, dtype=torch.long), seeds=[0], steps=1
    )
    assert drawn.shape == (1, 3, 32, 32)
    # More steps are the one change that a resumed run may make; another method is none.
    more = ["--resume", "--model.training.steps=6"]
    took(out, 1000.0)
    assert main(["train", command, "--out", str(out), *words, *more]) == 0
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [2, 4, 6]
    assert 1000 <= (read_record(out).seconds or 0) < 1500  # of both processes
    assert main(["train", "casdm", "--out", str(out), *words, *more]) == 2


def test_print_config_shows_the_resolved_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "casdm", "--config", "tiny", "--data", PHANTOM, "--out", "x", "--print_config"])
    assert stop.value.code == 0
    assert "base_channels: 48" in capsys.readouterr().out
