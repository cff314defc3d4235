"""What every metric must keep, whatever it measures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rarescene.evaluation.run_metrics import FIELDS
from rarescene.foundation.methods import MetricMethod
from rarescene.foundation.protocols import Meter, Predicted, Segmenter
from rarescene.testing.toys import IGNORE, TABLE, ToySegmenter, toy_batch

CLASSES = len(TABLE)
ROWS = {"label mean", "sample mean", "sample median", "all pixels"}
"""The rows of means that tables have."""


class OneAnswer:
    """A segmenter without a posterior."""

    loss, predict = ToySegmenter.loss, ToySegmenter.predict


@dataclass(frozen=True)
class Subject:
    """A metric under test.

    Attributes:
        method: its declaration.
    """

    method: MetricMethod

    @property
    def segmenter(self) -> Segmenter:
        """A segmenter of which the metric says something: one without a posterior, where it does."""
        plain, bayesian = OneAnswer(), ToySegmenter()
        return bayesian if self.method.build(TABLE, plain) is None else plain

    def measure(self, *parts: Predicted) -> Any:
        """Return the JSON values of what is measured on these scenes, batch by batch."""
        meter = self.method.build(TABLE, self.segmenter)
        assert meter is not None
        for part in parts:
            meter.update(part)
        return meter.result().to_dict()


def predicted(answers: Tensor, masks: Tensor, noise: float = 1.0) -> Predicted:
    """Return logits `(B, C, H, W)` as what a segmenter says, with three posterior samples about it."""
    draw = torch.Generator().manual_seed(0)
    place = torch.randn(answers.shape[1:], generator=draw)  # the same for each scene, whatever its batch
    posterior = torch.stack([answers + step * noise * place for step in (-1, 0, 1)]).softmax(2)
    groups = [f"recording {int(mask.sum()) % 2}" for mask in masks]
    return Predicted(posterior.mean(0), masks, groups, posterior, masks)


def scenes(count: int = 6) -> tuple[Tensor, Tensor]:
    """Return logits that are right at most pixels, and masks of which a corner is not labelled."""
    masks = toy_batch(count, 16, 20)[1]
    draw = torch.Generator().manual_seed(1)
    right = torch.nn.functional.one_hot(masks, CLASSES).permute(0, 3, 1, 2).float()
    answers = 2 * right + torch.randn(count, CLASSES, 16, 20, generator=draw)
    masks[:, :4, :7] = IGNORE
    return answers, masks


def fulfils_the_protocol(of: Subject) -> None:
    """It gives a `Meter`, of Bayesian segmenters at least, and its name is no field of the file of scores."""
    assert isinstance(of.method.build(TABLE, ToySegmenter()), Meter)
    assert of.method.name not in FIELDS


def ignored_pixels_never_count(of: Subject) -> None:
    """Whatever is predicted where nothing is labelled, the scores are the same; elsewhere they are not."""
    answers, masks = scenes()
    other, corner = answers.roll(1, dims=1), (masks == IGNORE)[:, None]
    plain = of.measure(predicted(answers, masks))
    _alike(plain, of.measure(predicted(torch.where(corner, other, answers), masks)))
    assert plain != of.measure(predicted(other, masks, noise=5.0))


def batches_and_their_order_do_not_matter(of: Subject) -> None:
    """The scores of scenes are the same at once, one by one, and backwards."""
    answers, masks = scenes()
    whole = of.measure(predicted(answers, masks))
    alone = [predicted(answers[i : i + 1], masks[i : i + 1]) for i in range(len(masks))]
    _alike(whole, of.measure(*alone))
    _alike(whole, of.measure(*alone[::-1]))


def what_it_writes_is_json_and_can_be_shown(of: Subject) -> None:
    """`to_dict` gives JSON values, of which `columns` make a cell for each class; without a label too."""
    answers, masks = scenes()
    for shown in (masks, torch.full_like(masks, IGNORE)):
        found = of.measure(predicted(answers, shown))
        columns = of.method.columns(json.loads(json.dumps(found, allow_nan=False)))
        assert columns
        for column in columns:
            assert column.heading
            assert len(column.classes) == CLASSES
            assert set(column.means) <= ROWS
            assert all(isinstance(cell, str) and cell for cell in (*column.classes, *column.means.values()))


def _alike(one: Any, other: Any) -> None:
    """Compare JSON values; sums of floats may be rounded otherwise."""
    if isinstance(one, Mapping):
        assert list(one) == list(other)
        for name in one:
            _alike(one[name], other[name])
    elif isinstance(one, Sequence) and not isinstance(one, str):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _alike(a, b)
    elif isinstance(one, float) and isinstance(other, float):
        assert abs(one - other) <= 1e-5 * max(1.0, abs(one))
    else:
        assert one == other
