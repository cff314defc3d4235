"""Drawn phantom scenes: they keep their plan, agree over sizes, move smoothly and repeat exactly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rarescene.scenes import PhantomConfig, phantom_scenes
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.schedule import plan

RARE = (
    "blood",
    "cystic duct",
    "hepatic vein",
    "liver ligament",
    "L-hook electrocautery",
    "connective tissue",
)


def drawn_areas(config: PhantomConfig) -> np.ndarray:
    pixels = config.height * config.width
    return np.stack(
        [np.bincount(scene.mask.ravel(), minlength=13) / pixels for scene in phantom_scenes(config)]
    )


@pytest.mark.parametrize(("height", "width", "frames"), [(128, 128, 50), (64, 64, 30), (60, 107, 30)])
def test_drawn_masks_keep_the_plan(height: int, width: int, frames: int) -> None:
    config = PhantomConfig(videos=12, frames=frames, height=height, width=width, seed=5)
    planned, drawn = plan(config), drawn_areas(config)
    assert drawn.shape[1] == 13, "no id outside the table"
    for name in RARE:
        c = CHOLECSEG8K.id_of(name)
        shown = planned.presence[:, c]
        assert ((drawn[:, c] > 0) == shown).mean() >= 0.98, name
        wrong = np.abs(drawn[shown, c] - planned.area[shown, c]).mean() / planned.area[shown, c].mean()
        assert wrong < 0.25, (name, wrong)
        assert drawn[shown, c].mean() == pytest.approx(planned.area[shown, c].mean(), rel=0.1), name
    for name in ("grasper", "gallbladder", "gastrointestinal tract"):
        c = CHOLECSEG8K.id_of(name)
        shown = planned.presence[:, c]
        assert (drawn[~shown, c] == 0).all()
        assert (drawn[shown, c] > 0).mean() > 0.9
        assert drawn[shown, c].mean() == pytest.approx(planned.area[shown, c].mean(), rel=0.4), name


def test_a_hepatic_vein_never_vanishes_at_64_pixels() -> None:
    config = PhantomConfig(videos=12, frames=30, height=64, width=64, seed=6)
    scenes, vein = phantom_scenes(config), CHOLECSEG8K.id_of("hepatic vein")
    where = np.flatnonzero(plan(config).presence[:, vein])
    counts = [int((scenes[int(i)].mask == vein).sum()) for i in where]
    assert min(counts) >= 5
    assert max(counts) <= 20


def test_scenes_are_a_pure_function_of_their_place() -> None:
    config = PhantomConfig(videos=3, frames=20, height=48, width=80, seed=7)
    scenes = phantom_scenes(config)
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(scenes.reader, scenes.records))
    again = phantom_scenes(config)
    for index in reversed(range(len(scenes))):
        scene = again[index]
        np.testing.assert_array_equal(scene.image, threaded[index].image)
        np.testing.assert_array_equal(scene.mask, threaded[index].mask)
    other = phantom_scenes(PhantomConfig(videos=3, frames=20, height=48, width=80, seed=8))
    assert (other[0].mask != again[0].mask).mean() > 0.05


def test_sizes_agree() -> None:
    agreement = []
    small = phantom_scenes(PhantomConfig(videos=6, frames=10, height=64, width=64, seed=9))
    large = phantom_scenes(PhantomConfig(videos=6, frames=10, height=128, width=128, seed=9))
    for low, high in zip(small, large, strict=True):
        # A small pixel agrees if one of the four that cover it has its class.
        blocks = high.mask.reshape(64, 2, 64, 2).transpose(0, 2, 1, 3).reshape(64, 64, 4)
        agreement.append((blocks == low.mask[..., None]).any(axis=-1).mean())
        shrunk = high.image.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.abs(shrunk - low.image).mean() < 12
        assert (high.mask[::2, ::2] == low.mask).mean() > 0.95
    assert np.mean(agreement) > 0.98


def test_neighbouring_frames_are_more_alike_than_videos() -> None:
    scenes = phantom_scenes(PhantomConfig(videos=6, frames=40, height=64, width=64, seed=10))
    images = np.stack([scene.image for scene in scenes]).astype(float).reshape(6, 40, -1)
    masks = np.stack([scene.mask for scene in scenes]).reshape(6, 40, -1)
    near = np.abs(images[:, 1:] - images[:, :-1]).mean()
    far = np.abs(images[1:] - images[:-1]).mean()
    assert near < 0.35 * far
    assert (masks[:, 1:] == masks[:, :-1]).mean() > 0.95
    assert 0.3 < (masks[1:] == masks[:-1]).mean() < 0.9
    assert np.abs(images[:, 30] - images[:, 0]).mean() > 1.2 * near, "they move"


def test_videos_differ_in_light_and_field() -> None:
    scenes = phantom_scenes(PhantomConfig(videos=8, frames=1, height=64, width=64, seed=11))
    colours = np.array([scene.image[scene.mask > 0].mean(axis=0) for scene in scenes])
    fields = [(scene.mask > 0).mean() for scene in scenes]
    assert colours.std(axis=0).min() > 3
    assert np.std(fields) > 0.02
    for scene in scenes:
        background = scene.image[scene.mask == 0]
        assert background.mean() < 8
        assert scene.image.dtype == scene.mask.dtype == np.uint8


def test_names_and_classes() -> None:
    scenes = phantom_scenes(PhantomConfig(videos=2, frames=3, height=32, width=32))
    assert scenes.name == "phantom"
    assert scenes.classes is CHOLECSEG8K
    assert scenes.groups == ("video01", "video02")
    assert scenes.records[5].name == "video02_frame_00002"
    assert scenes.records[5].order == 2
    assert "generated" in scenes.licence
