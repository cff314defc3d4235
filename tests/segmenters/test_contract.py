"""What every segmenter must keep, whatever its network. A new one joins by its config in `CONFIGS`."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rarescene.foundation.protocols import Segmenter
from rarescene.scenes import ClassTable, SceneClass
from rarescene.segmenters import (
    SegFormerConfig,
    SegmentationNetwork,
    SegmenterConfig,
    UNetConfig,
    build_segmenter,
    load_segmenter,
    save_segmenter,
)

CLASSES = 5
IGNORE = 255
CONFIGS = {
    "segformer": SegFormerConfig("tiny"),
    "segformer-enlarged": SegFormerConfig("tiny", enlarge=2, dice=1.0),
    "unet": UNetConfig(widths=(16, 24, 32)),
}

pytestmark = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def build(config: SegmenterConfig, seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_segmenter(config, CLASSES, IGNORE)


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


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50), (96, 40), (7, 5)])
def test_probabilities_sum_to_one_at_any_size(config: SegmenterConfig, height: int, width: int) -> None:
    images, masks = scenes(3, height, width)
    segmenter = build(config)
    probabilities = segmenter.predict(images)
    assert probabilities.shape == (3, CLASSES, height, width)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, height, width))
    assert segmenter.loss(images, masks).isfinite()


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


def test_ignored_pixels_send_no_gradient(config: SegmenterConfig) -> None:
    images, masks = scenes(3)
    masks[0, 10:30, 5:40] = IGNORE
    masks[2] = IGNORE
    segmenter = build(config)
    caught: list[Tensor] = []

    def catch(images: Tensor, scores=segmenter.scores) -> Tensor:  # type: ignore[no-untyped-def]
        caught.append(scores(images))
        caught[0].retain_grad()
        return caught[0]

    segmenter.scores = catch  # type: ignore[method-assign]
    segmenter.loss(images, masks).backward()
    gradient = caught[0].grad
    assert gradient is not None
    at_pixel = gradient.abs().sum(dim=1)  # (B, H, W)
    assert (at_pixel[masks == IGNORE] == 0).all()
    assert (at_pixel[masks != IGNORE] > 0).float().mean() > 0.99


def test_a_half_ignored_scene_costs_what_its_labelled_half_costs(config: SegmenterConfig) -> None:
    images, masks = scenes(2)
    segmenter = build(config).eval()
    half = masks.clone()
    half[:, 32:] = IGNORE
    scores = segmenter.scores(images).detach()
    segmenter.scores = lambda images: scores[..., : images.shape[-2], :]  # type: ignore[method-assign]
    torch.testing.assert_close(
        segmenter.loss(images, half), segmenter.loss(images[..., :32, :], masks[:, :32])
    )


def test_a_batch_without_labels_costs_nothing_and_has_a_gradient(config: SegmenterConfig) -> None:
    images, masks = scenes(3)
    segmenter = build(config)
    loss = segmenter.loss(images, torch.full_like(masks, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert all(weight.grad is not None and (weight.grad == 0).all() for weight in segmenter.parameters())


def test_every_weight_learns(config: SegmenterConfig) -> None:
    images, masks = scenes(3)
    segmenter = build(config).eval()
    segmenter.loss(images, masks).backward()
    still = [
        name for name, weight in segmenter.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert still == []


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
        loss = segmenter.loss(images, masks)
    loss.backward()
    assert loss.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in segmenter.parameters())


def test_overfits_two_scenes(config: SegmenterConfig) -> None:
    images, masks = scenes(2)
    masks[0, :4] = IGNORE
    segmenter = build(config).train()
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=2e-3)
    for _ in range(80):
        optimizer.zero_grad()
        segmenter(images, masks).backward()
        optimizer.step()
    answer, labelled = segmenter.predict(images).argmax(dim=1), masks != IGNORE
    for entry in range(CLASSES):
        truth, found = (masks == entry)[labelled], (answer == entry)[labelled]
        assert (truth & found).sum() / (truth | found).sum() > 0.9, f"class {entry}"


def test_comes_back_from_disk_with_equal_answers(config: SegmenterConfig, tmp_path: Path) -> None:
    images, masks = scenes(3)
    segmenter = build(config)
    segmenter.loss(images, masks)  # moves running statistics, where there are any
    classes = ClassTable(
        "colours", tuple(SceneClass(i, f"class {i}", (i, i, i)) for i in range(CLASSES)), IGNORE
    )
    save_segmenter(segmenter, tmp_path / "a run, 50 %", classes)
    loaded, table = load_segmenter(tmp_path / "a run, 50 %", classes)
    assert table == classes
    assert (loaded.config, loaded.ignore_index, loaded.training) == (config, IGNORE, False)
    assert torch.equal(loaded.predict(images), segmenter.predict(images))
