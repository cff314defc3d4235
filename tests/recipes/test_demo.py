"""The demo and the shipping of its weights, on a generator that was trained for a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.generators import Casdm
from rarescene.recipes import demo as recipe
from rarescene.recipes.demo import rare_in
from rarescene.recipes.package_weights import ship
from rarescene.scenes.data import open_as_in


@pytest.fixture
def weights(generator_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights that ship, in the stead of the real ones."""
    folder = tmp_path / "weights" / "phantom_casdm"
    ship(generator_run, folder)
    monkeypatch.setattr(recipe, "WEIGHTS", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_what_ships_draws_and_says_what_it_is(weights: Path, generator_run: Path) -> None:
    shipped, trained = Casdm.load(weights / "model"), Casdm.load(generator_run / "model")
    assert shipped.config == trained.config
    size = {
        name: (run / "model/weights.safetensors").stat().st_size
        for name, run in (("half", weights), ("full", generator_run))
    }
    assert size["half"] < 0.6 * size["full"]
    card = (weights / "README.md").read_text()
    assert card.startswith("# phantom\\_casdm")
    assert "Phantom scenes" in card
    assert "rarescene" in card
    assert not (weights / "checkpoints").exists()


@pytest.mark.slow
def test_the_demo_ends_with_a_page_and_an_honest_word(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--quick", "--out", "demo"]) == 0
    shown = capfd.readouterr().out
    assert "phantom scores" in shown
    assert "A single seed is an illustration" in " ".join(shown.split())
    page = Path("demo/report.html").read_text()
    assert "Phantom scenes" in page
    for strategy in ("none", "paste", "offline"):
        metrics = json.loads(Path(f"demo/{strategy}/metrics.json").read_text())
        assert metrics["strategy"] == strategy
        assert len(metrics["recordings"]) == 60
    assert "offline against none" in " ".join(shown.split())
    assert "paste against none" in " ".join(shown.split())
    rare = rare_in(open_as_in(read_record(Path("demo"), "demo").provenance))
    assert set(str(read_record(Path("demo/inserted")).config["classes"]).split(",")) <= set(rare)
    drawn = Path("demo/inserted/manifest.jsonl").read_bytes()

    assert (
        main(["demo", "--quick", "--out", "demo"]) == 0
    )  # goes on where it was: nothing is drawn or trained again
    assert "holds a demo already" in capfd.readouterr().out
    assert Path("demo/inserted/manifest.jsonl").read_bytes() == drawn


def test_a_demo_does_not_touch_what_is_no_demo(weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("demo").mkdir()
    Path("demo/thesis.tex").write_text("keep me")
    assert main(["demo", "--quick", "--out", "demo"]) == 2
    assert "thesis.tex" in capfd.readouterr().err
    assert [path.name for path in Path("demo").iterdir()] == ["thesis.tex"]


def test_missing_weights_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "WEIGHTS", tmp_path / "nowhere")
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "Install the package again" in capfd.readouterr().err
