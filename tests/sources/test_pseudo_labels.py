"""Pseudo-labels by a hand-made segmenter: exactly where it is sure, and nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rarescene.evaluation.pair_scores import Judge
from rarescene.sources.pseudo_labels import BLOCK, PseudoLabels, frames_digest

from ..provenance import provenance
from .test_composition import FAT, LIVER, SIDE, TABLE, ward


class Doubter:
    """Sees fat in the left half and liver in the right one; ever surer of the lower rows, from 0.4 to 1."""

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        return images.mean()

    def predict(self, images: Tensor) -> Tensor:
        rows = torch.linspace(0.4, 1, SIDE, dtype=torch.float64)[:, None].expand(SIDE, SIDE)
        left = torch.arange(SIDE)[None].expand(SIDE, SIDE) < SIDE // 2
        found = ((1 - rows) / 3)[None].repeat(len(TABLE), 1, 1)
        found[FAT][left], found[LIVER][~left] = rows[left], rows[~left]
        return found.float()[None].repeat(len(images), 1, 1, 1)


def labels(sure: float) -> PseudoLabels:
    judge = Judge(Doubter(), (SIDE, SIDE), TABLE)
    return PseudoLabels(judge, ward(), sure, provenance(), {})


@pytest.mark.parametrize("sure", [0.0, 0.7, 0.9, 1.0])
def test_a_pixel_is_labelled_where_the_segmenter_is_sure_and_nowhere_else(sure: float) -> None:
    source = labels(sure)
    probability = np.linspace(0.4, 1, SIDE).astype(np.float32)[:, None].repeat(SIDE, 1)
    expected = np.where(np.arange(SIDE)[None] < SIDE // 2, FAT, LIVER).repeat(SIDE, 0)
    expected = np.where(probability >= np.float32(sure), expected, TABLE.ignore_index)
    for index, one in enumerate(source.label(range(BLOCK))[: len(source)]):
        assert one is not None
        image, real = source.frames.take([index])
        assert one.image is not None
        assert np.array_equal(one.image, image[0])
        assert np.array_equal(one.mask, expected)  # and not what the frame's own mask says
        assert not np.array_equal(one.mask, real[0])
        assert one.confidence is not None
        assert np.array_equal(one.confidence, probability)
        record = source.frames.records[index]
        assert one.details == {
            "group": record.group, "order": record.order, "synthetic": False, "scene_of": record.name,
            "labelled": round(float((expected != TABLE.ignore_index).mean()), 4),
        }  # fmt: skip


def test_a_frame_of_which_nothing_is_sure_is_left_out() -> None:
    assert labels(1.01).label(range(3)) == [None] * 3


def test_masks_are_not_looked_at_and_images_are() -> None:
    scenes = ward()
    same = frames_digest(scenes)
    scenes.masks[:] = FAT
    assert frames_digest(scenes) == same
    assert scenes.images is not None
    scenes.images[5, 3, 3, 0] ^= 1
    assert frames_digest(scenes) != same
