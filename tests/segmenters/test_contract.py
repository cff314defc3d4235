"""What every segmenter of ours must keep: the contract of `rarescene.testing`, and what their losses share.

A loss is taken either of `scores`, logits at each pixel, or, by a mask transformer, of `answers`, masks on
coarser cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.plugins import method_for, methods
from rarescene.segmenters import (
    Mask2FormerConfig,
    PHiSegConfig,
    SegFormerConfig,
    SegmentationNetwork,
    UNetConfig,
    UNetEnsembleConfig,
)
from rarescene.testing import checks
from rarescene.testing.segmenters import CLASSES, Subject
from rarescene.testing.toys import IGNORE, toy_batch

CONFIGS = {
    "segformer": SegFormerConfig("tiny"),
    "segformer-enlarged": SegFormerConfig("tiny", enlarge=2, dice=1.0),
    "mask2former": Mask2FormerConfig("tiny"),
    "mask2former-enlarged": Mask2FormerConfig("tiny", enlarge=2, drop_path=0.0),
    "unet": UNetConfig(widths=(16, 24, 32)),
    "unet-imagenet": UNetConfig(widths=(16, 24, 32), encoder="efficientnet-lite0"),
    "unet-ensemble": UNetEnsembleConfig(members=2, widths=(16, 24, 32)),
    "phiseg": PHiSegConfig(widths=(16, 24, 32), latent_levels=2, convolutions=2, samples=3),
}
SPATIAL = {name: config for name, config in CONFIGS.items() if not method_for("segmenters", config).bayesian}
"""Of the others a test of their own looks at each level or member."""
PIXELWISE = {name: config for name, config in SPATIAL.items() if not isinstance(config, Mask2FormerConfig)}
"""A mask transformer has a test of its own for the value of its loss."""


def build(config: Any) -> SegmentationNetwork:
    return Subject(method_for("segmenters", config), config).build()


@pytest.mark.parametrize(
    "check",
    [one for config in CONFIGS.values() for one in checks(method_for("segmenters", config), config=config)],
)
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_all_segmenters_are_tested() -> None:
    assert {method_for("segmenters", config).name for config in CONFIGS.values()} == set(
        methods("segmenters")
    )


@pytest.mark.parametrize("config", PIXELWISE.values(), ids=PIXELWISE)
def test_loss_has_the_value_of_its_definition(config: Any) -> None:
    images, masks = toy_batch(3)
    masks[:, :9] = IGNORE
    segmenter = build(config).eval()
    with torch.no_grad():
        loss = segmenter.loss(images, masks).item()
    probabilities = segmenter.predict(images).double()
    labelled = masks != IGNORE
    picked = probabilities.gather(1, masks.masked_fill(~labelled, 0)[:, None])[:, 0]
    expected = -picked[labelled].log().mean().item()
    dice = []
    for entry in range(CLASSES):
        truth, answer = (masks == entry)[labelled].double(), probabilities[:, entry][labelled]
        dice.append((2 * (truth * answer).sum() + 1) / (truth.sum() + answer.sum() + 1))
    expected += config.dice * (1 - sum(dice).item() / CLASSES)
    assert loss == pytest.approx(expected, rel=1e-4)


def spatial(segmenter: SegmentationNetwork, images: Tensor) -> tuple[str, Any, list[Tensor]]:
    """What the loss is taken of: the method's name, what it returns, and its parts that have places."""
    if isinstance(segmenter.config, Mask2FormerConfig):
        answers = segmenter.answers(segmenter.prepare(images))  # type: ignore[operator]
        return "answers", answers, [answer.masks for answer in answers]
    scores = segmenter.scores(images)
    return "scores", scores, [scores]


@pytest.mark.parametrize("config", SPATIAL.values(), ids=SPATIAL)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 75)])
def test_ignored_pixels_send_no_gradient(config: Any, height: int, width: int) -> None:
    """Neither to the answer at that pixel, nor to a cell from which labelled pixels take nothing."""
    images, masks = toy_batch(3, height, width)
    masks[0, 10:30, 5:40] = IGNORE
    masks[1, :40, :50] = IGNORE
    masks[2] = IGNORE
    segmenter = build(config)
    name, said, places = spatial(segmenter, images)
    for tensor in places:
        tensor.retain_grad()
    setattr(segmenter, name, lambda _: said)
    segmenter.loss(images, masks).backward()
    for tensor in places:
        # What the labelled pixels take from each place: the gradient of their sum.
        cells = torch.zeros(3, 1, *tensor.shape[-2:], requires_grad=True)
        padded = [side if name == "scores" else side + -side % segmenter.stride for side in (height, width)]
        enlarged = F.interpolate(cells, size=padded, mode="bilinear", align_corners=False)[
            ..., :height, :width
        ]
        (enlarged[:, 0] * (masks != IGNORE)).sum().backward()
        assert cells.grad is not None
        assert tensor.grad is not None
        taken, sent = cells.grad[:, 0], tensor.grad.abs().sum(dim=1)
        assert 0.3 < (taken == 0).float().mean() < 0.8
        assert sent[taken == 0].max() < 1e-6 * sent.max()
        assert (sent[taken > 0] > 0).float().mean() > (0.99 if name == "scores" else 0.8)


@pytest.mark.parametrize("config", SPATIAL.values(), ids=SPATIAL)
def test_a_half_ignored_scene_costs_what_its_labelled_half_costs(config: Any) -> None:
    images, masks = toy_batch(2)
    segmenter = build(config).eval()
    half = masks.clone()
    half[:, 32:] = IGNORE
    name, said, _ = spatial(segmenter, images)
    losses = []
    for image, mask in ((images, half), (images[..., :32, :], masks[:, :32])):
        answer = said[..., : image.shape[-2], :] if isinstance(said, Tensor) else said
        setattr(segmenter, name, lambda _, answer=answer: answer)
        segmenter.prepare = lambda _: images  # type: ignore[method-assign]  # the cells still cover all of it
        torch.manual_seed(0)
        losses.append(segmenter.loss(image, mask))
    torch.testing.assert_close(*losses)
