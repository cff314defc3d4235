"""What becomes of a map, counted by hand; thin regions against a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from rarescene.evaluation import ReconstructionMeter
from rarescene.evaluation.reconstruction import thin_regions
from rarescene.foundation.errors import DataError

NAMES = ("ground", "block", "line", "never")


def scene() -> np.ndarray:
    mask = np.zeros((12, 12), np.uint8)
    mask[1:5, 1:5] = 1
    mask[8, 1:11] = 2  # one pixel wide
    mask[11] = 255
    return mask


def test_lines_are_thin_and_blocks_are_not() -> None:
    mask = scene()
    np.testing.assert_array_equal(thin_regions(mask), mask == 2)
    mask[9, 1:11] = 2
    np.testing.assert_array_equal(thin_regions(mask), mask == 2)  # two pixels wide
    mask[10, 1:4] = 2
    assert not thin_regions(mask).any()  # three at one place


@given(arrays.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 2, 255])))
def test_thin_regions_follow_their_definition(mask: np.ndarray) -> None:
    expected = np.zeros(mask.shape, bool)
    for class_id in range(3):
        pieces, count = ndimage.label(mask == class_id, structure=np.ones((3, 3)))
        for piece in range(1, count + 1):
            inside = pieces == piece
            squares = [
                inside[y : y + 3, x : x + 3].all()
                for y in range(mask.shape[0] - 2)
                for x in range(mask.shape[1] - 2)
            ]
            if not any(squares):
                expected |= inside
    np.testing.assert_array_equal(thin_regions(mask), expected)


def test_figures_by_hand() -> None:
    mask = scene()
    found = np.where(mask == 255, 3, mask)  # what is ignored may become anything
    found[8, 1:5] = 0  # four of ten pixels of the line are lost
    meter = ReconstructionMeter(NAMES)
    meter.update(found[None], mask[None])
    gone = np.where(mask == 2, 0, mask)
    gone[mask == 255] = 0
    meter.update(gone[None], mask[None])
    result = meter.result()
    ground, block, line, never = result.classes
    pixels = int((mask == 0).sum())
    assert ground.iou == pytest.approx(2 * pixels / (2 * pixels + 4 + 10))
    assert (block.iou, block.kept, block.thin_recall) == (1.0, 1.0, None)
    assert line.iou == pytest.approx(6 / 20)
    assert (line.scenes, line.kept, line.thin_pixels) == (2, 0.5, 20)
    assert line.thin_recall == pytest.approx(6 / 20)
    assert (never.iou, never.kept, never.scenes) == (None, None, 0)
    assert result.kept == pytest.approx(5 / 6)
    assert result.label_mean == pytest.approx(np.mean([ground.iou, 1.0, 6 / 20]))
    assert result.scenes == 2
    assert result.to_dict()["classes"][2]["name"] == "line"


def test_nothing_labelled_is_no_figure() -> None:
    meter = ReconstructionMeter(NAMES)
    meter.update(np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 255, np.uint8))
    with pytest.raises(DataError):
        meter.result()
