"""`rarescene coherence` and `rarescene realism`: copies are called copies, shuffled masks incoherent."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.commands import segment
from rarescene.commands.coherence import coherence as coherence_command
from rarescene.commands.coherence import train_real
from rarescene.evaluation import OverlapMeter
from rarescene.evaluation.pair_scores import BATCH
from rarescene.foundation.plugins import by_command
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.scenes import Request, SceneSetWriter, open_scenes
from rarescene.scenes.data import decode, open_as_in
from rarescene.sources.leakage import open_judge
from rarescene.training import TrainingConfig

from ..conftest import BRIEF, PHANTOM
from ..evaluation.test_inception import script

PAIRS = 16


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net that knows the common classes."""
    out = tmp_path_factory.mktemp("coherence") / "real"
    brief = [word for word in BRIEF if not word.startswith(("--training.steps", "--training.batch"))]
    words = ["segment", "unet", "--data", PHANTOM, "--out", str(out), *brief]
    assert (
        main([*words, "--training.steps=60", "--training.batch_size=8", "--training.learning_rate=0.01"]) == 0
    )
    return out


def write_set(folder: Path, real: Path, masks_of: np.ndarray, guidance: float | None = None) -> Path:
    """Write a set whose image i is training frame i, and whose mask is that of frame `masks_of[i]`."""
    source = open_as_in(read_record(real).provenance)
    scenes = source.scenes.subset(source.split.train)
    places = np.linspace(0, len(scenes) - 1, PAIRS).round().astype(int)
    writer = SceneSetWriter(folder, scenes.classes, {"licence": "CC0"})
    for index, mask_of in enumerate(places[masks_of]):
        scene, mask = scenes[int(places[index])], scenes[int(mask_of)].mask
        request = Request.from_mask(mask, scenes.classes).to_dict()
        details = {"group": scene.record.group, "order": scene.record.order, "request": request}
        writer.add(index, scene.image, mask, details | {"generator": "none", "mask_of": scene.record.name})
    writer.finish()
    config = {
        "run": "none", "generator": "none", "weights": "none", "masks": PHANTOM, "classes": "",
        "count": PAIRS, "part": "train", "vary": False,
        "sampling": {"sampler": "ddim", "steps": 1, "guidance": guidance},
    }  # fmt: skip
    RunRecord.begin(
        kind="scene set", config=config, seed=0, provenance=source.provenance(),
        class_table=scenes.classes.to_dict(),
    ).ended(1.0).write(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def copies(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training scenes, written as if they were synthetic."""
    return write_set(tmp_path_factory.mktemp("coherence") / "copies", real, np.arange(PAIRS), 2.0)


@pytest.fixture(scope="module")
def shuffled(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training images with the masks of others."""
    masks = np.roll(np.arange(PAIRS), PAIRS // 2)
    return write_set(tmp_path_factory.mktemp("coherence") / "shuffled", real, masks, 3.0)


def coherence(*words: str | Path) -> int:
    return main(["coherence", *map(str, words)])


@pytest.fixture(scope="module")
def measured(real: Path, copies: Path, shuffled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sets at once, their segmenters trained on the way."""
    out = tmp_path_factory.mktemp("coherence") / "measured"
    assert coherence(copies, shuffled, "--real", real, "--out", out) == 0
    return out


def figures(out: Path) -> dict[str, Any]:
    values = json.loads((out / "coherence.json").read_text())
    return {one["name"]: one for one in values["sets"]}


def label_mean(one: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = next(line for line in one["scores"]["lines"] if line["measure"] == "label mean")
    return line


def test_copies_are_coherent_and_called_copies(measured: Path) -> None:
    found = figures(measured)
    lines = {name: label_mean(one) for name, one in found.items()}
    # The segmenter saw these very scenes, so it does at least as well as on new recordings.
    assert lines["copies"]["ro"]["share"] > 0.95
    assert lines["shuffled"]["ro"]["value"] < 0.6 * lines["copies"]["ro"]["value"]
    assert lines["copies"]["so"]["share"] > 0.5
    assert lines["shuffled"]["so"]["value"] < lines["copies"]["so"]["value"]
    assert found["copies"]["copied"]
    assert found["copies"]["copies"][0]["pairs"] == 1.0
    assert found["copies"]["copies"][0]["held_out"] < 0.5
    assert "do not read these two as coherence" in (measured / "coherence.md").read_text()


def test_real_on_real_is_what_evaluate_says_at_that_size(measured: Path, real: Path, tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    assert main(["evaluate", str(real), "--data", PHANTOM, "--at", "run", "--out", str(out), "--quiet"]) == 0
    scores = json.loads(out.read_text())["scores"]
    for one in figures(measured).values():
        line = label_mean(one)
        assert line["real"] == pytest.approx(scores["label_mean"]["iou"])
        by_class = {entry["measure"]: entry["real"] for entry in one["scores"]["lines"]}
        for entry in scores["classes"]:
            assert by_class[entry["name"]] == (None if entry["iou"] is None else pytest.approx(entry["iou"]))


def test_a_judge_scores_every_scene_for_its_own_group(real: Path) -> None:
    record = read_record(real)
    cache = decode(open_as_in(record.provenance).scenes, 24, 40)  # not the size that it was trained at
    judge = open_judge(real, record, cache.classes)
    found = judge.overlaps(cache, cache.recordings, "all scenes")
    assert len(cache) > BATCH
    meter = OverlapMeter(cache.classes.names, cache.classes.ignore_index)
    for index, group in enumerate(cache.recordings):
        pixels, ids = cache.take([index])
        meter.update(judge.predict(pixels), ids, [group])
    assert list(found) == list(meter.recordings)
    for group, one in meter.recordings.items():
        assert (found[group].confusion == one.confusion).all()
        assert found[group].sample_iou.tolist() == one.sample_iou.tolist()


def test_so_was_trained_like_the_real_one_and_on_the_pairs_alone(
    measured: Path, real: Path, copies: Path
) -> None:
    runs = [read_record(run) for run in (measured / "synthetic-copies", real)]
    alone, with_real = (run.config for run in runs)
    assert Path(alone["synthetic"]) == copies
    assert alone["strategies"]["offline"]["probability"] == 1.0
    for name in ("segmenter", "model", "training", "augment", "height", "width"):
        assert alone[name] == with_real[name]
    assert runs[0].provenance.options == runs[1].provenance.options
    record = read_record(measured)
    assert record.kind == "coherence"
    assert record.finished
    assert record.provenance.phantom


def test_a_sweep_of_guidance_is_charted(
    real: Path, copies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two sets that differ in guidance alone, in one command; without SO nothing is trained."""
    other = tmp_path / "other"
    shutil.copytree(copies, other)
    record = read_record(other)
    sampling = {**record.config["sampling"], "guidance": 1.0}
    replace(record, config={**record.config, "sampling": sampling}).write(other)
    assert coherence(copies, other, "--real", real, "--out", tmp_path / "out", "--ro-alone") == 0
    shown = capfd.readouterr().out.split("Phantom scenes", 1)[1].splitlines()[:30]
    assert max(len(line) for line in shown if line.startswith(" ")) <= 80  # the rows of the table
    assert (tmp_path / "out/coherence.png").stat().st_size > 5_000
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == []
    found = figures(tmp_path / "out")
    assert label_mean(found["copies"])["so"] is None
    assert found["copies"]["scores"] == found["other"]["scores"]


def test_one_command_trains_both_and_goes_on_where_it_was(
    copies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, mine = tmp_path / "out", tmp_path / "copies"
    shutil.copytree(copies, mine)
    words = [mine, "--segmenter", "unet", "--steps", "4", "--out", out]
    assert coherence(*words) == 0
    first = figures(out)
    assert read_record(out / "real").config["training"]["steps"] == 4
    assert read_record(out / "synthetic-copies").config["training"]["steps"] == 4
    assert coherence(*words) == 2
    assert "--resume" in capfd.readouterr().err
    # Stopped while the second segmenter trained: it is not finished, and nothing was written after it.
    run = out / "synthetic-copies"
    replace(read_record(run), finished=None).write(run)
    shutil.rmtree(run / "model")
    for file in ("coherence.json", "coherence.md"):
        (out / file).unlink()
    replace(read_record(out), finished=None).write(out)
    before = (out / "real/run.json").read_bytes()
    assert coherence(*words, "--resume") == 0
    assert figures(out) == first
    assert (out / "real/run.json").read_bytes() == before  # it was not trained again
    for other, told in (
        (["--steps", "5"], "holds a unet of 4 steps and seed 0"),
        (["--seed", "1"], "the run was begun with another seed"),
    ):
        assert coherence(*words, *other, "--resume") == 2
        assert told in " ".join(capfd.readouterr().err.split())
    shutil.copyfile(mine / "masks" / "000001.png", mine / "masks" / "000000.png")
    before = (out / "run.json").read_bytes()
    assert coherence(*words, "--resume") == 2
    assert "begun with other masks or images (pairs copies)" in " ".join(capfd.readouterr().err.split())
    assert (out / "run.json").read_bytes() == before


@pytest.mark.parametrize("word", by_command("segmenters"))
def test_a_judge_is_trained_no_longer_than_the_help_says(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[TrainingConfig] = []
    monkeypatch.setattr(segment, "segment", lambda method, **options: begun.append(options["training"]))
    source: Any = SimpleNamespace(spec=PHANTOM, options={})
    pairs: Any = SimpleNamespace(mask=lambda index: np.zeros((8, 8)))
    for steps in (None, 5, 4000):
        train_real(tmp_path, source, pairs, word, steps, seed=0)
    usual, short, long = begun
    assert usual.steps == 1500
    assert (short.steps, short.warmup_steps, long.steps) == (5, 0, 4000)
    assert max(one.batch_size for one in begun) <= 16
    said = " ".join((inspect.getdoc(coherence_command) or "").split())
    assert "by default 1500" in said


def test_segmenters_that_are_not_what_they_should_be_are_refused(
    measured: Path,
    real: Path,
    copies: Path,
    shuffled: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    alone = measured / "synthetic-copies"

    def told(*words: str | Path) -> str:
        out = tmp_path / "out"
        assert coherence(*words, "--out", out) == 2
        assert not (out / "coherence.json").exists()
        shutil.rmtree(out, ignore_errors=True)
        return " ".join(capfd.readouterr().err.split())

    assert "would agree with them" in told(copies, "--real", alone)
    assert "not trained on synthetic pairs alone" in told(copies, "--real", real, "--synthetic", real)
    assert "trained on other pairs" in told(shuffled, "--real", real, "--synthetic", alone)
    changed = tmp_path / "changed"
    shutil.copytree(alone, changed)
    record = read_record(alone)
    replace(record, config={**record.config, "width": 64}).write(changed)
    assert "another segmenter than the one trained on real scenes: width" in told(
        copies, "--real", real, "--synthetic", changed
    )
    replace(record, seed=record.seed + 1).write(changed)
    assert "another segmenter than the one trained on real scenes: seed" in told(
        copies, "--real", real, "--synthetic", changed
    )
    replace(record, finished=None).write(changed)
    assert "not fully trained" in told(copies, "--real", real, "--synthetic", changed)
    assert "Give one of the two" in told(copies, "--real", real, "--synthetic", alone, "--ro-alone")
    assert "1 segmenters were given for 2 sets" in told(
        copies, shuffled, "--real", real, "--synthetic", alone
    )
    assert "given twice" in told(copies, copies, "--real", real)


@pytest.mark.parametrize("who", ["real", "alone", "set"])
def test_whoever_saw_test_recordings_is_refused(
    who: str, measured: Path, real: Path, copies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = {"real": real, "alone": measured / "synthetic-copies", "set": copies}
    spoilt = tmp_path / who
    shutil.copytree(folders[who], spoilt)
    record = read_record(spoilt)
    test = record.provenance.recordings["test"][0]
    replace(record, provenance=replace(record.provenance, seen=Seen({test: None}))).write(spoilt)
    folders[who] = spoilt
    words = [folders["set"], "--real", folders["real"], "--synthetic", folders["alone"]]
    if who == "set":
        words = words[:3]
    assert coherence(*words, "--out", tmp_path / "out") == 2
    message = " ".join(capfd.readouterr().err.split())
    named = "the synthetic set" if who == "set" else "the segmenter"
    assert f"{named} saw recordings that are held out here: {test}" in message


def test_realism_stands_beside_real_frames_and_names_its_network(
    copies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "realism.json"
    weights = script(tmp_path / "inception.pt")
    assert main(["realism", str(copies), "--inception", str(weights), "--out", str(out)]) == 0
    found = {one["name"]: one for one in json.loads(out.read_text())["measures"]}
    assert list(found) == ["FD-EffNetLite0", "KD-EffNetLite0", "FID", "KID", "MS-SSIM", "PSNR, dB"]
    # Copies of training frames are about as far from test frames as training frames are.
    assert found["FID"]["value"] == pytest.approx(found["FID"]["reference"], rel=0.5)
    assert found["FID"]["value"] > 0
    assert found["PSNR, dB"]["value"] == 100.0
    assert found["MS-SSIM"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert "FID" in capfd.readouterr().out
    assert main(["realism", str(copies), "--inception", str(tmp_path / "none.pt")]) == 2
    assert "inception-2015-12-05.pt" in capfd.readouterr().err


def test_a_set_of_other_classes_is_not_compared(
    copies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = open_scenes(f"set:{copies}")
    assert len(pairs) == PAIRS
    words = ["--data", "phantom:videos=6,frames=8,size=32,classes=sisvse"]
    assert main(["realism", str(copies), *words]) == 2
    assert "has the classes of" in capfd.readouterr().err
