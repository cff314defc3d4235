"""Pasting: what is pasted, where, how often, and by whose seed."""

from __future__ import annotations

import numpy as np
import torch

from rarescene.augmentation import Paste, PasteConfig
from rarescene.foundation.protocols import Batch
from rarescene.sources.composition import Composer
from rarescene.training import to_images, to_masks, to_pixels

from ..sources.test_composition import PLAIN, VEIN, ward


def scenes(count: int) -> Batch:
    images, masks = ward().take([6 + place % 6 for place in range(count)])  # none of them shows a vein
    return Batch(to_images(images), to_masks(masks), [100 + place for place in range(count)])


def pasted(probability: float, count: int = 1) -> tuple[Batch, Batch]:
    batch = scenes(count)
    strategy = Paste(PasteConfig(probability=probability), Composer(ward(), [VEIN], PLAIN))
    return batch, strategy.mix(batch)


def test_as_often_as_asked() -> None:
    for probability in (0.0, 0.4, 1.0):
        batch, mixed = pasted(probability, 200)
        changed = (mixed.masks == VEIN).flatten(1).any(1)
        assert abs(float(changed.float().mean()) - probability) < 0.1
        assert torch.equal(mixed.masks[~changed], batch.masks[~changed])
        assert torch.equal(mixed.images[~changed], batch.images[~changed])


def test_image_and_mask_change_together_and_nowhere_else() -> None:
    batch, mixed = pasted(1.0, 6)
    for before, after, mask in zip(
        to_pixels(batch.images), to_pixels(mixed.images), mixed.masks.numpy(), strict=True
    ):
        region = mask == VEIN
        assert region.any()
        assert np.array_equal(after[~region], before[~region])
        # the pixels of one scene, as the first channel of every pixel of it says, and not of this one
        (source,) = np.unique(after[region][:, 0] // 10)
        assert source in range(6)


def test_a_scene_follows_its_own_seed() -> None:
    batch, mixed = pasted(0.5, 8)
    strategy = Paste(PasteConfig(probability=0.5), Composer(ward(), [VEIN], PLAIN))
    for place in range(8):
        here = slice(place, place + 1)
        alone = strategy.mix(Batch(batch.images[here], batch.masks[here], batch.seeds[here]))
        assert torch.equal(alone.images[0], mixed.images[place])
        assert torch.equal(alone.masks[0], mixed.masks[place])


def test_the_batch_that_was_given_stays() -> None:
    batch = scenes(4)
    images, masks = batch.images.clone(), batch.masks.clone()
    Paste(PasteConfig(probability=1.0), Composer(ward(), [VEIN], PLAIN)).mix(batch)
    assert torch.equal(batch.images, images)
    assert torch.equal(batch.masks, masks)
