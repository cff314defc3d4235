"""Uncertainty against known values and against a slow reference written from the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarescene.evaluation import UncertaintyMeter, mutual_information, variance
from rarescene.foundation.errors import DataError

IGNORE = 255


def posterior(
    samples: int, batch: int, classes: int, seed: int = 0, size: tuple[int, int] = (5, 4)
) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(samples, batch, classes, *size, generator=draw)).softmax(dim=2)


def masks_for(batch: int, classes: int, seed: int = 1, size: tuple[int, int] = (5, 4)) -> Tensor:
    masks = torch.randint(0, classes, (batch, *size), generator=torch.Generator().manual_seed(seed))
    return masks.masked_fill(
        torch.rand(masks.shape, generator=torch.Generator().manual_seed(9)) < 0.2, IGNORE
    )


def slow(given_posterior: Tensor, masks: Tensor, measure: str) -> list[float | None]:
    """Eq. 8, pixel by pixel."""
    p = given_posterior.double().numpy()
    samples, batch, classes, height, width = p.shape
    found: list[list[float]] = [[] for _ in range(classes)]
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                if masks[b, i, j] == IGNORE:
                    continue
                mean = [sum(p[m, b, c, i, j] for m in range(samples)) / samples for c in range(classes)]
                for c in {int(np.argmax(mean)), int(masks[b, i, j])}:
                    if measure == "variance":
                        value = sum((p[m, b, c, i, j] - mean[c]) ** 2 for m in range(samples)) / samples
                    else:
                        value = -sum(q * math.log(q) for q in mean)
                        for m in range(samples):
                            value += sum(q * math.log(q) for q in p[m, b, :, i, j]) / samples
                    found[c].append(value)
    return [sum(values) / len(values) if values else None for values in found]


@pytest.mark.parametrize("measure", ["variance", "mutual_information"])
@pytest.mark.parametrize(("samples", "batch", "classes"), [(1, 1, 2), (4, 3, 5), (10, 2, 7)])
def test_equals_the_slow_reference(measure: str, samples: int, batch: int, classes: int) -> None:
    given_posterior, masks = posterior(samples, batch, classes), masks_for(batch, classes)
    meter = UncertaintyMeter(classes, IGNORE, measure)  # type: ignore[arg-type]
    meter.update(given_posterior, masks)
    assert meter.result().values == pytest.approx(slow(given_posterior, masks, measure), abs=1e-6)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 1000))
def test_batches_add_up(batch: int, classes: int, seed: int) -> None:
    given_posterior, masks = posterior(3, batch, classes, seed), masks_for(batch, classes, seed)
    whole, parts = UncertaintyMeter(classes, IGNORE), UncertaintyMeter(classes, IGNORE)
    whole.update(given_posterior, masks)
    for index in range(batch):
        parts.update(given_posterior[:, index : index + 1], masks[index : index + 1])
    assert parts.result().pixels == whole.result().pixels
    assert parts.result().values == pytest.approx(whole.result().values, abs=1e-12)


def test_identical_members_are_sure() -> None:
    same = posterior(1, 2, 4).expand(6, -1, -1, -1, -1)
    assert variance(same).max() < 1e-12
    assert mutual_information(same).max() < 1e-6
    for measure in ("variance", "mutual_information"):
        meter = UncertaintyMeter(4, IGNORE, measure)  # type: ignore[arg-type]
        meter.update(same, masks_for(2, 4))
        assert all(value is not None and value < 1e-6 for value in meter.result().values)


def test_two_opposite_certain_members_are_as_unsure_as_can_be() -> None:
    opposite = torch.zeros(2, 1, 2, 3, 3)
    opposite[0, :, 0] = opposite[1, :, 1] = 1
    torch.testing.assert_close(variance(opposite), torch.full((1, 2, 3, 3), 0.25))
    torch.testing.assert_close(mutual_information(opposite), torch.full((1, 1, 3, 3), math.log(2)))
    for measure, value in (("variance", 0.25), ("mutual_information", math.log(2))):
        meter = UncertaintyMeter(2, IGNORE, measure)  # type: ignore[arg-type]
        meter.update(opposite, torch.tensor([[[0, 1, 1], [0, 0, 1], [1, 1, 0]]]))
        assert meter.result().values == pytest.approx((value, value))


def test_uncertain_members_that_agree_know_what_they_do_not_know() -> None:
    """Doubt within the members is no disagreement between them."""
    flat = torch.full((5, 1, 3, 2, 2), 1 / 3)
    assert mutual_information(flat).max() < 1e-6
    assert variance(flat).max() == 0


def test_a_class_that_is_never_predicted_counts_where_it_is_labelled() -> None:
    split = torch.zeros(2, 1, 4, 2, 2)
    split[:, :, 0] = 0.6
    split[0, :, 1] = split[1, :, 2] = 0.4
    meter = UncertaintyMeter(4, IGNORE)
    meter.update(split, torch.tensor([[[1, 0], [0, IGNORE]]]))
    found = meter.result()
    assert found.values == pytest.approx((0.0, 0.04, None, None))  # p of class 1 is 0.4 or 0
    assert found.pixels == (3, 1, 0, 0)


def test_ignored_pixels_never_count() -> None:
    given_posterior, masks = posterior(4, 2, 3), masks_for(2, 3)
    other = given_posterior.clone()
    where = (masks == IGNORE)[None, :, None].expand_as(other)
    other[where] = posterior(4, 2, 3, seed=7)[where]
    results = []
    for one in (given_posterior, other):
        meter = UncertaintyMeter(3, IGNORE, "mutual_information")
        meter.update(one, masks)
        results.append(meter.result())
    assert results[0] == results[1]
    unlabelled = UncertaintyMeter(3, IGNORE)
    unlabelled.update(given_posterior, torch.full_like(masks, IGNORE))
    assert unlabelled.result().values == (None, None, None)


def test_many_small_values_are_not_lost() -> None:
    """float32 sums would stop to grow at 2^24 pixels; these have lost nothing."""
    meter = UncertaintyMeter(2, IGNORE)
    opposite = torch.zeros(2, 1, 2, 512, 512)
    opposite[0, :, 0] = opposite[1, :, 1] = 1
    for _ in range(20):
        meter.update(opposite, torch.zeros(1, 512, 512, dtype=torch.long))
    assert meter.result().values[0] == 0.25


def test_shapes_that_do_not_fit_are_refused() -> None:
    meter = UncertaintyMeter(3, IGNORE)
    with pytest.raises(DataError, match="posterior of shape"):
        meter.update(posterior(2, 1, 4), masks_for(1, 4))
    with pytest.raises(DataError, match="masks of"):
        meter.update(posterior(2, 2, 3), masks_for(1, 3))
