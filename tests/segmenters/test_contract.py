"""What every segmenter must keep, whatever its network. A new one joins by its config in `CONFIGS`.

A loss is taken either of `scores`, logits at each pixel, or, by a mask transformer, of `answers`, masks on
coarser cells.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.protocols import BayesianSegmenter, Segmenter
from rarescene.scenes import ClassTable, SceneClass
from rarescene.segmenters import (
    Mask2FormerConfig,
    PHiSegConfig,
    SegFormerConfig,
    SegmentationNetwork,
    SegmenterConfig,
    UNetConfig,
    UNetEnsembleConfig,
    build_segmenter,
    load_segmenter,
    save_segmenter,
)

CLASSES = 5
IGNORE = 255
CONFIGS = {
    "segformer": SegFormerConfig("tiny"),
    "segformer-enlarged": SegFormerConfig("tiny", enlarge=2, dice=1.0),
    "mask2former": Mask2FormerConfig("tiny"),
    "mask2former-enlarged": Mask2FormerConfig("tiny", enlarge=2, drop_path=0.0),
    "unet": UNetConfig(widths=(16, 24, 32)),
    "unet-ensemble": UNetEnsembleConfig(members=2, widths=(16, 24, 32)),
    "phiseg": PHiSegConfig(widths=(16, 24, 32), latent_levels=2, convolutions=2, samples=3),
}
BAYESIAN = (UNetEnsembleConfig, PHiSegConfig)

pytestmark = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def build(config: SegmenterConfig, seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_segmenter(config, CLASSES, IGNORE)


def deal(segmenter: SegmentationNetwork, *scenes: Tensor) -> list[Tensor]:
    """A batch as `loss` takes it: an ensemble deals it to its members, of which each gets all of it here."""
    return [part.repeat(getattr(segmenter, "members", 1), *[1] * (part.ndim - 1)) for part in scenes]


def loss_of(segmenter: SegmentationNetwork, images: Tensor, masks: Tensor) -> Tensor:
    return segmenter.loss(*deal(segmenter, images, masks))


def scenes(count: int, height: int = 64, width: int = 64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images whose colour tells the class of four quarters, and a disc of a fifth class."""
    draw = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    masks = torch.stack(
        [2 * (rows > row) + (columns > column) for row, column in _points(draw, count, height, width)]
    )
    for mask, (row, column) in zip(masks, _points(draw, count, height, width), strict=True):
        mask[(rows - row) ** 2 + (columns - column) ** 2 < (min(height, width) // 5) ** 2] = 4
    colours = torch.tensor(
        [[-0.8, 0, 0.5], [0.7, -0.5, 0], [0.1, 0.9, -0.3], [-0.4, -0.9, -0.9], [0.9, 0.8, 0.9]]
    )
    images = colours[masks].permute(0, 3, 1, 2) + 0.1 * torch.randn(count, 3, height, width, generator=draw)
    return images.clamp(-1, 1), masks


def _points(draw: torch.Generator, count: int, height: int, width: int) -> list[tuple[int, int]]:
    places = 0.3 + 0.4 * torch.rand(count, 2, generator=draw)
    return [(int(row * height), int(column * width)) for row, column in places]


def test_fulfils_the_protocol(config: SegmenterConfig) -> None:
    assert isinstance(build(config), Segmenter)
    assert isinstance(build(config), BayesianSegmenter) == isinstance(config, BAYESIAN)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50), (96, 40), (7, 5)])
def test_probabilities_sum_to_one_at_any_size(config: SegmenterConfig, height: int, width: int) -> None:
    images, masks = scenes(3, height, width)
    segmenter = build(config)
    probabilities = segmenter.predict(images)
    assert probabilities.shape == (3, CLASSES, height, width)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, height, width))
    assert loss_of(segmenter, images, masks).isfinite()


def test_scenes_of_a_batch_do_not_influence_one_another(config: SegmenterConfig) -> None:
    images, _ = scenes(3)
    segmenter = build(config)
    together = segmenter.predict(images)
    for index in range(3):
        torch.testing.assert_close(
            segmenter.predict(images[index : index + 1])[0], together[index], atol=1e-5, rtol=0
        )


def test_the_answer_depends_on_the_image(config: SegmenterConfig) -> None:
    images, _ = scenes(2)
    first, second = build(config).predict(images)
    assert (first - second).abs().max() > 1e-3


def test_prediction_is_repeatable_and_leaves_the_mode_and_the_weights_alone(config: SegmenterConfig) -> None:
    images, _ = scenes(2)
    segmenter = build(config).train()
    before = copy.deepcopy(segmenter.state_dict())
    assert torch.equal(segmenter.predict(images), segmenter.predict(images))
    assert all(module.training for module in segmenter.modules())
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


def test_loss_has_the_value_of_its_definition(config: SegmenterConfig) -> None:
    if isinstance(config, Mask2FormerConfig | PHiSegConfig | UNetEnsembleConfig):
        pytest.skip("a test of its own has its definition")
    images, masks = scenes(3)
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
    if isinstance(segmenter.config, BAYESIAN):
        pytest.skip("a test of its own looks at each level or member")
    if isinstance(segmenter.config, Mask2FormerConfig):
        answers = segmenter.answers(segmenter.prepare(images))  # type: ignore[operator]
        return "answers", answers, [answer.masks for answer in answers]
    scores = segmenter.scores(images)
    return "scores", scores, [scores]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 75)])
def test_ignored_pixels_send_no_gradient(config: SegmenterConfig, height: int, width: int) -> None:
    """Neither to the answer at that pixel, nor to a cell from which labelled pixels take nothing."""
    images, masks = scenes(3, height, width)
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


def test_a_half_ignored_scene_costs_what_its_labelled_half_costs(config: SegmenterConfig) -> None:
    images, masks = scenes(2)
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


def test_a_batch_without_labels_costs_nothing_and_has_a_gradient(config: SegmenterConfig) -> None:
    images, masks = scenes(3)
    segmenter = build(config)
    loss = loss_of(segmenter, images, torch.full_like(masks, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert all(weight.grad is not None and (weight.grad == 0).all() for weight in segmenter.parameters())


def test_every_weight_learns(config: SegmenterConfig) -> None:
    """Within two steps: deformable attention starts with weights of 0, which hide what it attends to."""
    images, masks = scenes(3)
    segmenter = build(config).eval()
    still = dict(segmenter.named_parameters())
    for _ in range(2):
        segmenter.zero_grad()
        loss_of(segmenter, images, masks).backward()
        still = {
            name: weight for name, weight in still.items() if weight.grad is None or not weight.grad.any()
        }
        torch.optim.SGD(segmenter.parameters(), lr=1e-4).step()
    assert list(still) == []


def test_the_seed_decides_the_weights(config: SegmenterConfig) -> None:
    first, same, other = build(config, 3), build(config, 3), build(config, 4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_bf16_stays_close_and_learns(config: SegmenterConfig) -> None:
    images, masks = scenes(3)
    segmenter = build(config)
    exact = segmenter.predict(images)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = segmenter.predict(images)
        loss = loss_of(segmenter, images, masks)
    loss.backward()
    assert loss.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in segmenter.parameters())


def test_overfits_two_scenes(config: SegmenterConfig) -> None:
    images, masks = scenes(2)
    masks[0, :4] = IGNORE
    segmenter = build(config).train()
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=2e-3)
    overlaps = [0.0]
    for step in range(1, 241):
        optimizer.zero_grad()
        segmenter(*deal(segmenter, images, masks))["loss"].backward()
        optimizer.step()
        if step % 10 == 0:
            answer, labelled = segmenter.predict(images).argmax(dim=1), masks != IGNORE
            pairs = [((masks == entry)[labelled], (answer == entry)[labelled]) for entry in range(CLASSES)]
            overlaps = [((truth & found).sum() / (truth | found).sum()).item() for truth, found in pairs]
            if min(overlaps) > 0.9:
                break
    assert min(overlaps) > 0.9


def test_comes_back_from_disk_with_equal_answers(config: SegmenterConfig, tmp_path: Path) -> None:
    images, masks = scenes(3)
    segmenter = build(config)
    loss_of(segmenter, images, masks)  # moves running statistics, where there are any
    classes = ClassTable(
        "colours", tuple(SceneClass(i, f"class {i}", (i, i, i)) for i in range(CLASSES)), IGNORE
    )
    save_segmenter(segmenter, tmp_path / "a run, 50 %", classes)
    loaded, table = load_segmenter(tmp_path / "a run, 50 %", classes)
    assert table == classes
    assert (loaded.config, loaded.ignore_index, loaded.training) == (config, IGNORE, False)
    assert torch.equal(loaded.predict(images), segmenter.predict(images))
