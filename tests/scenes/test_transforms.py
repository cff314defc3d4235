from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import (
    AugmentConfig,
    augment,
    cut_back,
    pad_images,
    pad_masks,
    resize_image,
    resize_mask,
)

SIDES = st.integers(1, 24)
MASKS = hnp.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.sampled_from([0, 1, 2, 7, 12, 255]))
EVERYTHING = AugmentConfig(0.5, 0.5, 1.0, 60.0, 0.5, 0.3)


@given(MASKS, SIDES, SIDES, st.booleans())
def test_resizing_invents_no_id(mask: np.ndarray, height: int, width: int, keep: bool) -> None:
    small = resize_mask(mask, height, width, keep_rare=keep)
    assert small.shape == (height, width)
    assert set(np.unique(small)) <= set(np.unique(mask))


@given(MASKS, st.integers(0, 2**32), st.integers(1, 8))
def test_augmenting_and_padding_invent_no_id_but_the_ignored(
    mask: np.ndarray, seed: int, multiple: int
) -> None:
    images = torch.zeros(1, 3, *mask.shape)
    masks = torch.from_numpy(mask.astype(np.int64))[None]
    _, turned = augment(images, masks, [seed], EVERYTHING)
    padded = pad_masks(masks, multiple)
    assert padded is not None
    allowed = {*np.unique(mask).tolist(), 255}
    assert set(turned.unique().tolist()) <= allowed
    assert set(padded.unique().tolist()) <= allowed


@given(st.integers(0, 39), st.integers(0, 52), st.integers(2, 20), st.integers(2, 20))
def test_a_class_of_one_pixel_survives(y: int, x: int, height: int, width: int) -> None:
    mask = np.zeros((40, 53), np.uint8)
    mask[y, x] = 11
    small = resize_mask(mask, height, width)
    assert (small == 11).sum() == 1
    assert small[y * height // 40, x * width // 53] == 11


def test_nearest_neighbour_alone_loses_it_and_chosen_classes_alone_are_kept() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[0, 0], mask[13, 14] = 11, 7
    assert set(np.unique(resize_mask(mask, 4, 4, keep_rare=False))) == {0}
    assert set(np.unique(resize_mask(mask, 4, 4, keep_rare=[7]))) == {0, 7}


def test_a_lost_class_gets_back_its_area() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 0] = 3  # one column of 64 pixels: 4 of the 16 x 16 target pixels
    assert (resize_mask(mask, 16, 16, keep_rare=False) == 3).sum() == 0
    assert (resize_mask(mask, 16, 16) == 3).sum() == 4


def test_keeping_one_class_never_costs_another_its_last_pixel() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :4] = 1
    mask[0, 0] = 2
    small = resize_mask(mask, 2, 2)
    assert small.tolist() == [[1, 0], [0, 0]]


@given(MASKS, st.integers(1, 4))
def test_enlarging_by_whole_numbers_repeats_pixels(mask: np.ndarray, factor: int) -> None:
    large = resize_mask(mask, factor * mask.shape[0], factor * mask.shape[1])
    np.testing.assert_array_equal(large, mask.repeat(factor, 0).repeat(factor, 1))


def test_a_shrunken_image_keeps_its_mean_where_plain_sampling_would_alias() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = resize_image(stripes, 16, 16)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 100).max() <= 3


@pytest.mark.parametrize("batch", [1, 3])
def test_flips_are_exact_and_tell_left_from_right(batch: int) -> None:
    images = torch.rand(batch, 3, 6, 5) * 2 - 1
    masks = torch.randint(0, 5, (batch, 6, 5))
    config = AugmentConfig(horizontal_flip=1.0, vertical_flip=0.0, rotation=0.0)
    turned, ids = augment(images, masks, list(range(batch)), config)
    assert torch.equal(turned, images.flip(-1))
    assert torch.equal(ids, masks.flip(-1))


def test_a_scene_depends_on_its_seed_alone() -> None:
    images = torch.rand(3, 3, 16, 20) * 2 - 1
    masks = torch.randint(0, 5, (3, 16, 20))
    together = augment(images, masks, [5, 6, 7], EVERYTHING)
    alone = augment(images[1:2], masks[1:2], [6], EVERYTHING)
    assert torch.equal(together[0][1], alone[0][0])
    assert torch.equal(together[1][1], alone[1][0])
    assert not torch.equal(augment(images[:1], masks[:1], [8], EVERYTHING)[0], together[0][:1])


def test_image_and_mask_turn_together_and_the_outside_is_black_and_ignored() -> None:
    mask = torch.zeros(1, 40, 60, dtype=torch.long)
    mask[:, 4:14, 8:30] = 1
    image = torch.where(mask[:, None] == 1, 0.8, 0.0).expand(1, 3, 40, 60)
    config = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, rotation=1.0, degrees=45.0)
    for seed in range(20):
        turned, ids = augment(image, mask, [seed], config)
        inside = ids[0] != 255
        assert ((turned[0, 0] > 0.4) == (ids[0] == 1))[inside].float().mean() > 0.98
        assert turned[0, :, ~inside].max() < 0.01 if (~inside).any() else True
        area = (ids == 1).sum().item()
        assert area <= 220 * 1.05  # a rotation keeps areas, apart from what leaves the frame


def test_a_half_turn_is_two_flips() -> None:
    from rarescene.scenes.augmenting import _warp

    image, mask = torch.rand(3, 9, 14) * 2 - 1, torch.randint(0, 4, (9, 14))
    turned, ids = _warp(image, mask, np.pi, 0.0, (0.0, 0.0), 255)
    torch.testing.assert_close(turned, image.flip(-1, -2), atol=1e-4, rtol=0)
    assert torch.equal(ids, mask.flip(-1, -2))


def test_augmenting_happens_as_often_as_asked() -> None:
    masks = torch.arange(4).reshape(1, 2, 2).expand(2000, 2, 2)
    images = torch.zeros(2000, 3, 2, 2)
    _, ids = augment(images, masks, list(range(2000)), AugmentConfig(0.2, 0.0, 0.0))
    flipped = (ids[:, 0, 0] == 1).float().mean().item()
    assert abs(flipped - 0.2) < 0.03


RECOLOUR = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, rotation=0.0, colour=0.4)


def test_colour_changes_the_image_alone_within_its_range() -> None:
    images, masks = torch.rand(6, 3, 8, 9) * 2 - 1, torch.randint(0, 5, (6, 8, 9))
    images[0], images[1] = 1.0, -1.0
    changed, ids = augment(images, masks, range(6), replace(RECOLOUR, colour=1.0))
    assert torch.equal(ids, masks)
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert (changed[2:] != images[2:]).flatten(1).any(1).all()
    assert torch.equal(changed[1], images[1])  # black has no light


def test_colour_is_off_unless_asked_for_and_moves_nothing_else() -> None:
    images, masks = torch.rand(4, 3, 16, 20) * 2 - 1, torch.randint(0, 5, (4, 16, 20))
    assert AugmentConfig().colour == 0
    geometry = augment(images, masks, range(4), EVERYTHING)
    both = augment(images, masks, range(4), replace(EVERYTHING, colour=0.3))
    assert torch.equal(both[1], geometry[1])
    outside = (geometry[1] == 255)[:, None].expand_as(images)
    deep = torch.nn.functional.max_pool2d((~outside).float(), 3, 1, 1) == 0
    assert deep.any()
    assert (both[0][deep] == -1).all()  # what comes from outside the frame stays black


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_light_and_contrast_are_factors_of_a_grey_image(share: float) -> None:
    """Grey has no hue and no saturation: left is x → −1 + b (m + c (x − m) + 1), b and c within the share."""
    levels = torch.linspace(-0.6, 0.2, 50)
    grey = levels.expand(3, 1, 50)[None]
    brightness, contrast = [], []
    for seed in range(300):
        (found,), _ = augment(grey, torch.zeros(1, 1, 50).long(), [seed], replace(RECOLOUR, colour=share))
        torch.testing.assert_close(found[0], found[1])
        torch.testing.assert_close(found[1], found[2])
        b = (found.mean() + 1) / (levels.mean() + 1)
        c = (found[0, 0, -1] - found[0, 0, 0]) / (levels[-1] - levels[0]) / b
        torch.testing.assert_close(found[0, 0], b * (levels.mean() + c * (levels - levels.mean()) + 1) - 1)
        brightness.append(b.item())
        contrast.append(c.item())
    for factors in (np.array(brightness), np.array(contrast)):
        assert np.abs(factors - 1).max() <= share + 1e-5
        assert factors.max() - factors.min() > 1.9 * share  # uniform: both ends are met
        assert factors.mean() == pytest.approx(1, abs=0.2 * share)
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.2


def test_a_hue_turn_keeps_grey_and_the_strength_of_the_colour_and_a_third_of_a_turn_swaps_channels() -> None:
    from rarescene.scenes.augmenting import _hue_turned

    red, green, blue = torch.eye(3)
    third = _hue_turned(2 * np.pi / 3)
    for before, after in ((red, green), (green, blue), (blue, red)):
        torch.testing.assert_close(third @ before, after, atol=1e-6, rtol=0)
    for angle in (0.0, 0.3, -0.7):
        turned = _hue_turned(angle)
        torch.testing.assert_close(turned @ turned.T, torch.eye(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(turned @ torch.ones(3), torch.ones(3))
        assert (turned @ red - 1 / 3) @ (red - 1 / 3) == pytest.approx(2 / 3 * np.cos(angle), abs=1e-6)
    torch.testing.assert_close(_hue_turned(0.4) @ _hue_turned(0.5), _hue_turned(0.9))


def test_hue_and_saturation_keep_within_their_shares() -> None:
    """Of a single colour, contrast and light aside: its angle about grey, and its distance from grey."""
    colour = torch.tensor([0.1, -0.1, -0.3])
    flat = colour.view(1, 3, 1, 1).expand(1, 3, 4, 4).contiguous()
    chroma = colour - colour.mean()
    angles, strengths = [], []
    for seed in range(300):
        (found,), _ = augment(flat, torch.zeros(1, 4, 4).long(), [seed], RECOLOUR)
        assert found.amax((1, 2)).equal(found.amin((1, 2)))
        pixel = found[:, 0, 0]
        light = (pixel.mean() + 1) / (
            colour.mean() + 1
        )  # contrast moves a pixel from the mean, which is grey
        now = (pixel - pixel.mean()) / light
        angles.append(torch.acos((now @ chroma / now.norm() / chroma.norm()).clamp(-1, 1)).item())
        strengths.append((now.norm() / chroma.norm()).item())
    assert 0.8 * 0.4 * np.pi / 4 < max(angles) <= 0.4 * np.pi / 4 + 1e-3
    assert 0.6 * 0.6 - 1e-3 <= min(strengths) < 0.7  # saturation and contrast together
    assert 1.3 < max(strengths) <= 1.4 * 1.4 + 1e-3


def test_colours_depend_on_the_scene_s_seed_alone() -> None:
    images, masks = torch.rand(3, 3, 8, 8) * 2 - 1, torch.zeros(3, 8, 8).long()
    together = augment(images, masks, [5, 6, 7], RECOLOUR)[0]
    assert torch.equal(augment(images[1:2], masks[1:2], [6], RECOLOUR)[0][0], together[1])
    assert not torch.equal(augment(images[1:2], masks[1:2], [8], RECOLOUR)[0][0], together[1])


def test_a_config_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="horizontal_flip is"):
        AugmentConfig(horizontal_flip=1.5)
    with pytest.raises(ConfigError, match="colour is"):
        AugmentConfig(colour=1.5)


@pytest.mark.parametrize(("height", "width", "multiple"), [(5, 7, 4), (8, 8, 4), (3, 3, 16)])
def test_padding_is_cut_back(height: int, width: int, multiple: int) -> None:
    images, masks = torch.rand(3, 3, height, width), torch.randint(0, 4, (3, height, width))
    wide, ids = pad_images(images, multiple), pad_masks(masks, multiple)
    assert wide is not None
    assert ids is not None
    assert wide.shape[-2] % multiple == wide.shape[-1] % multiple == 0
    assert wide.shape[-2] - height < multiple
    assert torch.equal(cut_back(wide, height, width), images)
    assert torch.equal(cut_back(ids, height, width), masks)
    assert (ids[:, height:] == 255).all()
    assert (ids[:, :, width:] == 255).all()
