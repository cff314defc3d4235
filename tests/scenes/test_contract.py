"""What every data set of ours must keep: the contract of `rarescene.testing`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rarescene.foundation.plugins import methods
from rarescene.scenes import PhantomConfig, SceneSetWriter, phantom_scenes, write_phantom
from rarescene.testing import checks

from .test_cadis import raw_ids, write_frame

SMALL = PhantomConfig(videos=3, frames=2, height=24, width=32)


def cadis(folder: Path) -> None:
    for video in (1, 2, 12):
        for frame in (20, 110):
            write_frame(folder, video, frame, raw_ids(video + frame))


def a_set(folder: Path) -> None:
    scenes = phantom_scenes(SMALL)
    writer = SceneSetWriter(folder, scenes.classes)
    for index, scene in enumerate(scenes):
        details = {"group": scene.record.group, "order": scene.record.order}
        writer.add(index, scene.image, scene.mask, details)
    writer.finish()


GIVEN: dict[str, dict[str, Any]] = {
    "cadis": {"write": cadis},
    "cholecseg8k": {"write": lambda folder: write_phantom(SMALL, folder, "cholecseg8k")},
    "folder": {"write": lambda folder: write_phantom(SMALL, folder)},
    "phantom": {"path": "videos=3,frames=2,size=24"},
    "set": {"write": a_set},
    "sisvse": {
        "write": lambda folder: write_phantom(
            PhantomConfig(videos=6, frames=2, height=24, width=32, classes="sisvse"), folder, "sisvse"
        )
    },
}


@pytest.mark.parametrize(
    "check", [one for name, given in GIVEN.items() for one in checks(methods("datasets")[name], **given)]
)
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_all_data_sets_are_tested() -> None:
    assert set(GIVEN) == set(methods("datasets"))
