"""The example that drops a strategy into a plain loop runs, is short, and learns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "plain_loop.py"


def test_the_plain_loop_runs_and_learns() -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", answer.stdout)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_the_plain_loop_stays_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 40
