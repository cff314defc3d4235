"""The command line: quick, helpful, and never a traceback."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from rarescene.cli import COMMANDS, _shipped_configs, main, parse

HEAVY = ("torch", "diffusers", "transformers", "accelerate", "scipy")


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from rarescene.cli import main; main(['--help']); "
    code += "print([m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert " ".join(f"example: {COMMANDS[name].example}".split()) in shown


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["evalute", "x"], "evaluate"),
        (["segment", "unett"], "unet"),
        (["train", "casdm", "--config", "tinny", "--data", "d", "--out", "o"], "tiny"),
        (["stats", "nowhere"], "NAME:PATH"),
        (["stats", "folder:nowhere"], "nowhere"),
        (["stats", "cholec:/x"], "cholecseg8k"),
        (["evaluate", "nowhere", "--data", "phantom:"], "nowhere"),
        (["synthesize", "nowhere", "--masks", "phantom:", "--out", "o"], "nowhere"),
        (["report", "nowhere", "--out", "r.html"], "nowhere"),
        (["stats"], "data"),
        (["stats", "phantom:", "--typo", "1"], "typo"),
    ],
)
def test_a_slip_is_answered_with_a_hint(
    words: list[str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert hint in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "place"),
    [(["--config", "tiny"], 1), (["--config=tiny"], 0), (["--seed", "1", "--config", "tiny"], 3)],
)
def test_a_shipped_configuration_is_found_by_its_name(words: list[str], place: int) -> None:
    found, files = _shipped_configs(words)
    assert found[place].endswith("recipes/configs/tiny.yaml")
    assert [path.name for path in files] == ["tiny.yaml"]
    assert len(found) == len(words)


def test_both_spellings_of_an_option_are_one_and_switches_stand_alone() -> None:
    words = ["run", "--masks", "x", "--out", "o", "--group-by", "(a-b)", "--resume"]
    function, values = parse("synthesize", words)
    assert (values["group_by"], values["resume"]) == ("(a-b)", True)
    assert set(values) == set(inspect.signature(function).parameters)
