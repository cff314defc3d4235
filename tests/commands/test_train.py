"""Training CASDM from the command line: ranks, records, leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rarescene.cli import main
from rarescene.commands.training_run import TrainingRun
from rarescene.foundation.run_record import read_record
from rarescene.generators import load_image_generator
from rarescene.scenes import open_scenes
from rarescene.training import SceneBatches

from ..conftest import PHANTOM, TINY, TINY_MAPS, took


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
    assert [line["step"] for line in log if "loss" in line] == [2, 4]


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
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "loss" in line] == [2, 4, 6]
    assert [line["step"] for line in log if "grain" in line] == [2, 4, 6]
    assert 1000 <= (read_record(out).seconds or 0) < 1500  # of both processes
    assert main(["train", "casdm", "--out", str(out), *words, *more]) == 2


def test_print_config_shows_the_resolved_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "casdm", "--config", "tiny", "--data", PHANTOM, "--out", "x", "--print_config"])
    assert stop.value.code == 0
    assert "base_channels: 48" in capsys.readouterr().out


@pytest.fixture(scope="module")
def labelled(segmenter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, more = tmp_path_factory.mktemp("sets") / "labelled", "phantom:videos=2,frames=4,size=32,first=201"
    assert main(["pseudolabel", str(segmenter_run), more, "--out", str(out), "--sure=0.12"]) == 0
    return out


def test_frames_without_masks_train_a_generator_too(
    labelled: Path, generator_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as is asked, and with their pseudo-masks; resumed it is what it was to be."""
    seen: list[SceneBatches] = []
    usual = TrainingRun.batches

    def noted(*args: Any, **options: Any) -> SceneBatches:
        seen.append(usual(*args, **options))
        return seen[-1]

    monkeypatch.setattr(TrainingRun, "batches", noted)
    words = ["--data", PHANTOM, "--unlabelled", str(labelled), "--unlabelled_share=0.25", *TINY]
    out = tmp_path / "whole"
    assert main(["train", "casdm", "--out", str(out), *words]) == 0
    (batches,) = seen
    assert batches.weights is not None
    assert len(batches.weights) == 24 + 8
    assert batches.weights[24:].tolist() == pytest.approx([0.25 / 8] * 8)
    assert batches.weights[:24].sum() == pytest.approx(0.75)
    images, masks = batches.take(range(24, 32))
    for scene, image, mask in zip(open_scenes(f"set:{labelled}"), images, masks, strict=True):
        assert np.array_equal(scene.image, image)
        assert np.array_equal(scene.mask, mask)
    assert (masks == 255).any()
    record, alone = read_record(out), read_record(generator_run)
    assert set(record.provenance.seen.spans) == {*alone.provenance.seen.spans, "video201", "video202"}
    assert record.decoded["train"] == alone.decoded["train"]
    one, other = (load_file(run / "model" / "weights.safetensors") for run in (out, generator_run))
    assert any(not torch.equal(one[name], other[name]) for name in one)

    cut = tmp_path / "cut"
    assert main(["train", "casdm", "--out", str(cut), *words, "--model.training.steps=2"]) == 0
    assert main(["train", "casdm", "--out", str(cut), *words, "--resume"]) == 0
    resumed = load_file(cut / "model" / "weights.safetensors")
    assert all(torch.equal(one[name], resumed[name]) for name in one)
    without = ["--data", PHANTOM, *TINY, "--resume"]
    assert main(["train", "casdm", "--out", str(cut), *without]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["casdm", "--unlabelled", "{pairs}", *TINY], "images that were generated"),
        (["casdm", "--unlabelled_share=0.2", *TINY], "--unlabelled_share speaks of --unlabelled"),
        (["maps", "--unlabelled", "{labelled}", *TINY_MAPS], "no images for masks"),
        (["casdm", "--unlabelled", "{labelled}", "--split_seed=3", *TINY], "held out"),
    ],
)
def test_frames_that_train_no_generator(
    words: list[str],
    said: str,
    labelled: Path,
    pairs: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, asked = tmp_path / "run", [word.format(labelled=labelled, pairs=pairs) for word in words]
    assert main(["train", *asked, "--data", PHANTOM, "--out", str(out)]) == 2
    assert said in " ".join(capfd.readouterr().err.split())
    assert not out.exists()
