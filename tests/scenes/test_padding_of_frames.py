"""Frames that are padded to an aspect: what is drawn keeps its shape, and the border counts nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import SceneCache, open_scenes, pad_to_aspect
from rarescene.scenes.transforms import padded_size

SIDES = st.integers(1, 300)
ASPECTS = st.tuples(st.integers(1, 30), st.integers(1, 30))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two frames of 48x24 in which a square of 12x12 is labelled and white."""
    root, mask = tmp_path / "wide", np.zeros((24, 48), np.uint8)
    mask[6:18, 30:42] = 1
    for kind, pixels in (("images", np.stack([mask * 200 + 55] * 3, -1)), ("masks", mask)):
        (root / kind).mkdir(parents=True)
        for frame in (1, 2):
            Image.fromarray(pixels).save(root / kind / f"case1_{frame}.png")
    colours = {"background": [127, 127, 127], "liver": [255, 114, 114]}
    table = [{"id": n, "name": name, "colour": colour} for n, (name, colour) in enumerate(colours.items())]
    (root / "classes.json").write_text(json.dumps({"name": "wide", "classes": table}))
    return root


@given(SIDES, SIDES, ASPECTS)
def test_the_smallest_frame_of_the_aspect_holds_the_other(
    height: int, width: int, aspect: tuple[int, int]
) -> None:
    tall, wide = padded_size(height, width, aspect)
    assert tall >= height
    assert wide >= width
    assert tall == height or wide == width
    # Of the aspect, but for the rounding of one side.
    assert abs(wide * aspect[1] - tall * aspect[0]) <= max(aspect) / 2 or (tall, wide) == (height, width)


@given(st.integers(1, 20), st.integers(1, 20), ASPECTS)
def test_what_was_there_stays_and_the_rest_is_border(
    height: int, width: int, aspect: tuple[int, int]
) -> None:
    mask = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    padded = pad_to_aspect(mask, aspect, 255)
    np.testing.assert_array_equal(padded[:height, :width], mask)
    assert (padded[height:] == 255).all()
    assert (padded[:, width:] == 255).all()
    np.testing.assert_array_equal(pad_to_aspect(np.stack([mask] * 3, -1), aspect, 255)[..., 1], padded)


def test_a_square_stays_a_square_where_frames_are_padded(folder: Path) -> None:
    ways = {"squashed": f"folder:{folder}", "padded": f"folder:{folder},pad=1x1"}
    sides = {}
    for way, spec in ways.items():
        cache = SceneCache.build(open_scenes(spec), 24, 24, folder / "cache")
        images, masks = cache.take([0, 1])
        rows, columns = np.nonzero(masks[0] == 1)
        sides[way] = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        assert images[0][masks[0] == 1].min() > 150  # beside a background of 55
        border = np.zeros((24, 24), bool)
        border[12 if way == "padded" else 24 :] = True
        np.testing.assert_array_equal(masks[0] == cache.classes.ignore_index, border)
        assert (images[0][border] == 0).sum() >= 0.9 * 3 * border.sum()
    assert sides == {"squashed": (12, 6), "padded": (6, 6)}


def test_the_aspect_is_said_behind_the_path_or_in_yaml(folder: Path) -> None:
    (folder.parent / "data.yaml").write_text("name: folder\npath: wide\npad: 4x3\n")
    for spec in (f"folder:{folder},pad=4x3", str(folder.parent / "data.yaml")):
        scenes = open_scenes(spec)
        assert scenes.pad == (4, 3)
        assert scenes[0].image.shape == (36, 48, 3)
        assert scenes.mask(0).shape == scenes[0].mask.shape == next(iter(scenes)).mask.shape == (36, 48)
        assert scenes.subset([1])[0].mask.shape == (36, 48)
    assert open_scenes("phantom:videos=1,frames=1,size=32,pad=2x1")[0].mask.shape == (32, 64)


@pytest.mark.parametrize("wrong", ["1", "0x1", "1x", "a", "1.5x1", "-1x1"])
def test_another_word_for_an_aspect_is_refused(wrong: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="pad=16x9"):
        open_scenes(f"folder:{folder},pad={wrong}")
