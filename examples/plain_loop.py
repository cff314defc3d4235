"""A strategy in a plain PyTorch loop, on phantom scenes; nothing of rarescene's own training is used.

Run it with `python examples/plain_loop.py`; it takes a few seconds on a processor.
"""

from __future__ import annotations

import numpy as np
import torch

from rarescene.augmentation import Duplicate, DuplicateConfig
from rarescene.foundation.protocols import Batch
from rarescene.scenes import open_scenes
from rarescene.segmenters import UNetConfig, build_segmenter

torch.manual_seed(0)
scenes = open_scenes("phantom:videos=4,frames=20,size=64")
images = torch.tensor(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2) / 127.5 - 1
masks = torch.tensor(np.stack([scene.mask for scene in scenes])).long()
presence = np.array(
    [[(mask == entry.id).any() for entry in scenes.classes.classes] for mask in masks.numpy()]
)

strategy = Duplicate(DuplicateConfig(), presence, scenes.classes.ids_of(["blood", "hepatic vein"]))
pool = torch.tensor(strategy.extend(range(len(scenes))))
weights = torch.tensor(strategy.weights() or [1.0] * len(pool))

segmenter = build_segmenter(UNetConfig(widths=(16, 32, 48)), len(scenes.classes))
optimizer = torch.optim.AdamW(segmenter.parameters(), lr=3e-3)
for step in range(1, 31):
    drawn = pool[torch.multinomial(weights, 8)]
    batch = strategy.mix(Batch(images[drawn], masks[drawn], seeds=drawn.tolist()))
    loss = segmenter.loss(batch.images, batch.masks)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.2f}")
