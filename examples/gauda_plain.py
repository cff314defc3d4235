"""GAUDA in a plain PyTorch loop, on phantom scenes; nothing of rarescene's own training is used.

Run it with `python examples/gauda_plain.py`; it takes under a minute on a processor.
"""

from __future__ import annotations

from contextlib import closing

import torch
from phantom_pairs import ask, draw, held_out, images, masks, never_shown, table

from rarescene.augmentation import DrawingConfig, Gauda, GaudaConfig
from rarescene.foundation.protocols import Batch
from rarescene.segmenters import UNetEnsembleConfig, build_segmenter

torch.manual_seed(0)
config = GaudaConfig(size=8, exclude=never_shown, drawing=DrawingConfig("between_steps", block=4))
segmenter = build_segmenter(UNetEnsembleConfig(members=3, widths=(8, 16, 32)), len(table))
optimizer = torch.optim.AdamW(segmenter.parameters(), lr=3e-3)

with closing(Gauda(config, table, ask, draw)) as gauda:
    for step in range(1, 61):
        drawn = torch.randint(len(images), (12,))
        seeds = [12 * step + place for place in range(12)]
        batch = gauda.mix(Batch(images[drawn], masks[drawn], seeds))
        loss = segmenter.loss(batch.images, batch.masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            decided = gauda.refresh(segmenter, [held_out])
            print(f"step {step}: loss {loss.item():.2f}; asked for {', '.join(decided['classes'])}")
            print(f"  {decided['drawn']} pairs drawn since the last refresh")
