from __future__ import annotations

import math

import pytest
import torch

from rarescene.segmenters.base import cross_entropy, soft_dice


def test_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2], [0.3, 0.8]])).view(1, 2, 1, 2)  # q_0 = 0.7, 0.2
    assert cross_entropy(logits, torch.tensor([[[0, 1]]]), 255).item() == pytest.approx(
        -(math.log(0.7) + math.log(0.8)) / 2
    )
    assert cross_entropy(logits, torch.tensor([[[0, 255]]]), 255).item() == pytest.approx(-math.log(0.7))


def test_dice_by_hand() -> None:
    # Two pixels labelled 0 and 1, a third ignored; class 2 is shown by none and stays out of the mean.
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])).view(1, 3, 1, 3)
    masks = torch.tensor([[[0, 1, 255]]])
    dice_0 = (2 * 0.7 + 1) / (0.7 + 0.2 + 1 + 1)
    dice_1 = (2 * 0.7 + 1) / (0.2 + 0.7 + 1 + 1)
    assert soft_dice(logits, masks, 255).item() == pytest.approx(1 - (dice_0 + dice_1) / 2)


def test_dice_of_a_perfect_answer_is_zero() -> None:
    masks = torch.tensor([[[0, 0, 1], [2, 2, 255]]])
    logits = 50 * torch.nn.functional.one_hot(masks.clamp(max=2), 3).permute(0, 3, 1, 2).float()
    assert soft_dice(logits, masks, 255).item() == pytest.approx(0, abs=1e-6)


def test_dice_counts_the_batch_as_one() -> None:
    """A class of one scene alone weighs as much as it would if both scenes were one larger scene."""
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    joined = torch.cat(list(logits), dim=1)[None], torch.cat(list(masks), dim=0)[None]
    torch.testing.assert_close(soft_dice(logits, masks, 255), soft_dice(*joined, 255))


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice])
def test_changing_what_is_ignored_changes_nothing(loss) -> None:  # type: ignore[no-untyped-def]
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 6, 6, generator=draw)
    masks = torch.randint(0, 4, (3, 6, 6), generator=draw)
    ignored = torch.rand(3, 6, 6, generator=draw) < 0.4
    masks[ignored] = 255
    other = torch.where(ignored[:, None], 100 * torch.randn(3, 4, 6, 6, generator=draw), logits)
    torch.testing.assert_close(loss(logits, masks, 255), loss(other, masks, 255))
    assert not torch.isclose(loss(logits, masks, 255), loss(other, masks.masked_fill(ignored, 0), 255))
