"""Draw docs/pictures/phantom.png: phantom videos in rows of frames, each with its mask below.

Run: python docs/pictures/phantom.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rarescene.scenes import PhantomConfig, phantom_scenes
from rarescene.scenes.datasets.phantom.schedule import plan

SHOWN = ("blood", "cystic duct", "hepatic vein", "liver ligament", "L-hook electrocautery")


def contact_sheet(config: PhantomConfig, videos: int, columns: int) -> np.ndarray:
    """Return uint8 `(H, W, 3)`: the videos richest in rare classes, with frames chosen to show them."""
    scenes = phantom_scenes(config)
    presence = plan(config).presence.reshape(config.videos, config.frames, -1)
    rare = [scenes.classes.id_of(name) for name in SHOWN]
    chosen: list[int] = []
    missing = set(rare)
    for _ in range(videos):  # greedily, so that every rare class is on the sheet
        shows = [
            (
                len(missing & {c for c in rare if presence[v, :, c].any()}),
                presence[v][:, rare].any(0).sum(),
                -v,
            )
            if v not in chosen
            else (-1, 0, 0)
            for v in range(config.videos)
        ]
        best = shows.index(max(shows))
        chosen.append(best)
        missing -= {c for c in rare if presence[best, :, c].any()}
    rows = []
    for video in sorted(chosen):
        frames = {}  # the middle frame of each rare class, then an even spread
        for identity in sorted(rare, key=lambda c: presence[video, :, c].sum()):
            where = np.flatnonzero(presence[video, :, identity])
            if len(where):
                frames[int(where[len(where) // 2])] = True
        frames |= dict.fromkeys(np.linspace(0, config.frames - 1, columns).astype(int).tolist(), True)
        shown = [scenes[video * config.frames + frame] for frame in sorted(list(frames)[:columns])]
        rows.append(np.concatenate([scene.image for scene in shown], axis=1))
        rows.append(np.concatenate([scenes.classes.colourise(scene.mask) for scene in shown], axis=1))
    return np.concatenate(rows)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    Image.fromarray(contact_sheet(PhantomConfig(height=192, width=192, seed=1), videos=4, columns=5)).save(
        out, optimize=True
    )
