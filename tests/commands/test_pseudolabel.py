"""`rarescene pseudolabel`: frames without masks join the training, and what is held out does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.evaluation.pair_scores import Judge
from rarescene.foundation.run_record import read_record
from rarescene.scenes import open_scenes, read_confidence, write_image
from rarescene.segmenters import load_segmenter

from ..conftest import BRIEF, FRACTIONS, PHANTOM
from .test_synthesize import files

MORE = "phantom:videos=3,frames=8,size=32,first=201"
SURE = 0.3
"""The segmenter of the tests has hardly learned."""


def words(run: Path, out: Path, *more: str, frames: str = MORE) -> list[str]:
    return ["pseudolabel", str(run), frames, "--out", str(out), "--sure", str(SURE), *more]


@pytest.fixture(scope="module")
def labelled(segmenter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "labelled"
    assert main(words(segmenter_run, out, "--sure=0.1")) == 0
    return out


def test_a_set_is_the_frames_with_what_the_segmenter_is_sure_of(
    segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network, table = load_segmenter(segmenter_run / "model")
    judge, frames = Judge(network, (32, 32), table), open_scenes(MORE)
    found = judge.probabilities(np.stack([scene.image for scene in frames][:16]))
    sure = float(np.median(found.max(axis=1)))
    out = tmp_path / "set"
    assert main(words(segmenter_run, out, "--sure", repr(sure))) == 0
    said = " ".join(capfd.readouterr().out.split())
    made = open_scenes(f"set:{out}")
    assert [one.details["scene_of"] for one in made.records] == [one.name for one in frames.records]
    for index, probabilities in enumerate(found):
        scene, before = made[index], frames[index]
        expected = np.where(probabilities.max(axis=0) >= sure, probabilities.argmax(axis=0), 255)
        assert np.array_equal(scene.mask, expected)
        assert np.array_equal(scene.image, before.image)
        assert (scene.record.group, scene.record.order) == (before.record.group, before.record.order)
        told = read_confidence(scene.record)
        assert told is not None
        assert np.allclose(told, probabilities.max(axis=0), atol=0.5 / 255 + 1e-6)
    kept = np.mean([scene.mask != 255 for scene in made])
    assert f"24 frames in {out}" in said
    assert f"{kept:.1%} of their pixels are labelled" in said
    shown = np.concatenate([scene.mask.ravel() for scene in made])
    for class_id, name in enumerate(table.names):
        share = (shown == class_id).sum() / (shown != 255).sum()
        assert (f"{name} {share:.2%}" in said) == bool(share)
    card = (out / "README.md").read_text()
    assert "24 labelled frames" in card
    assert "unet" in card


def test_provenance_tells_of_all_that_was_seen(labelled: Path, segmenter_run: Path) -> None:
    trained, made = read_record(segmenter_run).provenance, read_record(labelled).provenance
    assert set(made.seen.spans) == {*trained.seen.spans, "video201", "video202", "video203"}
    assert made.recordings == trained.recordings
    assert made.phantom


def test_resumed_it_is_the_same(labelled: Path, segmenter_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    assert main(words(segmenter_run, out, "--sure=0.1")) == 0
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / "manifest.jsonl").write_text("".join(lines[:5]))
    (out / "masks" / "000009.png").unlink()
    assert main(words(segmenter_run, out, "--sure=0.1", "--resume")) == 0
    assert files(out) == files(labelled)
    assert main(words(segmenter_run, out, "--sure=0.2", "--resume")) == 2


@pytest.mark.parametrize("strategy", ["offline", "offline,paste"])
def test_it_joins_the_training(
    strategy: str, labelled: Path, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    asked = ["segment", "unet", "--data", PHANTOM, "--strategy", strategy, "--synthetic", str(labelled)]
    pasted = ["--paste.classes=gallbladder"] if "paste" in strategy else []
    assert main([*asked, "--out", str(out), *pasted, *BRIEF]) == 0
    assert f"24 added by {strategy!r}" in " ".join(capfd.readouterr().out.split())
    assert "video201" in read_record(out).provenance.seen.spans
    # what it has learned from is no test, and it labels nothing: it would agree with itself
    assert main(["evaluate", str(out), "--data", MORE, "--part", "all", "--split", "recording"]) == 2
    assert "video201" in capfd.readouterr().err
    assert main(words(out, tmp_path / "set")) == 2
    assert "synthetic pairs" in capfd.readouterr().err


def test_with_another_set_it_joins_too(labelled: Path, pairs: Path, tmp_path: Path) -> None:
    out, both = tmp_path / "run", f"[{labelled}, {pairs}]"
    asked = ["segment", "unet", "--data", PHANTOM, "--strategy", "offline", "--synthetic", both]
    assert main([*asked, "--out", str(out), *BRIEF]) == 0
    assert len(json.loads((out / "run.json").read_text())["decoded"]) == 5


def test_it_is_curated_by_how_sure_it_is(labelled: Path, segmenter_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    asked = ["curate", str(labelled), "--by", "confidence", "--keep=0.5", "--classes=grasper"]
    assert main([*asked, "--out", str(out)]) == 0
    assert 0 < len(open_scenes(f"set:{out}")) < 24
    assert "labelled frames" in (out / "README.md").read_text()


def folder_of(frames: str, folder: Path, groups: set[str]) -> Path:
    for scene in open_scenes(frames):
        if scene.record.group in groups:
            write_image(folder / scene.record.group / f"{scene.record.order:04d}.png", scene.image)
    return folder


def test_a_folder_of_images_needs_no_masks(labelled: Path, segmenter_run: Path, tmp_path: Path) -> None:
    folder = folder_of(MORE, tmp_path / "frames", {"video201", "video203"})
    out = tmp_path / "set"
    assert main(words(segmenter_run, out, "--sure=0.1", frames=str(folder))) == 0
    made = open_scenes(f"set:{out}")
    of_data = {
        (scene.record.group, scene.record.order): scene.mask for scene in open_scenes(f"set:{labelled}")
    }
    assert made.groups == ("video201", "video203")
    assert len(made) == 16
    for scene in made:
        assert np.array_equal(scene.mask, of_data[scene.record.group, scene.record.order])
    assert "unknown" in read_record(out).provenance.licence


@pytest.mark.parametrize("as_folder", [False, True])
def test_held_out_recordings_are_refused(
    as_folder: bool, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = read_record(segmenter_run).provenance.recordings
    held, trained = {*parts["validation"], *parts["test"]}, set(parts["train"])
    out, frames = tmp_path / "set", PHANTOM
    if as_folder:
        frames = str(folder_of(PHANTOM, tmp_path / "frames", {*held, *trained}))
    assert main(words(segmenter_run, out, frames=frames)) == 2
    said = capfd.readouterr().err
    assert all(group in said for group in held)
    assert not any(group in said for group in trained)
    assert not out.exists()
    # frames between the labelled ones of training recordings are no leak
    frames = str(folder_of(PHANTOM, tmp_path / "own", trained)) if as_folder else PHANTOM
    more = [] if as_folder else ["--part", "train"]
    assert main(words(segmenter_run, out, "--sure=0.1", *more, frames=frames)) == 0
    assert set(read_record(out).provenance.seen.spans) == trained


def test_of_a_recording_that_was_cut_in_time_the_first_part_may_be_labelled(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, brief = tmp_path / "run", [word for word in BRIEF if word != FRACTIONS]
    asked = ["segment", "unet", "--data", PHANTOM, "--split", "time", "--out", str(run), *brief]
    assert main(asked) == 0
    assert main(words(run, tmp_path / "all", frames=PHANTOM)) == 2
    assert "hold out" in capfd.readouterr().err
    out = tmp_path / "set"
    assert main(words(run, out, "--part", "train", "--sure=0.1", frames=PHANTOM)) == 0
    assert read_record(out).provenance.seen == read_record(run).provenance.seen


def test_frames_of_which_nothing_is_sure_are_told_of(
    segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network, table = load_segmenter(segmenter_run / "model")
    judge = Judge(network, (32, 32), table)
    best = np.sort(
        [float(judge.probabilities(scene.image[None]).max(axis=1).max()) for scene in open_scenes(MORE)]
    )
    out = tmp_path / "set"
    assert main(words(segmenter_run, out, "--sure", repr(float(best[9:11].mean())))) == 0
    assert "10 were left out" in " ".join(capfd.readouterr().out.split())
    assert len(open_scenes(f"set:{out}")) == 14
    assert main(words(segmenter_run, tmp_path / "none", "--sure=1")) == 2
    assert "Lower --sure" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("frames", "more", "said"),
    [
        ("nowhere", [], "no folder of images and no data set"),
        ("set:{pairs}", [], "a set that a command made"),
        (MORE, ["--split", "time"], "--part"),
        (MORE, ["--sure", "1.5"], "sure"),
        ("{folder}", ["--part", "train"], "has no parts"),
        ("{folder}", ["--group-by", "(case7)"], "finds no recording"),
        ("{folder}/masks", [], "holds no image"),
        ("{folder}/mixed", [], "a folder of masks"),
    ],
)
def test_wishes_that_cannot_be(
    frames: str,
    more: list[str],
    said: str,
    segmenter_run: Path,
    pairs: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = folder_of("phantom:videos=1,frames=2,size=32,first=201", tmp_path / "frames", {"video201"})
    (folder / "masks").mkdir()
    (folder / "mixed" / "Masks").mkdir(parents=True)
    if frames == "{folder}":
        (folder / "masks").rmdir()
    out, frames = tmp_path / "out", frames.format(folder=folder, pairs=pairs)
    assert main(words(segmenter_run, out, *more, frames=frames)) == 2
    message = " ".join(capfd.readouterr().err.split())
    assert said in message
    assert "Traceback" not in message
    assert not out.exists()


def test_a_set_does_not_lie_among_its_frames(
    segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of("phantom:videos=1,frames=2,size=32,first=201", tmp_path / "frames", {"video201"})
    assert main(words(segmenter_run, folder / "set", frames=str(folder))) == 2
    assert "among the frames" in capfd.readouterr().err
    assert not (folder / "set").exists()
