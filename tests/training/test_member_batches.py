"""Each member of an ensemble passes through all scenes, in an order of its own, whatever the parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rarescene.foundation.errors import ConfigError
from rarescene.training import MemberBatches, SceneBatches

SCENES = 12


def members(count: int = 3, batch_size: int = 4) -> list[SceneBatches]:
    images = np.arange(SCENES, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)
    masks = np.arange(SCENES, dtype=np.uint8).reshape(-1, 1, 1)
    return [
        SceneBatches(lambda index: (images[index], masks[index]), range(SCENES), batch_size, seed)
        for seed in range(count)
    ]


def test_an_epoch_shows_each_member_every_scene_once_in_its_own_order() -> None:
    batches = MemberBatches(members())
    assert batches.batch_size == 12
    seen: list[list[int]] = [[], [], []]
    for step in range(3):
        dealt = batches(step).masks.flatten().chunk(3)
        for order, part in zip(seen, dealt, strict=True):
            order += part.tolist()
    assert all(sorted(order) == list(range(SCENES)) for order in seen)
    assert seen[0] != seen[1] != seen[2] != seen[0]


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_hold_as_much_of_each_member_and_make_the_whole(parts: int) -> None:
    batches, share = MemberBatches(members()), 12 // parts
    whole = batches(5)
    found = [batches(5, start, start + share) for start in range(0, 12, share)]
    for member in range(3):
        expected = whole.images.chunk(3)[member]
        together = torch.cat([part.images.chunk(3)[member] for part in found])
        assert torch.equal(together, expected)
    assert sorted(seed for part in found for seed in part.seeds) == sorted(whole.seeds)
    assert len(set(whole.seeds)) == 12


def test_a_step_is_a_function_of_the_step() -> None:
    first, again = MemberBatches(members()), MemberBatches(members())
    expected = [first(step).masks for step in range(4)][3]
    assert torch.equal(again(3).masks, expected)


def test_weights_reach_every_member() -> None:
    batches = MemberBatches(members())
    batches.reweigh([0.0] * 11 + [1.0])
    assert (batches(0).masks == 11).all()
    batches.reweigh(None)
    assert len(batches(1).masks.unique()) > 1


def test_a_part_that_starves_a_member_is_refused() -> None:
    with pytest.raises(ConfigError, match="dealt evenly to 3 members"):
        MemberBatches(members())(0, 0, 4)
