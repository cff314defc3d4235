"""Strips to try the methods on: red tissue with a vessel across it, and a clip in some."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rarescene.scenes import write_image

from .strips import TABLE


def write_strips(folder: Path, recordings: int = 6, frames: int = 4, size: int = 32) -> None:
    """Write `op1/0001.png` and so on; every fourth frame shows a clip."""
    colours = np.array([entry.colour for entry in TABLE.classes], np.uint8)
    draw = np.random.default_rng(0)
    for recording in range(1, recordings + 1):
        for frame in range(frames):
            mask = np.zeros((size, size), np.uint8)
            top = int(draw.integers(4, size - 8))
            mask[top : top + 4] = 1
            if frame % 4 == 0:
                mask[top - 2 : top + 6, recording : recording + 6] = 2
            image = (0.6 * colours[mask] + draw.integers(0, 60, (size, size, 3))).astype(np.uint8)
            strip = np.concatenate([image, colours[mask]], axis=1)
            write_image(folder / f"op{recording}" / f"{frame:04}.png", strip)
