"""A small generator run on a small phantom data set, made once for all tests of the workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rarescene.cli import main

PHANTOM = "phantom:videos=6,frames=8,size=32"
TINY = [
    "--model.height=32", "--model.width=32", "--model.network.base_channels=16", "--model.network.multipliers=[1,2]",
    "--model.network.blocks_per_level=1", "--model.network.attention_strides=[]", "--model.network.head_channels=16",
    "--model.network.spade_hidden=8", "--model.network.patch=2", "--model.diffusion.prediction=v",
    "--model.training.steps=4", "--model.training.batch_size=4", "--model.training.log_every=2",
    "--model.training.save_every=2", "--model.training.mixed_precision=no", "--fractions=[0.5,0.17,0.33]",
]  # fmt: skip
"""A CASDM that trains in a second."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' caches out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RARESCENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def generator_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene train casdm`."""
    out = tmp_path_factory.mktemp("runs") / "casdm"
    assert main(["train", "casdm", "--data", PHANTOM, "--out", str(out), *TINY]) == 0
    return out
