"""Codes of maps: colours as far apart as they go, bits, one-hot; every class comes back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from rarescene.generators import MapCode, separated_palette, touching_classes
from rarescene.generators.map_codes import analog_bits, assign_colours, fill_ignored

SEPARATION = {2: 12**0.5, 8: 2.0, 13: 2**0.5, 14: 2**0.5}
"""Known optima in a cube of side 2: two opposite corners; all corners; corners and middles of faces."""


def smallest(points: np.ndarray) -> float:
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(points, 2))


@pytest.mark.parametrize(("count", "known"), SEPARATION.items())
def test_the_palette_reaches_the_known_separation(count: int, known: float) -> None:
    palette = separated_palette(count)
    assert palette.shape == (count, 3)
    assert np.abs(palette).max() <= 1
    assert known * 0.98 <= smallest(palette) <= known + 1e-9
    assert np.array_equal(palette, separated_palette(count))


def test_thirty_two_classes_are_well_apart() -> None:
    assert smallest(separated_palette(32)) > 0.8  # a 3×3×4 grid of points has 0.67


@pytest.mark.parametrize("representation", ["colours", "bits", "one_hot"])
@pytest.mark.parametrize("classes", [1, 2, 13])
@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_painted_is_read_back_with_full_confidence(
    representation: str, classes: int, batch: int
) -> None:
    code = MapCode.of(representation, np.ones((classes, classes)))  # type: ignore[arg-type]
    masks = torch.randint(classes, (batch, 5, 7), generator=torch.Generator().manual_seed(0))
    painted = code.paint(masks)
    assert painted.shape == (batch, code.channels, 5, 7)
    assert painted.abs().max() <= 1
    ids, confidence = code.nearest(painted)
    assert torch.equal(ids, masks)
    assert torch.allclose(confidence, torch.ones_like(confidence), atol=1e-3)


def test_confidence_by_hand() -> None:
    code = MapCode(np.array([[-1.0], [1.0]]))
    ids, confidence = code.nearest(torch.tensor([-1.0, -0.5, 0.1, 3.0]).view(1, 1, 1, 4))
    assert ids.flatten().tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(confidence.flatten(), torch.tensor([1.0, 0.5, 0.1, 1 / 3]))


def test_bits_are_the_digits_of_the_id() -> None:
    assert analog_bits(5).tolist() == [[-1, -1, -1], [1, -1, -1], [-1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    assert analog_bits(1).tolist() == [[-1]]


def test_in_one_hot_a_mixture_is_never_a_third_class() -> None:
    code = MapCode.of("one_hot", np.ones((6, 6)))
    for a, b in itertools.combinations(range(6), 2):
        for share in (0.1, 0.45, 0.55, 0.9):
            mixed = share * code.words[a] + (1 - share) * code.words[b]
            ids, _ = code.nearest(mixed.view(1, -1, 1, 1))
            assert ids.item() == (a if share > 0.5 else b)


def confusion(colours: np.ndarray, touching: np.ndarray) -> float:
    """How deep third colours lie within the balls that join the colours of classes that touch, weighted."""
    total = 0.0
    for a, b in itertools.permutations(range(len(colours)), 2):
        middle, radius = (colours[a] + colours[b]) / 2, np.linalg.norm(colours[a] - colours[b]) / 2
        for c in set(range(len(colours))) - {a, b}:
            depth = max(0.0, 1.02 - float(np.linalg.norm(middle - colours[c]) / radius))
            total += depth * (touching[a, b] + touching[b, a]) ** 0.5
    return total


@pytest.mark.parametrize("seed", range(3))
def test_of_all_ways_to_give_out_colours_the_least_confusing_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    palette = random.uniform(-1, 1, (6, 3))
    touching = random.integers(0, 50, (6, 6)) * (random.random((6, 6)) < 0.4)
    order = assign_colours(palette, touching)
    assert sorted(order.tolist()) == list(range(6))
    best = min(confusion(palette[list(way)], touching) for way in itertools.permutations(range(6)))
    assert confusion(palette[order], touching) == pytest.approx(best)


def test_touching_classes_by_hand() -> None:
    mask = np.array([[0, 0, 1], [0, 2, 1], [255, 2, 2]], np.uint8)
    expected = np.zeros((3, 3))
    expected[0, 1] = 1  # to the right
    expected[0, 2] = 2  # to the right, and below
    expected[2, 1] = 1
    expected[1, 2] = 1
    assert np.array_equal(touching_classes([mask], 3), expected)
    assert np.array_equal(touching_classes([mask, mask], 3), 2 * expected)


def test_ignored_pixels_take_the_nearest_class() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (12, 9)).astype(np.uint8)
    mask[3:9, 2:7] = 255
    filled = fill_ignored(mask, 255)
    assert np.array_equal(filled[mask != 255], mask[mask != 255])
    labelled = np.argwhere(mask != 255)
    for y, x in np.argwhere(mask == 255):
        distances = np.hypot(*(labelled - (y, x)).T)
        nearest = labelled[np.isclose(distances, distances.min())]
        assert filled[y, x] in mask[tuple(nearest.T)]
    assert np.array_equal(fill_ignored(filled, 255), filled)
    assert np.array_equal(fill_ignored(np.full((3, 3), 255, np.uint8), 255), np.zeros((3, 3)))
