"""What a generator samples while it trains: the sheets, the page, and the word for noise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.generators import load_image_generator
from rarescene.recipes.demo import WEIGHTS
from rarescene.reports.samples_page import NOISE, SampleSheets, grain, noise_in_words, write_samples_page
from rarescene.scenes import SceneCache, open_scenes

from ..conftest import PHANTOM, TINY


def test_grain_is_the_mean_difference_of_neighbours() -> None:
    ramp = np.arange(4, dtype=np.uint8)[None, None, :, None] * np.ones((2, 5, 1, 3), np.uint8)
    assert grain(ramp * 10) == pytest.approx(5.0)  # 10 along rows, none along columns
    assert grain(np.full((1, 4, 4, 3), 200, np.uint8)) == 0
    checks = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    assert grain(np.repeat(checks[None, ..., None], 3, -1)) == 255  # no overflow of bytes


@pytest.mark.parametrize("deviation", [4, 8, 16])
def test_planted_noise_is_measured_as_gaussian_noise_is(deviation: int) -> None:
    flat = np.full((4, 64, 64, 3), 128.0)
    noisy = np.clip(np.random.default_rng(0).normal(flat, deviation), 0, 255).round().astype(np.uint8)
    # E|x − y| of two of deviation σ is 2 σ / √π.
    assert grain(noisy) == pytest.approx(2 * deviation / np.sqrt(np.pi), rel=0.02)


def test_the_word_for_noise_has_its_limit() -> None:
    assert noise_in_words(500, NOISE) == ""
    assert noise_in_words(1500, 5.91) == (
        "after 1,500 steps samples are still noise: neighbouring pixels differ 5.9 times as much as "
        "in real frames"
    )


def test_a_trained_generator_is_not_called_noise_and_an_untrained_one_is(
    tmp_path: Path, generator_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = WEIGHTS
    scenes = SceneCache.build(open_scenes("phantom:videos=2,frames=20,size=64,seed=5"), 64, 64)
    record = read_record(run)
    found = SampleSheets(tmp_path, record, "images", scenes, 10)(10, load_image_generator(run / "model"))
    assert 0.6 < found["grain"] < NOISE
    assert "noise" not in capsys.readouterr().out
    small = SceneCache.build(open_scenes(PHANTOM), 32, 32)
    sheets = SampleSheets(tmp_path / "tiny", read_record(generator_run), "images", small, 10)
    found = sheets(4, load_image_generator(generator_run / "model"))
    assert found["grain"] > NOISE
    assert "after 4 steps samples are still noise" in capsys.readouterr().out
    page = (tmp_path / "tiny/samples.html").read_text(encoding="utf-8")
    assert "are still noise" in page
    assert 'http-equiv="refresh"' in page
    assert "4 of 10 steps are done" in page
    assert 'http-equiv="refresh"' not in (tmp_path / "samples.html").read_text(encoding="utf-8")


def test_every_checkpoint_of_a_training_has_its_sheet(generator_run: Path) -> None:
    sheets = sorted(path.name for path in (generator_run / "samples").iterdir())
    assert sheets == ["step_00000002.png", "step_00000004.png"]
    log = [json.loads(line) for line in (generator_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "grain" in line] == [2, 4]
    with Image.open(generator_run / "samples" / sheets[-1]) as sheet:
        assert sheet.size == (8 + 3 * 136, 30 + 6 * 136)  # map, real frame and sample of six scenes
    page = (generator_run / "samples.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    assert "Phantom" in page


def test_generators_of_maps_and_of_pairs_show_theirs(maps_run: Path, joint_run: Path) -> None:
    widths = {maps_run: 2, joint_run: 4}  # map and sampled map; with frame and sampled image
    for run, columns in widths.items():
        with Image.open(run / "samples/step_00000004.png") as sheet:
            assert sheet.width == 8 + columns * 136
    log = [json.loads(line) for line in (joint_run / "log.jsonl").read_text().splitlines()]
    assert any("grain" in line for line in log)


def test_a_killed_training_shows_the_same_and_synthesizes_before_its_end(
    generator_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "pairs"
    words = ["train", "casdm", "--data", PHANTOM, "--out", str(run), *TINY]
    assert main(words) == 0
    shutil.rmtree(run / "checkpoints/step_00000004")  # as if it had been killed before its second checkpoint
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"finished": None}))
    sample = ["synthesize", str(run), "--masks", PHANTOM, "--out", str(out), "--count", "1"]
    capsys.readouterr()
    assert main([*sample, "--sampling.steps=1"]) == 0
    assert "is not trained to its end" in " ".join(capsys.readouterr().out.split())
    for path in (run / "samples").iterdir():
        path.unlink()
    assert main([*words, "--resume"]) == 0
    for name in ("model/weights.safetensors", "samples/step_00000004.png"):
        assert (run / name).read_bytes() == (generator_run / name).read_bytes()


def test_of_many_sheets_some_are_shown_with_both_ends(generator_run: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for step in range(100, 1001, 100):
        Image.new("RGB", (4, 4)).save(tmp_path / f"samples/step_{step:08d}.png")
    (tmp_path / "log.jsonl").write_text("")
    write_samples_page(tmp_path, read_record(generator_run), 1000)
    page = (tmp_path / "samples.html").read_text(encoding="utf-8")
    shown = [f"after {step:,} steps" in page for step in range(100, 1001, 100)]
    assert sum(shown) == 5
    assert (shown[0], shown[-1]) == (True, True)
