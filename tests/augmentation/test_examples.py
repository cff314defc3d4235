"""The examples that drop GAUDA into somebody else's training run, are short, and learn."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["gauda_plain", "gauda_lightning", "phantom_pairs"]


def run(name: str, folder: Path, *warnings: str) -> str:
    answer = subprocess.run(
        [sys.executable, *(word for each in warnings for word in ("-W", each)), EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_gauda_runs_in_a_plain_loop(tmp_path: Path) -> None:
    told = run("gauda_plain", tmp_path, "error", "ignore:__array__ implementation:DeprecationWarning")
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", told)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    asked = re.findall(r"asked for (.+)", told)
    assert all(len(classes.split(", ")) == 5 for classes in asked)
    # Drawn between steps: what the first refresh asked for is there by the second.
    assert re.findall(r"(\d+) pairs drawn", told) == ["0", "8", "8"]


def test_gauda_runs_in_somebody_s_lightning_module(tmp_path: Path) -> None:
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("lightning is not installed; `pip install 'lightning>=2.6.6'` to run this test")
    told = run("gauda_lightning", tmp_path)  # Lightning itself warns
    assert re.findall(r"step (\d+): drew (\d+) of", told) == [("4", "8"), ("8", "8"), ("12", "8")]
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)["callbacks"]["GaudaCallback"]
    assert state["refreshes"] == 3
    assert state["batch"]["shape"] == [8, 64, 64]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_fewer_than_40_lines_of_code(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    lines = {number for number, line in enumerate(text.splitlines(), start=1) if line.strip()}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    assert len(lines) < 40
