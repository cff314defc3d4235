"""What the GAUDA examples train on, phantom scenes, and what they draw from.

The CASDM that ships with rarescene draws new images for the masks of training scenes. With the folder of a
run as an argument (`rarescene train joint`, `rarescene train datasetgan`) its generator draws both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarescene.foundation.protocols import Batch, Pairs
from rarescene.generators import Casdm
from rarescene.recipes.demo import WEIGHTS
from rarescene.scenes import Request, open_scenes

scenes = open_scenes("phantom:videos=4,frames=16,size=64,seed=1")
table = scenes.classes
images = torch.tensor(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2) / 127.5 - 1
masks = torch.tensor(np.stack([scene.mask for scene in scenes])).long()
held_out = Batch(images[48:], masks[48:], range(16))  # the last of four videos
images, masks = images[:48], masks[:48]
requests = [Request.from_mask(mask, table) for mask in masks.numpy()]
never_shown = tuple(set(range(len(table))) - {c for request in requests for c in request.ids})


def ask(class_id: int, seed: int) -> Request:
    """Return what some training scene that shows the class shows."""
    showing = [request for request in requests if class_id in request.ids]
    return showing[seed % len(showing)]


if len(sys.argv) > 1:
    from rarescene.sources.pair_source import open_pair_source

    draw = open_pair_source(Path(sys.argv[1])).generate
else:
    casdm = Casdm.load(WEIGHTS / "model")

    def draw(asked: list[Request], seeds: list[int], progress: Any = None) -> Pairs:
        """Return the masks that are as asked, and an image for each."""
        chosen = masks[[requests.index(request) for request in asked]]
        return Pairs(casdm.generate(chosen, seeds=seeds, steps=5, progress=progress), chosen)
