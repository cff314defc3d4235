"""The generalised energy distance on distributions whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rarescene.evaluation import generalised_energy_distance

IGNORE = 255


def discs(radii: list[int], batch: int = 1) -> Tensor:
    """One mask a radius, `(len(radii), batch, 24, 24)`."""
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    away = (rows - 12) ** 2 + (columns - 12) ** 2
    return torch.stack([(away < radius**2).long().expand(batch, -1, -1) for radius in radii])


def test_equal_distributions_have_no_distance() -> None:
    masks = discs([4, 4, 9], batch=3)
    assert generalised_energy_distance(masks, masks, 2) == pytest.approx(np.zeros(3))
    assert generalised_energy_distance(masks.repeat(2, 1, 1, 1), masks, 2) == pytest.approx(np.zeros(3))


def test_one_mask_against_two_modes() -> None:
    """A mask that is always the large disc, against 70 % large and 30 % small: 2·0.3 d - 0 - 2·0.7·0.3 d."""
    large, small = discs([9])[0, 0], discs([4])[0, 0]
    distance = 1 - float(small.sum() / large.sum())
    references = discs([9] * 7 + [4] * 3)
    found = generalised_energy_distance(discs([9]), references, 2, counted=[1])
    assert found == pytest.approx([(0.6 - 0.42) * distance])
    both = generalised_energy_distance(discs([9, 4]), references, 2, counted=[1])
    # Half and half: E d(S, Y) = 0.5 d, E d(S, S') = 0.5 d, E d(Y, Y') = 0.42 d.
    assert both == pytest.approx([(2 * 0.5 - 0.5 - 0.42) * distance])
    assert both < found


def test_is_the_mean_over_the_classes_that_either_shows() -> None:
    left, right = torch.zeros(1, 1, 2, 4, dtype=torch.long), torch.zeros(1, 1, 2, 4, dtype=torch.long)
    left[..., 0], right[..., 0] = 1, 2
    # class 0: all 6 of 6, IoU 1; classes 1 and 2: 0; class 3: in neither.
    assert generalised_energy_distance(left, right, 4) == pytest.approx([2 * (1 - 1 / 3)])
    assert generalised_energy_distance(left, right, 4, counted=[3]) == pytest.approx([0])


def test_scenes_are_apart_and_ignored_pixels_count_nowhere() -> None:
    samples, references = discs([9, 4], batch=2), discs([9, 4], batch=2)
    samples[:, 1] = 0
    plain = generalised_energy_distance(samples, references, 2)
    assert plain[0] == pytest.approx(0)
    assert plain[1] > 0.1
    ignored = references.clone()
    ignored[0, 1, :, :] = IGNORE
    assert generalised_energy_distance(samples, ignored, 2)[1] == pytest.approx(0)
