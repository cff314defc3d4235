"""The class-aware losses against slow NumPy, pixel by pixel from Eq. 6, 7 and 8."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from rarescene.diffusion import (
    ClassAwareConfig,
    class_aware_mse,
    class_weight_map,
    gradient_norms,
    pool_weights,
)

IGNORE, CLASSES = 255, 5
Floats = NDArray[np.float64]
Mask = NDArray[np.int64]

# Few pixels: absent classes, one-pixel classes, ignored pixels and maps of nothing else all occur.
masks = st.integers(1, 3).flatmap(
    lambda batch: arrays(np.int64, (batch, 4, 5), elements=st.sampled_from([0, 0, 0, 1, 2, 4, IGNORE]))
)


def eq_7(mask: Mask, exponent: float = 1.0, boost: dict[int, float] | None = None) -> dict[int, float]:
    """w_c = (HW/n_c)/Σ_j (HW/n_j) over the classes present."""
    ratio = {}
    for c in range(CLASSES):
        n_c = int((mask == c).sum())
        if n_c:
            ratio[c] = (mask.size / n_c) ** exponent * (boost or {}).get(c, 1.0)
    return {c: value / sum(ratio.values()) for c, value in ratio.items()}


def torch_weights(mask: Mask, config: ClassAwareConfig, boost: dict[int, float] | None = None) -> Tensor:
    return class_weight_map(torch.from_numpy(mask), CLASSES, IGNORE, config, boost)


def errors(mask: Mask) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(mask.size)
    shape = (len(mask), 3, *mask.shape[1:])
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@given(masks)
def test_balanced_is_the_mean_of_the_class_mses(batch: Mask) -> None:
    found, wanted = errors(batch)
    losses = class_aware_mse(found, wanted, torch_weights(batch, ClassAwareConfig()))
    for mask, e, loss in zip(batch, (found - wanted).double().numpy(), losses, strict=True):
        present = [c for c in range(CLASSES) if (mask == c).any()]
        ignored = mask == IGNORE
        by_class = [np.mean([np.mean(e[:, y, x] ** 2) for y, x in np.argwhere(mask == c)]) for c in present]
        labelled_part = np.mean(by_class) * (~ignored).mean() if present else 0.0
        ignored_part = np.mean(e[:, ignored] ** 2) * ignored.mean() if ignored.any() else 0.0
        assert loss.item() == pytest.approx(labelled_part + ignored_part, rel=1e-5)


@given(masks, st.sampled_from([0.0, 0.5, 1.0, 1.7]), st.sampled_from([None, {2: 3.0, 4: 0.5}]))
def test_paper_is_eq_6_with_the_weights_of_eq_7(
    batch: Mask, exponent: float, boost: dict[int, float] | None
) -> None:
    found, wanted = errors(batch)
    config = ClassAwareConfig("paper", exponent=exponent)
    losses = class_aware_mse(found, wanted, torch_weights(batch, config, boost))
    for mask, e, loss in zip(batch, (found - wanted).double().numpy(), losses, strict=True):
        w = eq_7(mask, exponent, boost)
        labelled = list(np.argwhere(mask != IGNORE))
        mean = np.mean([w[mask[y, x]] for y, x in labelled]) if labelled else 1.0
        total = 0.0
        for y, x in np.ndindex(*mask.shape):
            total += w.get(mask[y, x], mean) * np.mean(e[:, y, x] ** 2)
        assert loss.item() == pytest.approx(total / mask.size, rel=1e-5)


@given(
    masks,
    st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from([None, {1: 4.0}]),
)
def test_balanced_follows_its_options(
    batch: Mask, exponent: float, share: float, boost: dict[int, float] | None
) -> None:
    weights = torch_weights(batch, ClassAwareConfig(exponent=exponent, plain_share=share), boost)
    for mask, found in zip(batch, weights.double().numpy(), strict=True):
        w = eq_7(mask, exponent, boost)
        labelled = mask != IGNORE
        mean = np.mean([w[c] for c in mask[labelled]]) if labelled.any() else 1.0
        expected = np.ones(mask.shape)
        for y, x in np.argwhere(labelled):
            expected[y, x] = (1 - share) * w[mask[y, x]] / mean + share
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert found.mean() == pytest.approx(1, rel=1e-5)


@given(masks, st.sampled_from([1.0, 1.2, 2.0, 5.0, 100.0]))
def test_a_cap_holds_and_the_mean_stays_one(batch: Mask, cap: float) -> None:
    free = torch_weights(batch, ClassAwareConfig()).double().numpy()
    capped = torch_weights(batch, ClassAwareConfig(cap=cap)).double().numpy()
    for mask, before, after in zip(batch, free, capped, strict=True):
        labelled = mask != IGNORE
        assert after.max() <= cap * (1 + 1e-6)
        assert after.mean() == pytest.approx(1, rel=1e-5)
        below = labelled & (after < cap * (1 - 1e-6))
        if below.any():  # classes below the cap keep their proportions
            ratio = after[below] / before[below]
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


@given(masks)
def test_plain_is_the_mse(batch: Mask) -> None:
    found, wanted = errors(batch)
    losses = class_aware_mse(found, wanted, torch_weights(batch, ClassAwareConfig("plain")))
    torch.testing.assert_close(losses, (found - wanted).square().mean(dim=(1, 2, 3)))


def test_a_map_without_labels_weighs_one_in_every_mode() -> None:
    nothing = np.full((2, 4, 4), IGNORE)
    for mode in ("balanced", "paper", "plain"):
        config = ClassAwareConfig(mode, exponent=0.7, cap=3.0, plain_share=0.2)  # type: ignore[arg-type]
        assert torch.equal(torch_weights(nothing, config), torch.ones(2, 4, 4))


def test_the_paper_loss_shrinks_with_the_rarest_class_and_the_balanced_one_does_not() -> None:
    """The reason for `balanced`: a class of 20 pixels at 256² divides the plain mean of Eq. 6 by hundreds."""
    mask = np.zeros((1, 256, 256), dtype=np.int64)
    mask[0, :4, :5] = 1
    ones, zeros = torch.ones(1, 3, 256, 256), torch.zeros(1, 3, 256, 256)
    paper = class_aware_mse(ones, zeros, torch_weights(mask, ClassAwareConfig("paper")))
    balanced = class_aware_mse(ones, zeros, torch_weights(mask, ClassAwareConfig()))
    assert paper.item() == pytest.approx(2 * 20 / 256**2, rel=1e-2)
    assert balanced.item() == pytest.approx(1, rel=1e-5)


def test_weights_of_an_image_do_not_depend_on_its_batch() -> None:
    batch = np.random.default_rng(0).integers(0, CLASSES, (3, 16, 16))
    config = ClassAwareConfig(cap=2.0, exponent=0.8)
    together = torch_weights(batch, config)
    alone = torch.cat([torch_weights(batch[i : i + 1], config) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=0)


@given(masks, st.sampled_from([(1, 1), (2, 2), (2, 5), (4, 5)]), st.sampled_from(["max", "area"]))
def test_pooling_keeps_the_mean_and_matches_a_slow_one(batch: Mask, size: tuple[int, int], pool: str) -> None:
    weights = torch_weights(batch, ClassAwareConfig())
    found = pool_weights(weights, size, pool).double().numpy()  # type: ignore[arg-type]
    for w, got in zip(weights.double().numpy(), found, strict=True):
        expected = slow_pool(w, size, pool)
        np.testing.assert_allclose(got, expected * w.mean() / expected.mean(), rtol=1e-5)


def slow_pool(w: Floats, size: tuple[int, int], pool: str) -> Floats:
    height, width = w.shape
    pooled = np.zeros(size)
    for y, x in np.ndindex(*size):
        top, bottom = y * height // size[0], -(-(y + 1) * height // size[0])
        left, right = x * width // size[1], -(-(x + 1) * width // size[1])
        cell = w[top:bottom, left:right]
        pooled[y, x] = cell.max() if pool == "max" else cell.mean()
    return pooled


@settings(max_examples=25)
@given(st.integers(0, 63), st.integers(0, 63))
def test_a_one_pixel_class_survives_max_pooling_at_every_feature_size(y: int, x: int) -> None:
    mask = np.zeros((1, 64, 64), dtype=np.int64)
    mask[0, 32:] = 1
    mask[0, y, x] = 2
    weights = torch_weights(mask, ClassAwareConfig())
    for side in (64, 32, 16, 8, 4, 2):
        pooled = pool_weights(weights, (side, side))[0]
        cell = pooled[y * side // 64, x * side // 64]
        others = pooled.flatten().sort().values[:-1]
        assert cell == pooled.max()
        assert cell > 100 * others.max()


def test_gradient_norms_are_those_of_the_closed_form_and_keep_the_graph() -> None:
    wrt = torch.tensor([3.0, 4.0], requires_grad=True)
    losses = {
        "square": wrt.square().sum(),
        "sum": 2 * wrt.sum(),
        "apart": torch.ones(2, requires_grad=True).sum(),
    }
    expected = {"square": 10.0, "sum": 2 * 2**0.5, "apart": 0.0}
    assert gradient_norms(losses, wrt) == pytest.approx(expected)
    losses["square"].backward()
    assert wrt.grad is not None
    assert wrt.grad.tolist() == [6.0, 8.0]
