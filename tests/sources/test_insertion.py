"""Real frames with one region drawn anew: what stays to the bit, what trust does, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rarescene.diffusion import InsertionConfig, SamplingConfig
from rarescene.evaluation.pair_scores import Judge
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner
from rarescene.generators.map_codes import fill_ignored
from rarescene.generators.margins import soft_margin
from rarescene.networks import SpadeUNetConfig
from rarescene.scenes import ClassTable, Request, SceneCache
from rarescene.sources.composition import Composer, CompositionConfig
from rarescene.sources.insertion import (
    SCENES,
    WITHOUT,
    Insertions,
    InsertionsForRequests,
    InsertionsInTurn,
    compose,
)
from rarescene.sources.trust import Trust, TrustConfig, missed_by
from rarescene.testing.toys import moved_off_zero
from rarescene.training import to_images, to_masks, to_pixels

from ..provenance import provenance
from .test_composition import SIDE, TABLE, VEIN, other, ward

NETWORK = SpadeUNetConfig(
    classes=4, base_channels=16, multipliers=(1, 2), blocks_per_level=1, attention_strides=(),
    head_channels=16, spade_hidden=8, patch=2,
)  # fmt: skip
SAMPLING = SamplingConfig(steps=3, block=3)


def painter(table: ClassTable = TABLE) -> Casdm:
    config = CasdmConfig(height=SIDE, width=SIDE, network=NETWORK)
    made = CasdmLearner(config, table, 0)
    return Casdm(moved_off_zero(made.network), config, table)  # type: ignore[arg-type]


def in_turn(trust: Trust | None = None, **insertion: Any) -> Insertions[int]:
    return InsertionsInTurn(
        painter(), Composer(ward(), [VEIN]), SAMPLING, InsertionConfig(**insertion), provenance(), "w", trust
    )


class Seer:
    """A segmenter that sees veins wherever the image is darker than a limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        return images.mean()

    def predict(self, images: Tensor) -> Tensor:
        seen = (images.mean(dim=1) < self.limit).float()
        found = torch.zeros(len(images), len(TABLE), *images.shape[-2:])
        found[:, VEIN], found[:, 0] = seen, 1 - seen
        return found


def trusting(limit: float, least: float = 0.5, **config: Any) -> Trust:
    return Trust(Judge(Seer(limit), (SIDE, SIDE), TABLE), {VEIN: least}, TrustConfig(**config), {})


@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("emphasis", [1.0, 2.5])
@pytest.mark.parametrize("count", [1, 3])
def test_beyond_the_margin_a_frame_stays_as_it_was(margin: int, emphasis: float, count: int) -> None:
    source = in_turn(margin=margin, emphasis=emphasis)
    seeds = [11, 12, 13][:count]
    pairs, _ = source.sample(range(count), seeds)
    for image, mask, seed in zip(to_pixels(pairs.images), pairs.masks.numpy(), seeds, strict=True):
        made = compose(source.composer, VEIN, seed)
        free = soft_margin(torch.from_numpy(made.placement.region)[None], margin)[0, 0].numpy() > 0
        assert np.array_equal(image[~free], made.image[~free])
        assert (image[made.placement.region] != made.image[made.placement.region]).any()
        assert np.array_equal(mask, made.mask)


def test_a_scene_depends_on_its_own_seed_alone() -> None:
    source = in_turn()
    together, _ = source.sample(range(3), [11, 12, 13])
    alone, _ = source.sample([1], [12])
    assert torch.allclose(alone.images[0], together.images[1], atol=2 / 255)
    assert torch.equal(alone.masks[0], together.masks[1])


def test_scenes_without_the_class_come_first_and_then_any(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []

    def nowhere(self: Composer, mask: np.ndarray, *_: object, **__: object) -> None:
        shown.append(bool((mask == VEIN).any()))

    monkeypatch.setattr(Composer, "place", nowhere)
    with pytest.raises(DataError, match="no training scene has a place for vein"):
        compose(Composer(ward(), [VEIN]), VEIN, 11)
    assert len(shown) == SCENES
    assert not any(shown[:WITHOUT])
    assert any(shown[WITHOUT:])


def test_the_generator_is_asked_for_the_composed_map() -> None:
    source, made = in_turn(emphasis=1.5), compose(Composer(ward(), [VEIN]), VEIN, 11)
    region = torch.from_numpy(made.placement.region)[None]
    expected = painter().insert(
        to_images(made.image[None]), to_masks(made.mask[None]), region, before=to_masks(made.before[None]),
        seeds=[11], emphasis=1.5, steps=3,
    )  # fmt: skip
    found, _ = source.sample([0], [11])
    assert torch.allclose(found.images, expected, atol=2 / 255)


def test_emphasis_of_one_never_asks_what_was_there_before() -> None:
    made = compose(Composer(ward(), [VEIN]), VEIN, 11)
    images, masks = to_images(made.image[None]), to_masks(made.mask[None])
    region = torch.from_numpy(made.placement.region)[None]

    def drawn(before: np.ndarray, emphasis: float) -> Tensor:
        other = to_masks(before[None])
        return painter().insert(images, masks, region, before=other, seeds=[1], emphasis=emphasis, steps=3)

    elsewhere = np.full_like(made.before, 1)
    assert torch.equal(drawn(made.before, 1.0), drawn(elsewhere, 1.0))
    assert not torch.equal(drawn(made.before, 2.0), drawn(elsewhere, 2.0))


def test_whole_scenes_are_those_of_generate() -> None:
    source = in_turn(whole=True)
    pairs, _ = source.sample([0, 1, 2], [11, 12, 13])
    assert torch.equal(pairs.images, painter().generate(pairs.masks, seeds=[11, 12, 13], steps=3))


def test_the_margin_falls_evenly() -> None:
    """A pixel k steps away is free by 1 − k/(margin + 1)."""
    region = torch.zeros(1, 9, 9, dtype=torch.bool)
    region[0, 4, 4] = True
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    away = torch.maximum((rows - 4).abs(), (columns - 4).abs())
    expected = (1 - away / 4).clamp(min=0)
    assert torch.allclose(soft_margin(region, 3)[0, 0], expected)
    assert torch.equal(soft_margin(region, 0)[0, 0], region[0].float())


def test_into_frames_that_a_segmenter_labelled_the_generator_is_told_a_map_without_holes() -> None:
    """Unlabelled pixels stay so in the mask; in the generator's map they are of the nearest class."""
    composer = Composer(ward(), [VEIN], CompositionConfig(visible=0.3), other())
    source = InsertionsInTurn(painter(), composer, SAMPLING, InsertionConfig(), provenance(), "w")
    pairs, details = source.sample(range(2), [11, 12])
    for image, mask, told, seed in zip(pairs.images, pairs.masks, details, (11, 12), strict=True):
        made = compose(composer, VEIN, seed)
        region = torch.from_numpy(made.placement.region)[None]
        assert np.array_equal(mask.numpy(), made.mask)
        assert (made.mask == TABLE.ignore_index).any()
        before = fill_ignored(made.before, TABLE.ignore_index)
        expected = painter().insert(
            to_images(made.image[None]), to_masks(made.placement.composed(before)[None]), region,
            before=to_masks(before[None]), seeds=[seed], steps=3, margin=source.insertion.margin,
            emphasis=source.insertion.emphasis,
        )  # fmt: skip
        assert torch.allclose(image, expected[0], atol=2 / 255)
        free = soft_margin(region, InsertionConfig().margin)[0, 0] > 0
        assert torch.equal(image[:, ~free], to_images(made.image[None])[0][:, ~free])
        assert told["group"].startswith("video operation")
        assert told["scene_of"] == composer.into.records[made.scene].name
        assert told["region_of"] == f"scene {made.placement.source.scene}"


def test_what_the_manifest_says() -> None:
    source = in_turn()
    pairs, details = source.sample(range(3), [1, 2, 3])
    for mask, told, seed in zip(pairs.masks.numpy().astype(np.uint8), details, (1, 2, 3), strict=True):
        made = compose(source.composer, VEIN, seed)
        assert told["request"] == Request.from_mask(mask, TABLE).to_dict()
        assert told["inserted"] == "vein"
        assert told["scene_of"] == f"scene {made.scene}"
        assert told["region_of"] == f"scene {made.placement.source.scene}"
        assert told["group"] == source.composer.scenes.recordings[made.scene]
        assert told["placement"]["pixels"] == made.placement.region.sum()


def test_a_region_that_is_not_seen_is_drawn_again_elsewhere() -> None:
    """The painter's regions are never dark enough: each is tried four times, and none is trusted."""
    source = in_turn(trusting(-2.0))
    pairs, details = source.sample(range(3), [1, 2, 3])
    for told in details:
        assert (told["trust"], told["trusted"], told["attempts"]) == (0.0, False, 4)
    last = compose(source.composer, VEIN, derive_seed(1, "attempt", 4))
    assert np.array_equal(pairs.masks[0].numpy(), last.mask)


def test_what_is_seen_at_once_stays_as_it_was_without_a_judge() -> None:
    judged, alone = in_turn(trusting(2.0)), in_turn()
    pairs, details = judged.sample(range(3), [1, 2, 3])
    assert [(told["trusted"], told["attempts"]) for told in details] == [(True, 1)] * 3
    assert torch.equal(pairs.images, alone.sample(range(3), [1, 2, 3])[0].images)


def test_what_is_not_seen_may_be_left_unlabelled() -> None:
    source = in_turn(trusting(-2.0, rule="ignore", tries=1))
    pairs, _ = source.sample([0], [5])
    made = compose(source.composer, VEIN, 5)
    expected = np.where(made.placement.region, TABLE.ignore_index, made.mask)
    assert np.array_equal(pairs.masks[0].numpy(), expected)


def test_a_region_is_held_to_real_ones() -> None:
    """Two in three of the real veins are all dark: a region is held to a share of the median of those."""
    scenes = ward()
    images = np.array(scenes.images)
    for scene in range(6):
        images[scene][scenes.masks[scene] == VEIN] = 0 if scene % 3 else 255
    real = replace(scenes, images=images)
    judge = Judge(Seer(-0.5), (SIDE, SIDE), TABLE)
    for share in (0.0, 0.25, 1.0):
        config = TrustConfig(share=share)
        held = Trust.of_real(judge, real, real, [VEIN], config, {"judge": "j"})
        assert held.least[VEIN] == pytest.approx(share)
    without = real.subset(range(6, 12))
    held = Trust.of_real(judge, without, real, [VEIN], TrustConfig(), {"judge": "j"})
    assert held.made_by["real"]["vein"]["part"] == "train"
    with pytest.raises(ConfigError, match="no real scene shows vein"):
        Trust.of_real(judge, without, without, [VEIN], TrustConfig(), {"judge": "j"})


def test_a_class_is_missed_where_less_than_half_of_it_is_seen() -> None:
    """Of a vein and what is dark beside it, an IoU of one half is seen enough, and a little less is not."""
    scenes = ward()
    judge = Judge(Seer(-0.5), (SIDE, SIDE), TABLE)

    def real(dark_beside: int) -> SceneCache:
        images = np.full_like(scenes.images, 255)
        images[scenes.masks == VEIN] = 0
        beside = np.flatnonzero(scenes.masks != VEIN)[:dark_beside]
        images.reshape(-1, 3)[beside] = 0
        return replace(scenes, images=images)

    pixels = int((scenes.masks == VEIN).sum())
    with pytest.raises(ConfigError, match=r"misses none of the rare classes \(IoU vein 50%\)"):
        missed_by(judge, real(pixels), [VEIN])
    assert missed_by(judge, real(pixels + 1), [VEIN]) == (VEIN,)
    assert missed_by(judge, real(0).subset(range(6, 12)), [VEIN]) == (VEIN,)  # none shows it


def test_a_request_is_answered_by_a_region_of_its_class() -> None:
    source = InsertionsForRequests(
        painter(), Composer(ward(), [VEIN]), SAMPLING, InsertionConfig(), provenance(), "w"
    )
    wanted = list(source.pool.requests)
    assert [one.ids for one in wanted] == [(VEIN,)]
    pairs = source.generate(wanted * 3, [1, 2, 3])
    for mask in pairs.masks.numpy().astype(np.uint8):
        assert wanted[0].kept_by(mask, TABLE).kept
    with pytest.raises(ConfigError, match="nothing is inserted for 'fat'"):
        source.generate([Request.parse("fat", TABLE)], [1])


def test_generators_of_other_classes_are_refused() -> None:
    strange = replace(TABLE, classes=TABLE.classes[:3])
    config = CasdmConfig(height=SIDE, width=SIDE, network=replace(NETWORK, classes=3))
    other = Casdm(CasdmLearner(config, strange, 0).network, config, strange)
    with pytest.raises(CheckpointError, match="knows the classes of"):
        InsertionsInTurn(other, Composer(ward(), [VEIN]), SAMPLING, InsertionConfig(), provenance(), "w")


def test_masks_may_need_padding() -> None:
    """Sides that the network's strides do not divide."""
    images, masks = torch.zeros(2, 3, 45, 50), torch.zeros(2, 45, 50, dtype=torch.long)
    regions = torch.zeros(2, 45, 50, dtype=torch.bool)
    regions[:, 40:, 44:] = True
    drawn = painter().insert(images, masks, regions, before=masks, seeds=[1, 2], margin=0, steps=2)
    assert drawn.shape == images.shape
    assert torch.equal(drawn[:, :, ~regions[0]], images[:, :, ~regions[0]])
    assert (drawn[:, :, regions[0]] != 0).any()
