"""`--config` with a base: both are taken, in their order, and the file to blame is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rarescene.cli import main, parse
from rarescene.foundation.errors import ConfigError
from rarescene.generators import CasdmConfig

DERIVED = """
base: tiny
without: [model.self_perceptual, model.training.decay]
seed: 7
model:
  height: 96
  training: {steps: 30, learning_rate: 1e-4}
"""


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(DERIVED)
    return tmp_path


def values(*words: str) -> dict[str, Any]:
    return parse("train casdm", ["--data", "phantom:", "--out", "run", *words])[1]


def test_a_file_is_taken_with_its_base() -> None:
    found = values("--config", "mine.yaml")
    model = found["model"]
    assert isinstance(model, CasdmConfig)
    assert (found["seed"], model.height, model.training.steps, model.training.learning_rate) == (
        7,
        96,
        30,
        1e-4,
    )
    assert (model.width, model.network.base_channels, model.training.ema_decay) == (64, 48, 0.999)  # of tiny
    assert (model.self_perceptual, model.training.decay) == (CasdmConfig().self_perceptual, "none")


def test_options_and_further_files_win_in_their_order() -> None:
    Path("more.yaml").write_text("model.training.steps: 50\nseed: 9\n")
    steps = "--model.training.steps=40"
    for words, wanted in {
        ("--config=mine.yaml", steps): (7, 96, 40),
        (steps, "--config", "mine.yaml"): (7, 96, 30),
        ("--config", "mine.yaml", "--config", "more.yaml"): (9, 96, 50),
        ("--config", "more.yaml", "--config", "mine.yaml", "--seed", "3"): (3, 96, 30),
        ("--config", "mine.yaml", "--config", "tiny"): (7, 64, 4500),
    }.items():
        found = values(*words)
        assert (found["seed"], found["model"].height, found["model"].training.steps) == wanted


def test_print_config_prints_what_can_be_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "train",
                "casdm",
                "--data",
                "phantom:",
                "--out",
                "run",
                "--config",
                "mine.yaml",
                "--print_config",
            ]
        )
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert not {"base", "without"} & set(yaml.safe_load(shown))
    Path("whole.yaml").write_text(shown)
    assert values("--config", "whole.yaml") == values("--config", "mine.yaml")


def test_values_keep_their_types_on_the_way() -> None:
    Path("mine.yaml").write_text(
        'base: tiny\nout: "1e5"\ndata: 2026-01-31\nmodel.training.mixed_precision: "no"\n'
    )
    found = parse("train casdm", ["--config", "mine.yaml"])[1]
    assert (found["out"], found["data"]) == (Path("1e5"), "2026-01-31")
    assert found["model"].training.mixed_precision == "no"


def test_a_section_may_name_a_file_beside_the_configuration() -> None:
    Path("ours").mkdir()
    Path("ours/training.yaml").write_text("steps: 60\n")
    Path("ours/mine.yaml").write_text("base: ../mine.yaml\nmodel.training: training.yaml\n")
    assert values("--config", "ours/mine.yaml")["model"].training.steps == 60


@pytest.mark.parametrize(
    ("base", "mine", "blamed"),
    [
        ("model: {training: {stepz: 3}}", "model: {training: {steps: 3}}", "theirs.yaml"),
        ("model: {training: {steps: 3}}", "model: {training: {stepz: 3}}", "mine.yaml"),
        ("model: {height: tall}", "model: {width: 64}", "theirs.yaml"),
        ("model: {height: 64}", "model: {height: tall}", "mine.yaml"),
        ("model.training.steps: many", "model: {class_aware: {class_boost: {steps: 3}}}", "theirs.yaml"),
    ],
)
def test_the_file_that_says_it_is_blamed(base: str, mine: str, blamed: str) -> None:
    Path("theirs.yaml").write_text(f"{base}\n")
    Path("mine.yaml").write_text(f"base: theirs.yaml\n{mine}\n")
    for words in (["--config", "mine.yaml"], ["--config", "tiny", "--config=mine.yaml"]):
        with pytest.raises(ConfigError) as caught:
            values(*words)
        assert caught.value.path == Path(blamed), str(caught.value)
