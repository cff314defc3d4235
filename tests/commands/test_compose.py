"""`rarescene synthesize RUN --compose DATA`: rare classes in real frames, from the command line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import read_record
from rarescene.scenes import open_scenes, write_mask

from ..conftest import BRIEF, FRACTIONS, PHANTOM
from .test_synthesize import files

MORE = "phantom:videos=2,frames=8,size=32,first=201"


def words(run: Path, out: Path, *more: str) -> list[str]:
    return [
        "synthesize", str(run), "--compose", PHANTOM, "--classes", "grasper,gallbladder", "--out", str(out),
        "--count", "6", "--sampling.steps=2", "--sampling.block=4", "--composition.on_top=black background",
        *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def inserted(generator_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "inserted"
    assert main(words(generator_run, out)) == 0
    return out


def test_a_set_is_real_training_frames_but_for_a_region(inserted: Path, generator_run: Path) -> None:
    made, real = open_scenes(f"set:{inserted}"), open_scenes(PHANTOM)
    place = {record.name: index for index, record in enumerate(real.records)}
    trained = set(read_record(generator_run).provenance.recordings["train"])
    assert len(made) == 6
    assert [scene.record.details["inserted"] for scene in made] == ["grasper", "gallbladder"] * 3
    for scene in made:
        told = scene.record.details
        before = real[place[told["scene_of"]]]
        source = real[place[told["region_of"]]]
        assert {before.record.group, source.record.group} <= trained
        assert before.record.group != source.record.group
        changed = scene.mask != before.mask
        assert (scene.mask[changed] == made.classes.id_of(told["inserted"])).all()
        assert changed.sum() == told["placement"]["pixels"]
        # beyond a margin of two pixels the frame is the real one
        rows, columns = np.nonzero(changed)
        far = np.ones_like(changed)
        far[max(0, rows.min() - 2) : rows.max() + 3, max(0, columns.min() - 2) : columns.max() + 3] = False
        assert np.array_equal(scene.image[far], before.image[far])
    assert read_record(inserted).provenance.licence == read_record(generator_run).provenance.licence


def test_resumed_it_is_the_same(inserted: Path, generator_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    assert main(words(generator_run, out)) == 0
    lines = (out / "manifest.jsonl").read_text().splitlines(keepends=True)
    (out / "manifest.jsonl").write_text("".join(lines[:3]))
    assert main(words(generator_run, out, "--resume")) == 0
    assert files(out) == files(inserted)


def test_it_joins_the_training(inserted: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = ["segment", "unet", "--data", PHANTOM, "--strategy", "offline", "--synthetic", str(inserted)]
    assert main([*asked, "--out", str(out), *BRIEF]) == 0
    assert main(["evaluate", str(out), "--data", PHANTOM, "--quiet"]) == 0


def test_a_judge_leaves_out_what_it_does_not_see(
    generator_run: Path, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Judge and generator are hardly trained: what is kept is trusted, and the rest is counted."""
    out = tmp_path / "judged"
    asked = words(generator_run, out, "--judge", str(segmenter_run), "--trust.share=1", "--trust.tries=1")
    assert main(asked) == 0
    kept = open_scenes(f"set:{out}")
    assert len(kept) < 6
    assert f"{6 - len(kept)} were left out" in " ".join(capfd.readouterr().out.split())
    assert all(record.details["trusted"] for record in kept.records)
    page = tmp_path / "page.html"
    assert main(["report", str(out), "--realism", "false", "--out", str(page)]) == 0
    assert f"{len(kept)} of 6 synthetic pairs" in page.read_text(encoding="utf-8")
    noted = tmp_path / "noted"
    assert main(words(generator_run, noted, "--judge", str(segmenter_run), "--trust.rule=none")) == 0
    scores = [record.details["trust"] for record in open_scenes(f"set:{noted}").records]
    assert len(scores) == 6
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--part", "test"], "regions and frames are those of the training part"),
        (["--masks", PHANTOM], "Give one of --masks"),
        (["--trust.tries", "2"], "--trust.* speaks of --judge"),
        (["--composition.on_top", "cloud"], "cloud"),
        (["--classes", "missed"], "--classes missed speaks of a judge"),
        (["--composition.scale", "0.5"], "composition.scale"),
    ],
)
def test_wishes_that_cannot_be(
    more: list[str], said: str, generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    assert main(words(generator_run, out, *more)) == 2
    assert said in " ".join(capfd.readouterr().err.split())
    assert not out.exists()


def test_options_of_composition_need_it(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    asked = ["synthesize", str(generator_run), "--masks", PHANTOM, "--out", str(out), "--insertion.margin=3"]
    assert main(asked) == 2
    assert "--compose" in capfd.readouterr().err
    assert not out.exists()


def test_a_judge_that_saw_test_recordings_is_refused(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    judge, out = tmp_path / "judge", tmp_path / "set"
    other = [word for word in BRIEF if word != FRACTIONS]
    asked = ["segment", "unet", "--data", PHANTOM, "--out", str(judge), "--split_seed", "3", FRACTIONS]
    assert main([*asked, *other]) == 0
    assert main(words(generator_run, out, "--judge", str(judge))) == 2
    assert "held out" in " ".join(capfd.readouterr().err.split())


@pytest.fixture(scope="module")
def labelled(segmenter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of frames that a segmenter has labelled, as a good one would have: a tenth is not sure."""
    out = tmp_path_factory.mktemp("sets") / "labelled"
    asked = ["pseudolabel", str(segmenter_run), MORE, "--out", str(out), "--sure=0.1"]
    assert main(asked) == 0
    unsure = np.random.default_rng(0).random((16, 32, 32)) < 0.1
    made = open_scenes(f"set:{out}")
    for record, scene, where in zip(made.records, open_scenes(MORE), unsure, strict=True):
        assert record.mask is not None
        write_mask(record.mask, np.where(where, np.uint8(255), scene.mask), made.classes)
    return out


def into(run: Path, frames: Path, out: Path, *more: str) -> list[str]:
    """Words that put regions into a set."""
    return words(run, out, "--into", str(frames), "--classes=gallbladder", "--composition.visible=0.3", *more)


def test_regions_go_into_frames_without_masks_and_all_else_of_them_stays(
    generator_run: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    assert main(into(generator_run, labelled, out)) == 0
    made, frames = open_scenes(f"set:{out}"), open_scenes(f"set:{labelled}")
    place = {record.name: index for index, record in enumerate(frames.records)}
    trained = set(read_record(generator_run).provenance.recordings["train"])
    source = {record.name: record.group for record in open_scenes(PHANTOM).records}
    assert len(made) == 6
    for scene in made:
        told = scene.record.details
        before = frames[place[told["scene_of"]]]
        assert scene.record.group == before.record.group in {"video201", "video202"}
        assert source[told["region_of"]] in trained
        changed = scene.mask != before.mask
        assert changed.sum() == told["placement"]["pixels"]
        assert (scene.mask[changed] == made.classes.id_of("gallbladder")).all()
        assert (scene.mask[before.mask == 255] == 255).all()
        rows, columns = np.nonzero(changed)
        far = np.ones_like(changed)
        far[max(0, rows.min() - 2) : rows.max() + 3, max(0, columns.min() - 2) : columns.max() + 3] = False
        assert np.array_equal(scene.image[far], before.image[far])
    record = read_record(out)
    assert record.config["into"] == str(labelled)
    assert set(record.provenance.seen.spans) == {*trained, "video201", "video202"}
    assert f"frames of the set {labelled}" in (out / "README.md").read_text().replace("\\", "")
    cut = tmp_path / "cut"
    assert main(into(generator_run, labelled, cut)) == 0
    lines = (cut / "manifest.jsonl").read_text().splitlines(keepends=True)
    (cut / "manifest.jsonl").write_text("".join(lines[:2]))
    assert main(into(generator_run, labelled, cut, "--resume")) == 0
    assert files(cut) == files(out)


def test_sets_that_regions_are_not_put_into(
    generator_run: Path, labelled: Path, pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"

    def said(asked: list[str]) -> str:
        assert main(asked) == 2
        assert not out.exists()
        return " ".join(capfd.readouterr().err.split())

    assert "images that were generated" in said(into(generator_run, pairs, out))
    alone = ["synthesize", str(generator_run), "--masks", PHANTOM, "--out", str(out)]
    assert "--into speaks of --compose" in said([*alone, "--into", str(labelled)])
    # one that has seen what is held out of the data that give the regions
    leaking = tmp_path / "leaking"
    shutil.copytree(labelled, leaking)
    record = read_record(leaking)
    held = record.provenance.recordings["test"][0]
    seen = Seen({**record.provenance.seen.spans, held: None})
    replace(record, provenance=replace(record.provenance, seen=seen)).write(leaking)
    assert held in said(into(generator_run, leaking, out))
    replace(record, finished=None).write(leaking)
    assert "not finished" in said(into(generator_run, leaking, out))


def test_pasting_needs_no_generator(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    asked = ["segment", "unet", "--data", PHANTOM, "--strategy", "paste", "--out", str(out)]
    assert main([*asked, "--paste.classes=gallbladder", "--paste.composition.on_top=grasper", *BRIEF]) == 0
    assert "pasted are regions of gallbladder; on top stays grasper" in " ".join(
        capfd.readouterr().out.split()
    )
    settings = read_record(out).config["strategies"]["paste"]
    assert settings["probability"] == 0.5
    assert settings["composition"]["on_top"] == "grasper"


def test_that_none_is_seen_is_said(
    generator_run: Path,
    segmenter_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rarescene.sources.trust._real_scores", lambda *_: [2.0])
    assert main(words(generator_run, tmp_path / "set", "--judge", str(segmenter_run), "--trust.tries=1")) == 2
    assert "none of 6 scenes was kept" in " ".join(capfd.readouterr().err.split())
