"""The calibration error against torchmetrics and a case worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from rarescene.evaluation import CalibrationMeter

from .conftest import given

IGNORE = 255


def answers(batch: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(batch, classes, 16, 12, generator=draw)
    masks = (scores + torch.randn(scores.shape, generator=draw)).argmax(dim=1)
    return scores.softmax(dim=1), masks.masked_fill(torch.rand(masks.shape, generator=draw) < 0.2, IGNORE)


@pytest.mark.parametrize(("batch", "classes", "bins"), [(1, 2, 15), (3, 5, 15), (3, 13, 10)])
def test_agrees_with_torchmetrics(batch: int, classes: int, bins: int) -> None:
    probabilities, masks = answers(batch, classes)
    meter = CalibrationMeter(classes, IGNORE, bins)
    for index in range(batch):
        meter.update(given(probabilities[index : index + 1], masks[index : index + 1]))
    found = meter.result()
    oracle = multiclass_calibration_error(probabilities, masks, classes, bins, "l1", ignore_index=IGNORE)
    assert found.error == pytest.approx(oracle.item(), abs=1e-6)
    predicted = probabilities.argmax(dim=1)
    for index, error in enumerate(found.classes):
        other = masks.masked_fill(predicted != index, IGNORE)
        oracle = multiclass_calibration_error(probabilities, other, classes, bins, "l1", ignore_index=IGNORE)
        assert error == pytest.approx(oracle.item(), abs=1e-6)


def test_known_values() -> None:
    """Ten pixels said at 0.8 of which six are right, and ten certain ones that are all wrong."""
    probabilities = torch.zeros(1, 3, 4, 5)
    probabilities[:, 0, :2], probabilities[:, 1, :2] = 0.8, 0.2
    probabilities[:, 1, 2:] = 1.0
    masks = torch.zeros(1, 4, 5, dtype=torch.long)
    masks[0, 0, :4] = 1
    meter = CalibrationMeter(3, IGNORE)
    meter.update(given(probabilities, masks))
    found = meter.result()
    assert found.error == pytest.approx((10 * 0.2 + 10 * 1.0) / 20)
    assert found.classes == pytest.approx((0.2, 1.0, None))
    assert sum(found.pixels) == 20
    assert found.pixels[12] == found.pixels[14] == 10  # 0.8 lies in [12/15, 13/15)
    assert found.accuracy[12] == pytest.approx(0.6)


def test_a_forecast_that_keeps_its_word_has_no_error() -> None:
    draw = torch.Generator().manual_seed(0)
    sure = 0.5 + 0.5 * torch.rand(4, 200, 200, generator=draw)
    masks = (torch.rand(sure.shape, generator=draw) > sure).long()
    meter = CalibrationMeter(2, IGNORE)
    meter.update(given(torch.stack([sure, 1 - sure], dim=1), masks))
    assert (meter.result().error or 1) < 0.01


def test_nothing_labelled_has_no_score() -> None:
    probabilities, masks = answers(2, 3)
    meter = CalibrationMeter(3, IGNORE)
    meter.update(given(probabilities, torch.full_like(masks, IGNORE)))
    assert meter.result().error is None
    assert meter.result().classes == (None, None, None)
