"""Draw docs/pictures/rare_classes.png: for six classes a phantom frame that shows it, and its mask below.

Frames are chosen by a rule and not by eye: of those that show the class, the one of median area.

Run: python docs/pictures/rare_classes.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rarescene.reports import contact_sheet, enlarge, representative
from rarescene.scenes import PhantomConfig, phantom_scenes
from rarescene.scenes.datasets.phantom.schedule import plan

SHOWN = (
    "blood",
    "cystic duct",
    "hepatic vein",
    "liver ligament",
    "L-hook electrocautery",
    "connective tissue",
)
SIDE = 192


def sheet(config: PhantomConfig) -> Image.Image:
    """Return the picture: one column a class, the frame above its mask."""
    scenes = phantom_scenes(config)
    areas = plan(config).area
    chosen = [scenes[representative(areas, [scenes.classes.id_of(name)], 1)[0]] for name in SHOWN]
    masks = [enlarge(scenes.classes.colourise(scene.mask), SIDE, flat=True) for scene in chosen]
    rows: list[list[np.ndarray]] = [[scene.image for scene in chosen], masks]
    return contact_sheet(rows, SHOWN, side=SIDE)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    sheet(PhantomConfig(videos=20, frames=80, height=SIDE, width=SIDE, seed=0)).save(out, optimize=True)
