"""Training DatasetGAN from the command line: stages, figures, resuming, leaks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rarescene.cli import main
from rarescene.diffusion import SamplingConfig
from rarescene.foundation.run_record import read_record
from rarescene.generators import DatasetGan
from rarescene.scenes import Request
from rarescene.sources.pair_source import open_pair_source
from rarescene.sources.requests import read_pool

from ..conftest import FRACTIONS, PHANTOM, took

TINY_GAN = [
    "--model.height=32", "--model.width=32", "--model.network.channels=[8,8,16,16]",
    "--model.network.latent=16", "--model.network.mapping_layers=2", "--model.adversarial.path_every=2",
    "--model.encoder.feature_size=32", "--model.encoder.training.steps=4",
    "--model.encoder.training.batch_size=4", "--model.encoder.training.save_every=2",
    "--model.refinement.frames=5", "--model.refinement.steps=2", "--model.refinement.block=2",
    "--model.labels.members=2", "--model.labels.hidden=[8,8]", "--model.labels.check_every=2",
    "--model.labels.training.steps=4", "--model.labels.training.batch_size=2", "--model.tries=2",
    "--model.training.batch_size=4", "--model.training.log_every=2", "--model.training.save_every=2",
    FRACTIONS,
]  # fmt: skip
STAGES = ("stylegan2", "encoder", "refinement", "label")


def train(out: Path, *words: str, steps: int = 4) -> int:
    command = ["train", "datasetgan", "--data", PHANTOM, "--out", str(out)]
    return main([*command, *TINY_GAN, f"--model.training.steps={steps}", *words])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene train datasetgan`."""
    out = tmp_path_factory.mktemp("runs") / "datasetgan"
    assert train(out) == 0
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    parts = sorted((run / "model").glob("*.safetensors"))
    assert len(parts) == 2
    return {f"{part.stem}.{name}": value for part in parts for name, value in load_file(part).items()}


def alike(one: Path, other: Path) -> bool:
    pairs = weights(one), weights(other)
    return all(torch.equal(value, pairs[1][name]) for name, value in pairs[0].items())


def test_the_run_folder_tells_what_was_trained_and_how_long_each_part_took(run: Path) -> None:
    record = read_record(run, "datasetgan")
    assert record.finished is not None
    assert set(record.provenance.seen.spans) == set(record.provenance.recordings["train"])
    assert all(record.metrics[f"{stage}_seconds"] > 0 for stage in STAGES)
    assert {"stylegan2_r1", "stylegan2_path", "encoder_latents", "refinement_mse", "label_right"} <= set(
        record.metrics
    )
    table = DatasetGan.load(run / "model").table
    pool = read_pool(run, table)
    assert sum(pool.counts) == 3 * 8  # the training recordings' frames
    frames = json.loads((run / "refinement" / "frames.json").read_text())["frames"]
    assert len(set(frames)) == 5
    card = (run / "README.md").read_text()
    assert "**DatasetGAN pair generator.**" in card
    assert "5 annotated frames" in card
    with Image.open(run / "samples.png") as sheet:
        assert sheet.size[0] > 8 * 128


def test_it_is_a_source_of_pairs_like_any_other(run: Path) -> None:
    source = open_pair_source(run, sampling=SamplingConfig(block=2))
    requests = [source.pool.sample(0, index) for index in range(3)]
    pairs = source.generate(requests, [1, 2, 3])
    assert pairs.images.shape == (3, 3, 32, 32)
    alone = DatasetGan.load(run / "model").generate([source.supported(requests[2])], seeds=[3])
    assert torch.equal(alone.masks[0], pairs.masks[2])
    assert set(source.provenance.seen.spans) == set(read_record(run).provenance.recordings["train"])
    assert len(source.pool)
    assert isinstance(requests[0], Request)


def test_sampling_that_cannot_apply_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["synthesize", str(run), "--out", str(tmp_path / "pairs"), "--count=2"]
    refused = {"sampler": "ddim", "steps": "10", "guidance": "2", "precision": "bf16"}
    for name, value in refused.items():
        assert main([*words, f"--sampling.{name}={value}"]) == 2, name
        assert f"Leave sampling.{name} out" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "pairs" / "run.json").exists()
    assert main([*words, "--sampling.block=2", "--sampling.precision=no"]) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_any_stage_ends_as_an_undisturbed_one(run: Path, stage: str, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    shutil.copytree(run, out)
    for later in STAGES[STAGES.index(stage) + 1 :]:
        shutil.rmtree(out / later)
    for gone in ("model", "samples.png", "README.md"):
        shutil.rmtree(out / gone, ignore_errors=True)
        (out / gone).unlink(missing_ok=True)
    if stage == "refinement":
        (out / stage / "latents_0000.safetensors.sha256").unlink()  # a kill between the file and its digest
        (out / stage / "latents_0002.safetensors").unlink()
        (out / stage / "latents_0002.safetensors.sha256").unlink()
    else:
        shutil.rmtree(out / stage / "checkpoints" / "step_00000004")
    begun = STAGES[: STAGES.index(stage) + 1]
    for one in begun:
        took(out / one, 1000.0)
    assert train(out, "--resume") == 0
    assert alike(out, run)
    files = [sorted(path.relative_to(one) for path in one.rglob("*")) for one in (out, run)]
    assert files[0] == files[1]
    record = read_record(out)
    assert record.finished is not None
    for one in STAGES:  # what earlier processes spent is not forgotten, and not counted twice
        seconds = record.metrics[f"{one}_seconds"]
        assert 1000 <= seconds < 1500 if one in begun else 0 < seconds < 500, one
    assert 0 <= (record.seconds or 0) - 1000 * len(begun) < 500


def test_stages_that_rest_on_other_weights_are_made_again(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "longer"
    shutil.copytree(run, out)
    before = {stage: json.loads((out / stage / "stage.json").read_text()) for stage in STAGES}
    notes = out / "encoder" / "notes.txt"
    notes.write_text("mine")
    assert train(out, "--resume", steps=6) == 0
    assert notes.read_text() == "mine"
    notes.unlink()
    after = {stage: json.loads((out / stage / "stage.json").read_text()) for stage in STAGES}
    assert [before[stage]["of"] == after[stage]["of"] for stage in STAGES] == [True, False, False, False]
    assert not alike(out, run)
    fresh = tmp_path / "fresh"
    assert train(fresh, steps=6) == 0
    assert alike(out, fresh)


def test_a_folder_in_use_and_another_run_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(run) == 2
    assert train(run, "--resume", "--model.network.latent=8") == 2
    assert "begun with another model" in " ".join(capsys.readouterr().err.split())
