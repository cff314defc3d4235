"""Curation from the command line: copies and broken images go, rare classes stay, and nothing leaks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.scenes import Request, SceneSetWriter, open_scenes
from rarescene.scenes.data import open_as_in

from ..conftest import BRIEF, PHANTOM

COPIES, NOISE, SHIFTED = range(4), range(4, 8), range(8, 20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net that knows the common classes."""
    out = tmp_path_factory.mktemp("curate") / "unet"
    brief = [word for word in BRIEF if not word.startswith(("--training.steps", "--training.batch"))]
    words = ["segment", "unet", "--data", PHANTOM, "--out", str(out), *brief]
    assert (
        main([*words, "--training.steps=80", "--training.batch_size=8", "--training.learning_rate=0.01"]) == 0
    )
    return out


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of training frames, noise for true masks, and frames in colours of their own."""
    folder = tmp_path_factory.mktemp("curate") / "made"
    record = read_record(trained)
    source = open_as_in(record.provenance)
    scenes, rng = source.scenes.subset(source.split.train), np.random.default_rng(0)
    writer = SceneSetWriter(folder, scenes.classes, {"licence": "CC0"})
    for index, place in enumerate(rng.permutation(len(scenes))[:20]):
        scene = scenes[int(place)]
        image = scene.image
        if index in NOISE:
            image = rng.integers(0, 256, image.shape).astype(np.uint8)
        elif index in SHIFTED:
            shift = rng.integers(-70, 70, 3)
            image = np.clip(image.astype(int) + shift, 0, 255).astype(np.uint8)
        request = Request.from_mask(scene.mask, scenes.classes).to_dict()
        if index in (10, 11):
            request["classes"][0]["count"] += 1  # present, and in another number
        if index == 12:
            absent = next(c for c in range(13) if not (scene.mask == c).any())
            request["classes"].append({"class_id": absent, "count": 1, "place": None, "share": None})
        details = {"group": scene.record.group, "order": scene.record.order, "request": request}
        writer.add(index, image, scene.mask, {**details, "generator": "none", "mask_of": scene.record.name})
    writer.finish()
    config = {
        "run": "none", "generator": "none", "weights": "none", "masks": PHANTOM, "classes": "grasper",
        "count": 20, "part": "train", "vary": False, "sampling": {"sampler": "ddim", "steps": 1},
    }  # fmt: skip
    RunRecord.begin(
        kind="scene set", config=config, seed=0, provenance=source.provenance(),
        class_table=scenes.classes.to_dict(),
    ).ended(1.0).write(folder)  # fmt: skip
    return folder


def curate(made: Path, out: Path, *words: str) -> int:
    return main(["curate", str(made), "--out", str(out), *words])


def decisions(out: Path) -> dict[int, dict[str, Any]]:
    return {line["index"]: line for line in read_json_lines(out / "scores.jsonl")}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("run.json", "README.md", "curation.html")
    }


@pytest.fixture(scope="module")
def kept(made: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curate") / "kept"
    assert curate(made, out, "--segmenter", str(trained), "--drop-copies", "--keep", "0.5") == 0
    return out


def test_copies_are_dropped_and_noise_agrees_least(kept: Path) -> None:
    found = decisions(kept)
    assert {found[index]["decision"] for index in COPIES} == {"copy"}
    assert all(found[index]["scores"]["features_distance"] < 1e-4 for index in COPIES)
    assert all(found[index]["scores"]["pixels_distance"] == 0 for index in COPIES)
    assert all(found[index]["scores"]["copy"] == 0 for index in NOISE)
    agreement = {index: found[index]["scores"]["agreement"] for index in found}
    assert max(agreement[index] for index in NOISE) < min(agreement[index] for index in COPIES)
    assert not any(found[index]["decision"] == "kept" for index in NOISE)


def test_the_curated_set_is_a_scene_set_like_any_other(made: Path, kept: Path) -> None:
    before, after = open_scenes(f"set:{made}"), open_scenes(f"set:{kept}")
    found = decisions(kept)
    stayed = [index for index, line in found.items() if line["decision"] == "kept"]
    assert [record.details["index"] for record in after.records] == stayed
    for scene in after:
        index = scene.record.details["index"]
        origin = before.records[index]
        for kind in ("image", "mask"):
            assert getattr(scene.record, kind).read_bytes() == getattr(origin, kind).read_bytes()
        assert scene.record.details["scores"] == found[index]["scores"]
        assert {**origin.details, **scene.record.details} == scene.record.details
    record = read_record(kept, "scene set")
    assert record.config["curation"]["of"] == str(made)
    assert record.config["count"] == len(after) == record.metrics["pairs"]
    assert record.provenance.phantom
    assert "CC0-1.0" in record.provenance.licence
    assert "filtered: the best 50 %" in (kept / "README.md").read_text()
    assert "Phantom" in (kept / "curation.html").read_text()


def test_a_segmenter_takes_it(kept: Path, tmp_path: Path) -> None:
    words = ["segment", "unet", "--data", PHANTOM, "--out", str(tmp_path / "run"), *BRIEF]
    assert main([*words, "--strategy", "offline", "--synthetic", str(kept)]) == 0
    seen = set(read_record(kept).provenance.seen.spans)
    assert set(read_record(tmp_path / "run").provenance.seen.spans) == seen


def test_the_same_again_is_the_same_and_the_old_set_untouched(
    made: Path, trained: Path, kept: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--segmenter", str(trained), "--drop-copies", "--keep", "0.5"]
    before = files(made)
    assert curate(made, tmp_path / "again", *words) == 0
    assert files(tmp_path / "again") == files(kept)
    assert files(made) == before
    assert curate(made, tmp_path / "again", *words) == 2
    assert "--resume" in capfd.readouterr().err
    # Stopped while files were copied: a line and its files are missing, and one file is an orphan.
    manifest = tmp_path / "again/manifest.jsonl"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[:-1]) + "\n")
    (tmp_path / "again" / json.loads(lines[0])["mask"]).unlink()
    assert curate(made, tmp_path / "again", *words, "--resume") == 0
    assert files(tmp_path / "again") == files(kept)
    assert curate(made, tmp_path / "again", *words[:-1], "0.7", "--resume") == 2
    assert "made otherwise" in capfd.readouterr().err


def test_pairs_that_were_exchanged_between_stop_and_resume_are_refused(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mine, out = tmp_path / "made", tmp_path / "kept"
    shutil.copytree(made, mine)
    words = ["--by", "random", "--keep", "0.5"]
    assert curate(mine, out, *words) == 0
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / "manifest.jsonl").write_text("".join(lines[:3]))  # as if it had been stopped
    before = files(out)
    shutil.copyfile(mine / "images" / "000001.png", mine / "images" / "000000.png")
    assert curate(mine, out, *words, "--resume") == 2
    assert "belongs to a set that was made otherwise" in " ".join(capfd.readouterr().err.split())
    assert files(out) == before


def test_without_a_segmenter_pairs_are_held_to_their_request(made: Path, tmp_path: Path) -> None:
    for level, gone in (("present", {12}), ("kept", {10, 11, 12})):
        out = tmp_path / level
        assert curate(made, out, "--by", "random", "--keep", "1", "--require-request", level) == 0
        assert {i for i, line in decisions(out).items() if line["decision"] == "request"} == gone
        assert len(open_scenes(f"set:{out}")) == 20 - len(gone)
        assert "agreement" not in decisions(out)[0]["scores"]


def test_a_judge_that_saw_synthetic_pairs_is_refused(
    made: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "unet")
    record = read_record(trained)
    replace(record, config={**record.config, "synthetic": ["pairs"]}).write(tmp_path / "unet")
    assert curate(made, tmp_path / "out", "--segmenter", str(tmp_path / "unet")) == 2
    assert "would agree with them" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("who", ["the segmenter", "the synthetic set"])
def test_whoever_saw_held_out_recordings_is_refused(
    who: str, made: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made, tmp_path / "made")
    shutil.copytree(trained, tmp_path / "unet")
    folder = tmp_path / ("unet" if who == "the segmenter" else "made")
    record = read_record(folder)
    test = record.provenance.recordings["test"][0]
    replace(record, provenance=replace(record.provenance, seen=Seen({test: None}))).write(folder)
    assert curate(tmp_path / "made", tmp_path / "out", "--segmenter", str(tmp_path / "unet")) == 2
    message = " ".join(capfd.readouterr().err.split())
    assert f"{who} saw recordings that are held out here: {test}" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Give --segmenter"),
        (["--by", "confidence"], "no confidence"),
        (["--by", "random", "--keep", "0"], "keep is 0"),
        (["--by", "random", "--min-agreement", "0.5"], "Give --segmenter"),
        (["--by", "random", "--classes", "bloood"], "Did you mean 'blood'"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    words: list[str], told: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert curate(made, tmp_path / "out", *words) == 2
    assert told in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_no_pair_left_is_no_set(
    made: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--segmenter", str(trained), "--min-agreement", "1"]
    assert curate(made, tmp_path / "out", *words) == 2
    assert "no pair is left (agreement)" in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_set_is_never_its_own_result(made: Path) -> None:
    before = files(made)
    assert curate(made, made, "--by", "random", "--resume") == 2
    assert files(made) == before


def test_masks_alone_are_refused(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scenes = open_scenes(f"set:{made}")
    writer = SceneSetWriter(tmp_path / "maps", scenes.classes)
    for index in range(3):
        writer.add(index, None, scenes[index].mask, {"group": scenes.records[index].group})
    writer.finish()
    shutil.copy(made / "run.json", tmp_path / "maps/run.json")
    assert curate(tmp_path / "maps", tmp_path / "out", "--by", "random") == 2
    assert "only masks" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_confidence_ranks_where_maps_have_one(made: Path, tmp_path: Path) -> None:
    scenes = open_scenes(f"set:{made}")
    writer = SceneSetWriter(tmp_path / "sure", scenes.classes)
    for index in range(4):
        sure = np.full(scenes[index].mask.shape, index / 4, np.float32)
        details = {"group": scenes.records[index].group, "request": scenes.records[index].details["request"]}
        writer.add(index, scenes[index].image, scenes[index].mask, details, sure)
    writer.finish()
    shutil.copy(made / "run.json", tmp_path / "sure/run.json")
    words = ["--by", "confidence", "--keep", "0.5", "--classes", "hepatic vein"]
    assert curate(tmp_path / "sure", tmp_path / "out", *words) == 0
    found = decisions(tmp_path / "out")
    assert [found[index]["scores"]["confidence"] for index in range(4)] == pytest.approx(
        [0, 0.25, 0.5, 0.75], abs=1 / 255
    )
    ranks = {found[index]["ranked_among"]: [] for index in range(4)}
    for index in range(4):
        ranks[found[index]["ranked_among"]].append(found[index]["rank"])
    assert all(order == list(range(len(order), 0, -1)) for order in ranks.values())
    after = open_scenes(f"set:{tmp_path / 'out'}")
    assert all((tmp_path / "out" / record.details["confidence"]).is_file() for record in after.records)


def test_compare_and_report_call_the_same_classes_rare(segmenter_run: Path, tmp_path: Path) -> None:
    from rarescene.commands.compare import _rare_classes
    from rarescene.evaluation import read_scored
    from rarescene.reports import build_report
    from rarescene.scenes import class_statistics

    source = open_as_in(read_record(segmenter_run).provenance)
    training = source.scenes.subset(source.split.train)
    expected = tuple(entry.name for entry in class_statistics(training).rare)
    assert expected
    scored = read_scored([segmenter_run])
    assert _rare_classes(scored, segmenter_run, "") == expected
    assert build_report([segmenter_run], title="t", rows=0).rare == expected
    assert _rare_classes(scored, segmenter_run, "fat, liver") == ("fat", "liver")
    with pytest.raises(ConfigError, match="bloood"):
        _rare_classes(scored, segmenter_run, "bloood")
    shutil.copytree(segmenter_run, tmp_path / "run")
    record = read_record(segmenter_run)
    replace(record, provenance=replace(record.provenance, spec="folder:gone")).write(tmp_path / "run")
    with pytest.raises(ConfigError, match="cannot be opened") as told:
        _rare_classes(scored, tmp_path / "run", "")
    assert "--classes" in told.value.remedy
    assert _rare_classes(scored, tmp_path / "run", "liver") == ("liver",)
