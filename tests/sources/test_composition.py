"""Where a region may stand: on what training masks say, below instruments, never from its own recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import ClassTable, SceneCache, SceneClass, SceneRecord
from rarescene.sources.composition import Composer, CompositionConfig, classes_on_top
from rarescene.sources.insertion import compose

LIVER, FAT, VEIN, GRASPER = range(4)
TABLE = ClassTable(
    "ward",
    (
        SceneClass(0, "liver", (200, 80, 80)), SceneClass(1, "fat", (220, 200, 90)),
        SceneClass(2, "vein", (40, 40, 160)), SceneClass(3, "grasper", (150, 150, 150)),
    ),
)  # fmt: skip
SIDE = 48
PLAIN = CompositionConfig(scale=1, mirror=0, shift=0)


def ward(recordings: int = 4, frames: int = 3) -> SceneCache:
    """Return scenes, liver above and fat below; the first two recordings show a vein, always in the liver.

    A grasper crosses each scene. Each pixel of an image says its scene, its row and its column.
    """
    count = recordings * frames
    masks = np.full((count, SIDE, SIDE), LIVER, np.uint8)
    masks[:, SIDE // 2 :] = FAT
    for scene in range(2 * frames):
        row, column = 4 + 2 * (scene % 3), 6 + 3 * scene
        masks[scene, row : row + 3, column : column + 8] = VEIN
        masks[scene, row + 1, column + 7] = LIVER  # not the same as its mirror image
    masks[:, :, 40:43] = GRASPER
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for scene in range(count):
        images[scene] = np.stack([np.full_like(rows, 10 * scene), 5 * rows, 5 * columns], axis=-1)
    records = tuple(SceneRecord(f"scene {i}", f"operation {i // frames}", i % frames) for i in range(count))
    pixels = np.array([np.bincount(mask.ravel(), minlength=len(TABLE)) for mask in masks])
    return SceneCache(
        Path("nowhere"), "ward", TABLE, "none", records, images, masks, pixels, np.arange(count)
    )


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(ward(), [VEIN])


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_a_region_lies_in_what_it_touches_in_training_and_below_what_is_on_top(seed: int) -> None:
    scenes = ward()
    made = compose(Composer(scenes, [VEIN]), VEIN, seed)
    region = made.placement.region
    assert region.any()
    assert set(np.unique(made.before[region])) <= {LIVER}  # never fat, never the grasper
    assert np.array_equal(made.mask[~region], made.before[~region])
    assert (made.mask[region] == VEIN).all()
    of = scenes.recordings
    assert of[made.scene] != of[made.placement.source.scene]
    assert np.array_equal(made.before, scenes.take_masks([made.scene])[0])


def test_scenes_that_never_showed_it_come_first(composer: Composer) -> None:
    without = {compose(composer, VEIN, seed).scene for seed in range(40)}
    assert without <= set(range(6, 12))
    assert len(without) >= 4


def test_places_and_mirror_images_vary(composer: Composer) -> None:
    made = [compose(composer, VEIN, seed).placement for seed in range(40)]
    assert len({(one.top, one.left) for one in made}) > 20
    assert 8 < sum(one.mirrored for one in made) < 32


def test_sizes_stay_within_what_training_shows() -> None:
    grown = Composer(ward(), [VEIN], CompositionConfig(scale=4))
    areas = [compose(grown, VEIN, seed).placement.region.sum() for seed in range(30)]
    assert max(areas) <= 23 * 1.3  # every training region has 23 pixels; boxes are whole pixels


def test_without_change_the_pixels_are_those_of_the_source() -> None:
    scenes = ward()
    made = compose(Composer(scenes, [VEIN], PLAIN), VEIN, 1)
    place, source = made.placement, scenes.take([made.placement.source.scene])[0][0]
    pasted = place.pasted(made.image, source)
    down, right = place.source.top - place.top, place.source.left - place.left
    rows, columns = np.nonzero(place.region)
    assert np.array_equal(pasted[rows, columns], source[rows + down, columns + right])
    assert np.array_equal(pasted[~place.region], made.image[~place.region])
    assert place.region.sum() == place.source.area


def test_a_mirror_image_is_one() -> None:
    scenes = ward()
    made = compose(Composer(scenes, [VEIN], CompositionConfig(scale=1, mirror=1, shift=0)), VEIN, 1)
    place, source = made.placement, scenes.take([made.placement.source.scene])[0][0]
    rows, columns = np.nonzero(place.region)
    back = place.source.left + place.width - 1 - (columns - place.left)
    pasted = place.pasted(made.image, source)
    assert np.array_equal(pasted[rows, columns], source[rows - place.top + place.source.top, back])


def test_the_seed_decides(composer: Composer) -> None:
    one, same, other = (compose(composer, VEIN, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.mask, same.mask)
    assert one.scene == same.scene
    assert not np.array_equal(one.mask, other.mask)


def other(unlabelled: float = 0.3) -> SceneCache:
    """Return scenes of other recordings, none with a vein, in which some pixels are unlabelled."""
    scenes = ward().subset(range(6, 12))
    masks = np.array(scenes.masks)
    masks[np.random.default_rng(0).random(masks.shape) < unlabelled] = TABLE.ignore_index
    records = tuple(replace(one, group=f"video {one.group}") for one in scenes.records)
    return replace(scenes, records=records, masks=masks, name="others")


def test_regions_go_into_the_scenes_that_are_named_and_come_from_the_training_ones() -> None:
    scenes, others = ward(), other(0.1)
    composer = Composer(scenes, [VEIN], CompositionConfig(visible=0.5), others)
    placed = 0
    for seed in range(20):
        made = compose(composer, VEIN, seed)
        assert np.array_equal(made.before, others.take_masks([made.scene])[0])
        assert np.array_equal(made.image, others.take([made.scene])[0][0])
        region = made.placement.region
        assert np.array_equal(made.mask[~region], made.before[~region])  # unlabelled pixels are among them
        assert set(np.unique(made.before[region])) == {LIVER}
        assert made.placement.source.scene < 6
        placed += int((made.mask == TABLE.ignore_index).any())
    assert placed == 20
    assert composer.made_by()["decoded_into"] == others.digest
    assert "decoded_into" not in Composer(scenes, [VEIN]).made_by()


def test_a_recording_gives_no_region_to_its_own_frames_without_masks() -> None:
    scenes = ward(recordings=2)
    frames = replace(scenes.subset(range(3)), masks=np.zeros_like(scenes.masks))
    composer = Composer(scenes, [VEIN], into=frames)
    assert {
        scenes.recordings[compose(composer, VEIN, seed).placement.source.scene] for seed in range(20)
    } == {"operation 1"}


@pytest.mark.parametrize(("share", "there"), [(0.3, True), (0.49, True), (0.55, False), (1.0, False)])
def test_a_place_is_not_decided_by_pixels_that_nobody_knows(share: float, there: bool) -> None:
    """A hole of liver of the very shape of the region, in a ring of which some pixels are unlabelled."""
    scenes = ward()
    composer = Composer(scenes, [VEIN], PLAIN)
    habits = composer.habits[VEIN]
    composer.habits = {VEIN: replace(habits, least=habits.least - 1e-9)}  # means of equal numbers are rounded
    shape = scenes.masks[0] == VEIN
    ring = ndimage.binary_dilation(shape, np.ones((3, 3)), iterations=2) & ~shape
    unknown = np.random.default_rng(1).permutation(np.flatnonzero(ring))[: int(share * ring.sum())]
    mask = np.full((SIDE, SIDE), GRASPER, np.uint8)
    mask[shape | ring] = LIVER
    mask.ravel()[unknown] = TABLE.ignore_index
    found = [composer.place(mask, VEIN, seed) for seed in range(200)]
    exact = [one for one in found if one is not None and np.array_equal(one.region, shape)]
    assert bool(exact) == there
    if exact:  # those that are known decide, and all of them are liver
        assert exact[0].likelihood == pytest.approx(composer.habits[VEIN].touches[LIVER])


def test_where_nothing_is_plausible_no_place_is_found(composer: Composer) -> None:
    assert composer.place(np.full((SIDE, SIDE), FAT, np.uint8), VEIN, 0) is None
    assert composer.place(np.full((SIDE, SIDE), GRASPER, np.uint8), VEIN, 0) is None
    liver = np.full((SIDE, SIDE), LIVER, np.uint8)
    found = composer.place(liver, VEIN, 0)
    assert found is not None
    assert composer.place(liver, VEIN, 0, avoid="operation 5") is not None


def test_a_recording_that_is_avoided_gives_no_region() -> None:
    scenes = ward(recordings=2)
    made = Composer(scenes, [VEIN])
    for seed in range(20):
        found = made.place(scenes.take_masks([0])[0], VEIN, seed, avoid="operation 0")
        assert found is None or scenes.recordings[found.source.scene] == "operation 1"


def test_likelihood_is_that_of_the_neighbours(composer: Composer) -> None:
    """By hand: every pixel beside a vein is liver, but for one pixel more of each of the four classes."""
    habits = composer.habits[VEIN]
    liver = np.exp(habits.touches[LIVER])
    counted = 1 / np.exp(habits.touches[FAT])
    assert liver == pytest.approx((counted - 3) / counted)
    assert habits.least == pytest.approx(habits.touches[LIVER])
    assert habits.areas[0] * SIDE**2 == pytest.approx(23)


def test_pieces_and_all_of_them() -> None:
    scenes = ward()
    masks = np.array(scenes.masks)
    masks[0, 20:22, 6:12] = VEIN
    changed = SceneCache(
        scenes.folder, "ward", TABLE, "none", scenes.records, scenes.images, masks, scenes.class_pixels,
        scenes.rows,
    )  # fmt: skip
    regions = [one for one in Composer(changed, [VEIN]).habits[VEIN].regions if one.scene == 0]
    assert sorted(one.area for one in regions) == [12, 23, 35]
    whole = regions[-1]
    assert np.array_equal(whole.frame(SIDE, SIDE), masks[0] == VEIN)


def test_what_lies_on_top() -> None:
    assert classes_on_top(TABLE) == (GRASPER,)
    assert classes_on_top(TABLE, "fat, liver") == (FAT, LIVER)
    mucosa = ClassTable(
        "colon", (SceneClass(0, "mucosa and background", (9, 9, 9)), SceneClass(1, "polyp", (0, 9, 9)))
    )
    assert classes_on_top(mucosa) == ()


def test_frames_of_which_nothing_is_known_have_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rarescene.sources.insertion.SCENES", 8)
    with pytest.raises(DataError, match="no scene of others has a place for vein"):
        compose(Composer(ward(), [VEIN], into=other(1.0)), VEIN, 0)


def test_bad_wishes() -> None:
    with pytest.raises(ConfigError, match="grasper is to be put into scenes"):
        Composer(ward(), [GRASPER])
    with pytest.raises(DataError, match="no training scene shows vein"):
        Composer(ward().subset(range(6, 12)), [VEIN])
    nowhere = Composer(ward(), [VEIN], CompositionConfig(on_top="liver,fat"))
    with pytest.raises(DataError, match="no training scene has a place for vein"):
        compose(nowhere, VEIN, 0)
