"""Options as a person writes them: help that can be read, guesses that are answered, switches, folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rarescene.cli import commands, main, parse
from rarescene.foundation.errors import ConfigError

RUN = ["--data", "phantom:", "--out", "run"]


def helped(name: str, option: str, capsys: pytest.CaptureFixture[str], columns: pytest.MonkeyPatch) -> str:
    columns.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), option])
    assert not stop.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", commands())
def test_a_help_fits_two_screens_and_tells_first_what_is_needed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = helped(name, "--help", capsys, monkeypatch)
    lines = short.splitlines()
    assert len(lines) <= 100
    assert all(len(line) <= 80 for line in lines)
    told = [line.split()[0] for line in lines if line.startswith("  -")]
    first = [option for option in ("--data", "--out") if option in told]
    assert told[: len(first)] == first
    assert not [option for option in told if "." in option]


def test_the_whole_help_tells_the_options_of_the_parts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = helped("segment unet", "--help", capsys, monkeypatch)
    assert "--help-all tells" in short
    assert "--training.*" in short
    whole = helped("segment unet", "--help-all", capsys, monkeypatch)
    assert "--training.steps STEPS" in whole
    assert "--help-all" not in whole


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("segment unet", "--steps 10", "For --steps write --training.steps."),
        ("segment unet", "--epochs=3", "For --epochs write --training.steps. Trainings are counted in"),
        ("segment unet", "--lr 1", "For --lr write --training.learning_rate."),
        ("segment unet", "--batch-size 1", "For --batch_size write --training.batch_size."),
        ("segment unet", "--size 64", "For --size write --height or --width."),
        ("segment unet", "--device cuda", "CUDA_VISIBLE_DEVICES"),
        ("segment unet", "--training.stepz 3", "For --training.stepz write --training.steps"),
        ("train casdm", "--steps 10", "For --steps write --model.training.steps."),
        ("train casdm", "--image-size 64", "For --image_size write --model.height or --model.width."),
        ("synthesize", "r --steps 3", "For --steps write --sampling.steps"),
        ("phantom", "p --image-size 64", "For --image_size write --size or"),
        ("segment unet", "--lr 1 --device 0", "--training.learning_rate. A GPU is found by itself"),
    ],
)
def test_a_guess_is_answered_with_the_option_that_was_meant(name: str, words: str, said: str) -> None:
    needed = [] if name == "phantom" else RUN if name != "synthesize" else RUN[2:]
    with pytest.raises(ConfigError) as told:
        parse(name, [*needed, *words.split()])
    assert said in told.value.remedy


def test_what_resembles_nothing_is_answered_with_the_help() -> None:
    with pytest.raises(ConfigError) as told:
        parse("segment unet", [*RUN, "--moonlight", "1"])
    assert told.value.remedy.startswith("`rarescene segment unet --help-all` lists the options")


@pytest.mark.parametrize(
    ("words", "holds"),
    [("--resume", True), ("--resume true", True), ("--resume False", False), ("--resume=false", False)],
)
def test_a_switch_takes_true_or_false_or_stands_alone(words: str, holds: bool) -> None:
    assert parse("segment unet", [*RUN, *words.split()])[1]["resume"] is holds
    assert parse("segment unet", [*words.split(), *RUN])[1]["resume"] is holds


def test_switches_of_parts_stand_alone_too_and_take_nothing_else() -> None:
    values = parse("segment unet", [*RUN, "--training.compile", "--seed", "3"])[1]
    assert (values["training"].compile, values["seed"]) == (True, 3)  # type: ignore[attr-defined]
    assert parse("check", ["--write-classes", "folder:mine"])[1]["data"] == "folder:mine"


def test_a_folder_is_answered_with_how_it_is_written(desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "unet", "--data", "mine", "--out", "run"]) == 2
    assert "Did you mean folder:mine?" in capfd.readouterr().err
    Path("made").mkdir()
    Path("made/manifest.jsonl").touch()
    assert main(["stats", "made"]) == 2
    assert "Did you mean set:made?" in capfd.readouterr().err


def test_the_package_is_the_program() -> None:
    words = [sys.executable, "-m", "rarescene", "--version"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.startswith("rarescene ")
