"""Maps on the command line: what is asked, the same files whatever happens, and pairs from requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.scenes import Request, RequestPool, Scene, open_scenes, read_confidence

from ..conftest import PHANTOM, TINY_MAPS, took
from .test_synthesize import files

BRIEF = ["--map_sampling.steps=2", "--map_sampling.block=4", "--map_sampling.tries=2"]


def words(run: Path, out: Path, *more: str, count: int = 6) -> list[str]:
    return ["maps", str(run), "--out", str(out), "--count", str(count), *BRIEF, *more]


@pytest.fixture(scope="module")
def undisturbed(maps_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "maps"
    assert main(words(maps_run, out)) == 0
    return out


def test_a_set_of_maps_says_of_each_what_was_asked_and_kept(undisturbed: Path, maps_run: Path) -> None:
    drawn = open_scenes(f"set:{undisturbed}")
    assert len(drawn) == 6
    assert not drawn.has_images
    pool = RequestPool.from_dict(json.loads((maps_run / "requests.json").read_text()), drawn.classes)
    for index, record in enumerate(drawn.records):
        mask, request = drawn.mask(index), Request.from_dict(record.details["request"])
        assert request in pool.requests
        assert request.kept_by(mask, drawn.classes).to_dict() == record.details["kept"]
        assert 1 <= record.details["tries"] <= 2
        assert record.details["kept"]["kept"] or record.details["tries"] == 2
        confidence = read_confidence(record)
        assert confidence is not None
        assert confidence.shape == mask.shape == (32, 32)
        assert mask.max() < len(drawn.classes)


def training_scenes(run: Path) -> list[Scene]:
    trained = set(read_record(run).provenance.recordings["train"])
    return [scene for scene in open_scenes(PHANTOM) if scene.record.group in trained]


def test_figures_and_a_picture_lie_beside_the_maps(undisturbed: Path, maps_run: Path) -> None:
    scores = json.loads((undisturbed / "scores.json").read_text())
    records = open_scenes(f"set:{undisturbed}").records
    assert scores["kept"]["after_redraws"] == np.mean([r.details["kept"]["kept"] for r in records])
    assert scores["kept"]["first_draw"] <= scores["kept"]["after_redraws"]
    assert set(scores["copies"]) == {"drawn", "own", "other"}
    background = scores["areas"]["black background"]["training"]
    masks = [scene.mask for scene in training_scenes(maps_run)]
    assert background == pytest.approx(np.mean([(mask == 0).mean() for mask in masks]))
    assert scores["copies"]["own"]["median"] > scores["copies"]["other"]["median"]
    with Image.open(undisturbed / "maps.png") as sheet:
        assert min(sheet.size) > 100


def test_a_longer_and_a_resumed_set_have_the_same_maps(
    undisturbed: Path, maps_run: Path, tmp_path: Path
) -> None:
    assert main(words(maps_run, tmp_path / "long", count=9)) == 0
    shorter, longer = files(undisturbed), files(tmp_path / "long")
    assert all(longer[n] == shorter[n] for n in shorter if n.startswith(("masks", "confidence")))
    out = tmp_path / "cut"
    assert main(words(maps_run, out)) == 0
    lines = (out / "manifest.jsonl").read_text().splitlines()
    (out / "manifest.jsonl").write_text("\n".join(lines[:2]) + "\n")
    assert main([*words(maps_run, out), "--resume"]) == 0
    assert files(out) == files(undisturbed)


def test_a_resumed_training_tells_what_all_its_processes_took(tmp_path: Path) -> None:
    train = ["train", "maps", "--data", PHANTOM, "--out", str(tmp_path / "run"), *TINY_MAPS]
    assert main([*train, "--model.training.steps=2"]) == 0
    took(tmp_path / "run", 1000.0)
    assert main([*train, "--resume"]) == 0
    assert 1000 <= (read_record(tmp_path / "run").seconds or 0) < 1500


@pytest.mark.slow
def test_two_ranks_make_the_files_of_one(
    undisturbed: Path,
    maps_run: Path,
    tmp_path: Path,
    on_two_ranks: Callable[[Sequence[str], Path], None],
) -> None:
    on_two_ranks(words(maps_run, tmp_path / "ranks"), tmp_path / "ranks")
    assert files(tmp_path / "ranks") == files(undisturbed)


def asked(out: Path) -> list[str]:
    drawn = open_scenes(f"set:{out}")
    return [Request.from_dict(r.details["request"]).to_text(drawn.classes) for r in drawn.records]


def test_a_prompt_is_asked_for_by_every_map(maps_run: Path, tmp_path: Path) -> None:
    prompt = "cystic duct: one, centre; grasper: two, upper right"
    assert main(words(maps_run, tmp_path / "out", "--prompt", prompt, count=2)) == 0
    assert asked(tmp_path / "out") == ["grasper: two, upper right; cystic duct: one, centre"] * 2


def test_a_file_of_requests_is_gone_through(maps_run: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# mine\nliver: two\n\nfat; blood: one  # rare\n", encoding="utf-8")
    more = ["--requests", str(tmp_path / "list.txt")]
    assert main(words(maps_run, tmp_path / "all", *more, count=3)) == 0
    assert asked(tmp_path / "all") == ["liver: two", "fat; blood: one", "liver: two"]
    assert main(words(maps_run, tmp_path / "fat", *more, "--classes", "fat", count=1)) == 0
    assert asked(tmp_path / "fat") == ["fat; blood: one"]


def test_classes_one_at_a_time_take_turns(maps_run: Path, tmp_path: Path) -> None:
    more = ["--alone", "--classes", "liver,grasper"]
    assert main(words(maps_run, tmp_path / "out", *more, count=4)) == 0
    assert [text.split(":")[0] for text in asked(tmp_path / "out")] == ["liver", "grasper"] * 2


def test_masks_of_a_data_set_are_asked_for_again(maps_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(words(maps_run, out, "--requests", PHANTOM, "--part", "validation", count=2)) == 0
    record, scenes = read_record(out), open_scenes(PHANTOM)
    held_out = set(record.provenance.recordings["validation"])
    assert set(record.provenance.seen.spans) == set(record.provenance.recordings["train"]) | held_out
    known = {
        Request.from_mask(scenes.mask(index), scenes.classes).ids
        for index, scene in enumerate(scenes.records)
        if scene.group in held_out
    }
    drawn = open_scenes(f"set:{out}")
    assert all(Request.from_dict(r.details["request"]).ids in known for r in drawn.records)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--prompt", "spleen: one"], "no class is called"),
        (["--prompt", "liver", "--classes", "fat"], "--prompt says already"),
        (["--classes", "nothing"], "no class is called"),
        (["--map_sampling.steps=2000"], "1 to 1000"),
        (["--map_sampling.tries=0"], "tries"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    more: list[str], said: str, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words(maps_run, tmp_path / "out", *more)) == 2
    assert said in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def pair_words(run: Path, maps: Path, out: Path, *more: str) -> list[str]:
    return [
        "synthesize", str(run), "--maps", str(maps), "--out", str(out), "--count", "6", *BRIEF,
        "--sampling.steps=2", "--sampling.block=4", "--classes", "grasper", *more,
    ]  # fmt: skip


def test_a_request_goes_in_and_a_checked_pair_comes_out(
    generator_run: Path, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    assert main(pair_words(generator_run, maps_run, out)) == 0
    assert "keep their requests" in capfd.readouterr().out
    made = open_scenes(f"set:{out}")
    grasper = made.classes.id_of("grasper")
    assert len(made) == 6
    for index, record in enumerate(made.records):
        scene, request = made[index], Request.from_dict(record.details["request"])
        assert grasper in request.ids
        assert scene.image.shape == (32, 32, 3)
        assert request.kept_by(scene.mask, made.classes).to_dict() == record.details["kept"]
        assert record.details["generator"] == "casdm"
        assert read_confidence(record) is not None
    assert set(read_record(out).provenance.seen.spans) == set(
        read_record(maps_run).provenance.recordings["train"]
    )
    assert "map generator" in (out / "README.md").read_text()

    manifest = (out / "manifest.jsonl").read_text().splitlines()
    whole = files(out)
    (out / "manifest.jsonl").write_text("\n".join(manifest[:1]) + "\n")
    assert main(pair_words(generator_run, maps_run, out, "--resume")) == 0
    assert files(out) == whole


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--masks", PHANTOM], "Give one of --masks"),
        (["--vary"], "speaks of --masks"),
    ],
)
def test_contradictions_are_said(
    more: list[str],
    said: str,
    generator_run: Path,
    maps_run: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(pair_words(generator_run, maps_run, tmp_path / "out", *more)) == 2
    assert said in " ".join(capfd.readouterr().err.split())


def test_runs_are_not_taken_for_each_other(
    generator_run: Path, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(pair_words(maps_run, maps_run, tmp_path / "one")) == 2
    assert "a generator of images or pairs is needed" in " ".join(capfd.readouterr().err.split())
    assert main(words(generator_run, tmp_path / "two")) == 2
    assert "a generator of maps is needed" in " ".join(capfd.readouterr().err.split())
