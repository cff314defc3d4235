"""Real files for tests. They lie beside the checkout, or where RARESCENE_TEST_DATA points, and never enter the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("RARESCENE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _real(name: str) -> Path:
    path = ROOT / name
    if not path.is_dir():
        pytest.skip(f"the real files of {name} are not here; set RARESCENE_TEST_DATA to run this test")
    return path


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """One real CholecSeg8k clip: 72 frames of one recording."""
    return _real("cholecseg8k")


@pytest.fixture(scope="session")
def real_cadis() -> Path:
    """Forty real CaDIS label maps and one pair."""
    return _real("cadis")
