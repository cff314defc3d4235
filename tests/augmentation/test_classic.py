"""Classic augmentation: image and mask change together, as often and as far as the paper says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rarescene.augmentation import Classic, ClassicConfig
from rarescene.foundation.protocols import Batch
from rarescene.scenes import augment

from .toys import a_batch

NEVER: dict[str, float] = {"horizontal_flip": 0.0, "vertical_flip": 0.0, "rotation": 0.0, "crop": 0.0}


def classic(ignore_index: int = 255, **options: Any) -> Classic:
    return Classic(ClassicConfig(**(NEVER | options)), ignore_index)


def ramps(size: int, height: int = 40, width: int = 60) -> Batch:
    """Return scenes whose mask counts the columns and whose image is the mask, from -1 to 1."""
    columns = torch.arange(width).expand(size, height, width)
    images = (columns / (width - 1) * 2 - 1)[:, None].expand(-1, 3, -1, -1)
    return Batch(images.float().contiguous(), columns.contiguous(), range(size))


def test_the_constants_are_the_paper_s() -> None:
    config = ClassicConfig()
    assert (config.crop, config.horizontal_flip, config.rotation, config.vertical_flip) == (
        0.2,
        0.2,
        0.2,
        0.0,
    )
    assert (config.crop_share, config.degrees) == (0.1, 45.0)


def test_each_change_comes_in_one_scene_of_five() -> None:
    batch = ramps(3000, 6, 9)
    for name in ("horizontal_flip", "rotation", "crop"):
        images = classic(**{name: 0.2}).mix(batch).images
        changed = (images != batch.images).flatten(1).any(1)
        assert changed.float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_colours_vary_where_that_is_asked_for_and_the_masks_stay() -> None:
    batch = a_batch(0, 6)
    assert ClassicConfig().colour == 0
    mixed = classic(colour=0.3).mix(batch)
    assert torch.equal(mixed.masks, batch.masks)
    assert (mixed.images != batch.images).flatten(1).any(1).all()
    assert mixed.images.abs().max() <= 1
    alone = classic(colour=0.3).mix(Batch(batch.images[2:3], batch.masks[2:3], [batch.seeds[2]]))
    assert torch.equal(alone.images[0], mixed.images[2])


def test_a_mirror_image_is_exact() -> None:
    batch = a_batch(0, 3)
    mixed = classic(horizontal_flip=1.0).mix(batch)
    assert torch.equal(mixed.images, batch.images.flip(-1))
    assert torch.equal(mixed.masks, batch.masks.flip(-1))


def test_a_crop_cuts_a_tenth_of_each_side_away_and_leaves_no_edge() -> None:
    mixed = classic(crop=1.0).mix(ramps(30))
    spans = mixed.masks.flatten(1).amax(1) - mixed.masks.flatten(1).amin(1) + 1
    assert set(spans.tolist()) <= {54, 55}  # 90 % of 60 columns
    assert mixed.masks.flatten(1).amin(1).unique().numel() > 3  # not always the same place


def test_a_rotation_turns_by_45_degrees_at_most_and_what_leaves_the_frame_is_black_and_ignored() -> None:
    mixed = classic(rotation=1.0).mix(ramps(200))
    middle = mixed.masks[:, 20, 20:40].float()
    # Along the middle row the columns of the source go by cos(angle) of a pixel.
    cosines = (middle[:, -1] - middle[:, 0]) / 19
    assert cosines.min() >= math.cos(math.radians(45)) - 0.06
    assert cosines.min() < 0.8
    ignored = mixed.masks == 255
    assert ignored.any(dim=(1, 2)).float().mean() > 0.9
    deep = torch.nn.functional.max_pool2d((~ignored).float()[:, None], 3, 1, 1)[:, 0] == 0
    assert (mixed.images.permute(0, 2, 3, 1)[deep] == -1).all()


@given(st.integers(0, 10_000))
def test_image_and_mask_stay_together_and_no_id_is_invented(step: int) -> None:
    batch = ramps(2)
    batch = Batch(batch.images, batch.masks, [2 * step, 2 * step + 1])
    mixed = Classic(ClassicConfig(0.5, 0.5, 0.5, crop=0.5), 99).mix(batch)
    known = mixed.masks != 99
    assert int(mixed.masks[known].max()) < 60
    # The image fades to black over a pixel at the frame's edge, where the mask still has its class.
    edge = torch.nn.functional.pad(~known, (2, 2, 2, 2), value=True).float()[:, None]
    inner = torch.nn.functional.max_pool2d(edge, 5, 1)[:, 0] == 0
    columns = (mixed.images[:, 0] + 1) / 2 * 59  # what column the image shows
    assert (columns - mixed.masks)[inner].abs().max() <= 1.0


def test_a_scene_depends_on_its_own_seed_and_not_on_its_batch() -> None:
    batch = a_batch(0, 6)
    strategy = Classic(ClassicConfig(0.5, 0.0, 0.5, crop=0.5))
    mixed = strategy.mix(batch)
    for place in range(6):
        alone = Batch(batch.images[place : place + 1], batch.masks[place : place + 1], [batch.seeds[place]])
        assert torch.equal(strategy.mix(alone).images[0], mixed.images[place])
        assert torch.equal(strategy.mix(alone).masks[0], mixed.masks[place])


def test_its_draws_are_not_those_of_a_loop_that_augments_as_well() -> None:
    batch = ramps(400, 4, 6)
    config = ClassicConfig(0.5, 0.0, 0.0, crop=0.0)
    ours = (Classic(config).mix(batch).images != batch.images).flatten(1).any(1)
    theirs = (augment(batch.images, batch.masks, batch.seeds, config)[0] != batch.images).flatten(1).any(1)
    assert 0.4 < (ours == theirs).float().mean().item() < 0.6
