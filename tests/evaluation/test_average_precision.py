"""Average precision against torchmetrics, binned and exact, and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_average_precision

from rarescene.evaluation import AveragePrecisionMeter
from rarescene.evaluation.average_precision import REACH, STEPS

from .conftest import given

IGNORE = 255
EDGES = [0.0, *torch.linspace(-REACH, REACH, 2 * REACH * STEPS + 1).sigmoid().tolist()]


def answers(batch: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(batch, classes, 16, 12, generator=draw)
    masks = (scores + 3 * torch.randn(scores.shape, generator=draw)).argmax(dim=1)
    return scores.softmax(dim=1), masks.masked_fill(torch.rand(masks.shape, generator=draw) < 0.2, IGNORE)


@pytest.mark.parametrize(("batch", "classes"), [(1, 2), (3, 5), (3, 13)])
def test_agrees_with_torchmetrics(batch: int, classes: int) -> None:
    probabilities, masks = answers(batch, classes)
    meter = AveragePrecisionMeter(classes, IGNORE)
    meter.update(given(probabilities[:1], masks[:1]))
    meter.update(given(probabilities[1:], masks[1:]))
    found = meter.result()
    binned = multiclass_average_precision(
        probabilities, masks, classes, average="none", thresholds=EDGES, ignore_index=IGNORE
    )
    exact = multiclass_average_precision(probabilities, masks, classes, average="none", ignore_index=IGNORE)
    assert found.classes == pytest.approx(binned.tolist(), abs=1e-5)
    assert found.classes == pytest.approx(exact.tolist(), abs=0.02)
    assert found.label_mean == pytest.approx(np.mean(binned.tolist()), abs=1e-5)


def test_samples_are_scored_one_by_one_over_the_classes_that_they_show() -> None:
    probabilities, masks = answers(5, 4)
    masks[1][masks[1] == 2] = 0
    masks[3] = IGNORE
    meter = AveragePrecisionMeter(4, IGNORE)
    meter.update(given(probabilities, masks))
    means = []
    for image, mask in zip(probabilities, masks, strict=True):
        shown = sorted(set(mask.unique().tolist()) - {IGNORE})
        if shown:
            each = multiclass_average_precision(
                image[None], mask[None], 4, average="none", thresholds=EDGES, ignore_index=IGNORE
            )
            means.append(each[shown].mean().item())
    assert len(means) == 4
    found = meter.result()
    assert found.sample_mean == pytest.approx(np.mean(means), abs=1e-5)
    assert found.sample_median == pytest.approx(np.median(means), abs=1e-5)


def test_a_perfect_ranking_scores_one_even_if_no_pixel_is_decided_that_way() -> None:
    probabilities = torch.zeros(1, 2, 1, 4)
    probabilities[0, 1] = torch.tensor([0.001, 0.002, 0.01, 0.02])
    probabilities[0, 0] = 1 - probabilities[0, 1]
    meter = AveragePrecisionMeter(2, IGNORE)
    meter.update(given(probabilities, torch.tensor([[[0, 0, 1, 1]]])))
    assert meter.result().classes == pytest.approx((1.0, 1.0))


def test_known_value() -> None:
    """Ranked right, wrong, right: precision 1 at half of the recall, 2/3 at all of it."""
    probabilities = torch.zeros(1, 2, 1, 3)
    probabilities[0, 1] = torch.tensor([0.9, 0.5, 0.2])
    probabilities[0, 0] = 1 - probabilities[0, 1]
    meter = AveragePrecisionMeter(2, IGNORE)
    meter.update(given(probabilities, torch.tensor([[[1, 0, 1]]])))
    assert meter.result().classes[1] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_class_that_the_reference_never_shows_has_no_score() -> None:
    probabilities, masks = answers(2, 3)
    masks[masks == 1] = 0
    meter = AveragePrecisionMeter(3, IGNORE)
    meter.update(given(probabilities, masks))
    found = meter.result()
    assert found.classes[1] is None
    assert found.label_mean == pytest.approx((found.classes[0] + found.classes[2]) / 2)  # type: ignore[operator]
    empty = AveragePrecisionMeter(3, IGNORE)
    empty.update(given(probabilities, torch.full_like(masks, IGNORE)))
    assert empty.result().to_dict() == {
        "classes": (None,) * 3, "label_mean": None, "sample_mean": None, "sample_median": None,
    }  # fmt: skip
    assert AveragePrecisionMeter(3, IGNORE).result().sample_mean is None
