"""The loss of the mask transformer: against the library's, against NumPy, and on masks mostly ignored."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

from rarescene.segmenters.mask_loss import Answer, LabelledPixels, MaskLoss, Matches

IGNORE = 255


def answers(
    layers: int, scenes: int, queries: int, classes: int, cells: tuple[int, int], seed: int = 0
) -> list[Answer]:
    draw = torch.Generator().manual_seed(seed)
    return [
        Answer(
            (2 * torch.randn(scenes, queries, classes + 1, generator=draw)).requires_grad_(),
            (3 * torch.randn(scenes, queries, *cells, generator=draw)).requires_grad_(),
        )
        for _ in range(layers)
    ]


def blocks(scenes: int, height: int, width: int, classes: int, seed: int = 1) -> Tensor:
    """Masks of 4×4 blocks."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, classes, (scenes, -(-height // 4), -(-width // 4)), generator=draw)
    return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :height, :width].contiguous()


def evaluate(
    loss: MaskLoss, said: list[Answer], masks: Tensor, extent: tuple[int, int], seed: int = 7
) -> Tensor:
    torch.manual_seed(seed)
    return loss(said, masks, IGNORE, extent)


def gradients(said: list[Answer]) -> list[Tensor]:
    found = [tensor.grad for answer in said for tensor in answer]
    assert all(gradient is not None for gradient in found)
    return found  # type: ignore[return-value]


def library(classes: int, points: int) -> Mask2FormerLoss:
    options = SimpleNamespace(
        num_labels=classes, no_object_weight=0.1, train_num_points=points, oversample_ratio=3,
        importance_sample_ratio=0.75, class_weight=2.0, mask_weight=5.0, dice_weight=5.0,
    )  # fmt: skip
    return Mask2FormerLoss(options, {})  # type: ignore[arg-type]


# --- Against the library, where nothing is ignored ----------------------------------------------------------


@pytest.mark.parametrize("scenes", [1, 3])
def test_is_the_librarys_loss_at_the_same_points(scenes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradient, importance sampling included; the library divides by the same number of masks."""
    height, width, classes, points = 12, 20, 4, 90

    def same_points(*shape: int, device: object = None) -> Tensor:
        """The same pixels for every row: for the library their centres, for ours a draw that picks them.

        None at the rim, where the library fades its masks to 0, which the enlarged answer does not do.
        """
        places = shape[-1] == 2
        count = shape[-2] if places else shape[-1]
        draw = np.random.default_rng(count)
        pixels = draw.integers(1, height - 1, count) * width + draw.integers(1, width - 1, count)
        pixels = torch.from_numpy(pixels)
        if places:
            x, y = (pixels % width + 0.5) / width, (pixels // width + 0.5) / height
            return torch.stack([x, y], dim=-1).float().expand(*shape).contiguous()
        return ((pixels + 0.5) / (height * width)).expand(*shape)

    monkeypatch.setattr(torch, "rand", same_points)
    masks = blocks(scenes, height, width, classes)
    ours, theirs = (answers(3, scenes, 7, classes, (6, 10)) for _ in range(2))

    labels = [mask.unique() for mask in masks]
    binary = [(mask == found[:, None, None]).float() for mask, found in zip(masks, labels, strict=True)]
    others = [{"masks_queries_logits": m, "class_queries_logits": c} for c, m in theirs[:-1]]
    terms = library(classes, points)(theirs[-1].masks, theirs[-1].classes, binary, labels, others)
    weights = {"loss_cross": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    expected = sum(
        next(w for key, w in weights.items() if name.startswith(key)) * v for name, v in terms.items()
    )

    loss = MaskLoss(points)(ours, masks, IGNORE, (height, width))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()  # type: ignore[union-attr]
    torch.testing.assert_close(gradients(ours), gradients(theirs), atol=1e-5, rtol=1e-4)


def test_the_library_itself_counts_ignored_pixels_as_background() -> None:
    """Why the loss is ours: the library's pushes every mask away from the pixels that are not labelled."""
    masks = blocks(1, 16, 16, 3)
    masks[:, :, 8:] = IGNORE
    labels = masks[masks != IGNORE].unique()
    binary = (masks[0] == labels[:, None, None]).float()
    classes, logits = answers(1, 1, 5, 3, (16, 16))[0]
    torch.manual_seed(0)
    library(3, 200)(logits, classes, [binary], [labels])["loss_mask"].backward()
    assert logits.grad is not None
    assert logits.grad[..., 8:].any()
    ours = answers(1, 1, 5, 3, (16, 16))
    evaluate(MaskLoss(200), ours, masks, (16, 16)).backward()
    assert ours[0].masks.grad is not None
    assert not ours[0].masks.grad[..., 8:].any()


# --- Against plain NumPy, with ignored pixels ---------------------------------------------------------------


def slow_loss(said: Answer, masks: np.ndarray, extent: tuple[int, int]) -> float:
    """One layer's loss by the paper's words: every labelled pixel is a point, each matching is tried."""
    classes, logits = (tensor.detach().double().numpy() for tensor in said)
    scenes, queries, no_object = classes.shape[0], classes.shape[1], classes.shape[2] - 1
    likely = np.exp(classes) / np.exp(classes).sum(-1, keepdims=True)
    class_terms, weights, mask_terms, dice_terms = [], [], [], []
    for scene in range(scenes):
        points = np.argwhere(masks[scene] != IGNORE)
        shown = sorted({int(masks[scene][tuple(point)]) for point in points})
        values = np.array([[bilinear(logits[scene, q], p, extent) for p in points] for q in range(queries)])
        truth = {c: np.array([masks[scene][tuple(p)] == c for p in points], float) for c in shown}

        def costs(q: int, c: int) -> tuple[float, float]:
            s = 1 / (1 + np.exp(-values[q]))  # noqa: B023
            y = truth[c]  # noqa: B023
            return (
                -np.mean(y * np.log(s) + (1 - y) * np.log(1 - s)),
                1 - (2 * np.sum(s * y) + 1) / (np.sum(s) + np.sum(y) + 1),
            )

        def total(matching: tuple[int, ...]) -> float:
            pairs = zip(matching, shown, strict=True)  # noqa: B023
            return sum(-2 * likely[scene, q, c] + 5 * sum(costs(q, c)) for q, c in pairs)  # noqa: B023

        best = min(itertools.permutations(range(queries), len(shown)), key=total)
        target = dict(zip(best, shown, strict=True))
        for q in range(queries):
            weight = 0.0 if not len(points) else 1.0 if q in target else 0.1
            class_terms.append(-weight * np.log(likely[scene, q, target.get(q, no_object)]))
            weights.append(weight)
        for q, c in target.items():
            mask_terms.append(costs(q, c)[0])
            dice_terms.append(costs(q, c)[1])
    return 2 * sum(class_terms) / sum(weights) + 5 * np.mean(mask_terms) + 5 * np.mean(dice_terms)


def bilinear(grid: np.ndarray, pixel: np.ndarray, extent: tuple[int, int]) -> float:
    """The value of a grid of cells at the centre of a pixel."""
    value, weights = 0.0, []
    for axis in (0, 1):
        place = (pixel[axis] + 0.5) / extent[axis] * grid.shape[axis] - 0.5
        place = min(max(place, 0), grid.shape[axis] - 1)
        low = min(int(place), grid.shape[axis] - 2)
        weights.append({low: 1 - (place - low), low + 1: place - low})
    for (row, a), (column, b) in itertools.product(weights[0].items(), weights[1].items()):
        value += a * b * grid[row, column]
    return value


@pytest.mark.parametrize("scenes", [1, 3])
def test_is_the_papers_loss_over_all_labelled_pixels(scenes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    height, width, labelled = 10, 9, 30
    masks = blocks(scenes, height, width, 3).flatten(1)
    for scene, draw in enumerate(
        np.random.default_rng(0).permuted(np.tile(np.arange(90), (scenes, 1)), axis=1)
    ):
        masks[scene, draw[labelled:]] = IGNORE
    if scenes == 3:
        masks[1] = IGNORE  # a scene without labels in the middle of the batch
    masks = masks.view(scenes, height, width)
    said = answers(1, scenes, 4, 3, (6, 5))
    expected = slow_loss(said[0], masks.numpy(), (12, 10))

    def each_once(rows: int, count: int, device: object = None) -> Tensor:
        return ((torch.arange(count) + 0.5) / count).expand(rows, count)

    monkeypatch.setattr(torch, "rand", each_once)
    # With as many points as labelled pixels, drawn evenly, every one is taken once.
    loss = MaskLoss(labelled, oversample=1, importance=0.0)(said, masks, IGNORE, (12, 10))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_points_are_read_as_the_answer_is_enlarged() -> None:
    cells = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 18, 25, dtype=torch.long)
    pixels = torch.arange(18 * 25).expand(2, -1)
    read = LabelledPixels(masks, 1, IGNORE, (20, 28)).read(cells, pixels).view(2, 3, 18, 25)
    enlarged = F.interpolate(cells, size=(20, 28), mode="bilinear", align_corners=False)
    torch.testing.assert_close(read, enlarged[..., :18, :25])


# --- Ignored pixels -----------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    share=st.sampled_from([0.0, 0.3, 0.95, 0.99]),
    scenes=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_only_labelled_pixels_count(share: float, scenes: int, seed: int) -> None:
    """Where cells are pixels: no gradient at an ignored one, and what is predicted there does not matter."""
    masks = blocks(scenes, 16, 16, 4, seed)
    ignored = torch.rand(scenes, 16, 16, generator=torch.Generator().manual_seed(seed)) < share
    masks[ignored] = IGNORE
    said = answers(2, scenes, 6, 4, (16, 16), seed)
    loss = evaluate(MaskLoss(300), said, masks, (16, 16))
    loss.backward()
    for answer in said:
        assert answer.masks.grad is not None
        at_pixel = answer.masks.grad.abs().sum(dim=1)
        assert (at_pixel[ignored] == 0).all()
        if not ignored.all():
            assert (at_pixel[~ignored] > 0).any()
    other = [
        Answer(classes, torch.where(ignored[:, None], 1e3 * torch.randn_like(masks), masks))
        for classes, masks in said
    ]
    assert evaluate(MaskLoss(300), other, masks, (16, 16)) == loss


@pytest.mark.parametrize("scenes", [1, 3])
def test_a_mostly_ignored_mask_costs_what_its_labelled_part_costs(scenes: int) -> None:
    """95 % ignored: only the first rows are labelled, and the loss is that of a scene that ends there."""
    masks = blocks(scenes, 80, 24, 4)
    whole, part = masks.clone(), masks[:, :4]
    whole[:, 4:] = IGNORE
    assert (whole == IGNORE).float().mean() == 0.95
    ours, theirs = (answers(2, scenes, 6, 4, (20, 6)) for _ in range(2))
    loss, expected = (
        evaluate(MaskLoss(64), ours, whole, (80, 24)),
        evaluate(MaskLoss(64), theirs, part, (80, 24)),
    )
    assert loss == expected
    loss.backward()
    expected.backward()
    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=0, atol=0)


def test_an_ignored_class_is_no_target() -> None:
    masks = torch.zeros(1, 8, 8, dtype=torch.long)
    masks[:, 4:] = IGNORE  # what may have been class 2
    said = answers(1, 1, 5, 3, (8, 8))
    pixels = LabelledPixels(masks, 3, IGNORE, (8, 8))
    assert pixels.present.tolist() == [[True, False, False]]
    assert MaskLoss(32).match(said[0], pixels).label.tolist() == [0]


@pytest.mark.parametrize("scenes", [1, 3])
def test_a_batch_without_labels_costs_nothing(scenes: int) -> None:
    said = answers(2, scenes, 5, 3, (8, 8))
    loss = evaluate(MaskLoss(32), said, torch.full((scenes, 32, 32), IGNORE), (32, 32))
    loss.backward()
    assert loss.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(said))


def test_a_scene_without_labels_changes_nothing() -> None:
    masks = blocks(2, 16, 16, 3)
    masks[1] = IGNORE
    said = answers(1, 2, 5, 3, (8, 8))[0]
    alone = Answer(said.classes[:1], said.masks[:1])
    loss = MaskLoss(4096, oversample=1, importance=0.0)
    # Each draws points of its own: with many of them the difference is small.
    both, one = evaluate(loss, [said], masks, (16, 16)), evaluate(loss, [alone], masks[:1], (16, 16))
    torch.testing.assert_close(both, one, rtol=0.02, atol=0)
    both.backward()
    assert said.classes.grad is not None
    assert said.masks.grad is not None
    assert not said.classes.grad[1].any()
    assert not said.masks.grad[1].any()


# --- Matching and points ------------------------------------------------------------------------------------


def test_the_matching_finds_the_right_queries() -> None:
    """Queries that draw each class's own mask are found, whatever their order."""
    masks = blocks(3, 16, 16, 4)
    order = torch.tensor([5, 0, 3, 2])  # the query of each class
    said = Answer(torch.zeros(3, 6, 5), torch.full((3, 6, 16, 16), -5.0))
    for label, query in enumerate(order):
        said.masks[:, query] = torch.where(masks == label, 5.0, -5.0)
    torch.manual_seed(0)
    found = MaskLoss(512).match(said, LabelledPixels(masks, 4, IGNORE, (16, 16)))
    expected = {(s, int(order[c]), c) for s in range(3) for c in masks[s].unique().tolist()}
    assert set(zip(*(part.tolist() for part in found), strict=True)) == expected


def test_a_scene_may_show_more_classes_than_there_are_queries() -> None:
    """Each query takes the class that it suits best; the others wait."""
    masks = blocks(1, 16, 16, 9)
    said = answers(1, 1, 3, 9, (16, 16))
    found = MaskLoss(512).match(said[0], LabelledPixels(masks, 9, IGNORE, (16, 16)))
    assert sorted(found.query.tolist()) == [0, 1, 2]
    assert len(set(found.label.tolist())) == 3
    assert evaluate(MaskLoss(512), said, masks, (16, 16)).isfinite()


def test_a_network_that_diverged_is_found_by_its_loss() -> None:
    """And not by the matching, which would only say that its matrix is invalid."""
    said = answers(1, 2, 5, 3, (8, 8))[0]
    with torch.no_grad():
        said.masks[1] = math.nan
    assert evaluate(MaskLoss(32), [said], blocks(2, 8, 8, 3), (8, 8)).isnan()


def test_a_perfect_answer_costs_next_to_nothing() -> None:
    masks = blocks(1, 16, 16, 3)
    said = Answer(torch.full((1, 4, 4), -20.0), torch.full((1, 4, 16, 16), -20.0))
    said.classes[0, 3, 3] = 20.0  # nothing is left for the last query
    for label in range(3):
        said.classes[0, label, label] = 20.0
        said.masks[0, label] = torch.where(masks[0] == label, 20.0, -20.0)
    assert evaluate(MaskLoss(256), [said], masks, (16, 16)).item() == pytest.approx(0, abs=1e-4)


def test_most_points_lie_where_the_mask_is_uncertain() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.long)
    logits = torch.full((1, 1, 32, 32), 8.0)
    logits[..., 15:17] = 0.1  # a sixteenth of the pixels
    one = torch.zeros(1, dtype=torch.long)
    torch.manual_seed(0)
    chosen = MaskLoss(100)._uncertain(
        logits, LabelledPixels(masks, 1, IGNORE, (32, 32)), Matches(one, one, one)
    )
    assert chosen.shape == (1, 100)
    uncertain = ((chosen % 32 == 15) | (chosen % 32 == 16)).float().mean().item()
    # 300 candidates hold about 19 of them, all of which are taken, and 25 random points about 2 more.
    assert 0.12 < uncertain < 0.32


def test_points_follow_the_seed() -> None:
    masks = blocks(2, 16, 16, 4)
    said = answers(2, 2, 6, 4, (8, 8))
    first, again, other = (evaluate(MaskLoss(50), said, masks, (16, 16), seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_points_spread_evenly_over_the_labelled_pixels() -> None:
    masks = torch.full((2, 6, 6), IGNORE)
    masks[0, 2, 1:5] = 0
    masks[1, :, 3] = 1
    torch.manual_seed(0)
    drawn = LabelledPixels(masks, 2, IGNORE, (6, 6)).sample(torch.tensor([0, 1, 1]), 6000)
    counts = torch.stack([row.bincount(minlength=36) for row in drawn]).view(3, 6, 6)
    assert (counts[masks[[0, 1, 1]] == IGNORE] == 0).all()
    assert (counts[0, 2, 1:5] - 1500).abs().max() < 150
    assert (counts[1:, :, 3] - 1000).abs().max() < 120
