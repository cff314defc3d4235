"""A map generator and an image generator as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.protocols import PairGenerator, Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner, MapsThenImages, PromptBook, PromptedMaps
from rarescene.networks import EMBEDDED, TextEncoder
from rarescene.scenes import ClassTable, Request, SceneClass

from .test_prompted_maps import CONFIG, learner
from .toy import NETWORK, TABLE, assert_can_be_learned_from, moved_off_zero


@pytest.fixture(scope="module")
def maps() -> PromptedMaps:
    made = learner(PromptBook.write(TABLE, TextEncoder.open(EMBEDDED), 2))
    moved_off_zero(made.network)
    return PromptedMaps(made.network, CONFIG, made.book, made.code)


def images(table: ClassTable = TABLE, side: int = 16) -> Casdm:
    config = CasdmConfig(height=side, width=side, network=NETWORK)
    made = CasdmLearner(config, table, 0)
    return Casdm(moved_off_zero(made.network), config, table)  # type: ignore[arg-type]


def asked(*texts: str) -> list[Request]:
    return [Request.parse(text, TABLE) for text in texts]


@pytest.mark.parametrize("count", [1, 3])
def test_the_image_is_that_of_the_map(count: int, maps: PromptedMaps) -> None:
    """Pair by pair, what the two generators draw one after the other, from seeds of their own."""
    both, painter = MapsThenImages(maps, images()), images()
    wanted, seeds = asked("red", "blue: two", "")[:count], [4, 5, 6][:count]
    drawn = maps.draw(wanted, seeds=[derive_seed(seed, "map") for seed in seeds], tries=3, steps=2)
    pairs = both.generate(wanted, seeds=seeds, tries=3, map_options={"steps": 2}, image_options={"steps": 3})
    assert np.array_equal(pairs.masks.numpy(), np.stack([one.mask for one in drawn]))
    assert pairs.confidence is not None
    assert np.array_equal(pairs.confidence.numpy(), np.stack([one.confidence for one in drawn]))
    assert torch.equal(pairs.images, painter.generate(pairs.masks, seeds=seeds, steps=3))
    assert isinstance(both, PairGenerator)


def test_a_plain_loop_learns_from_drawn_pairs(maps: PromptedMaps) -> None:
    both, wanted = MapsThenImages(maps, images()), asked("red", "blue")
    once = {"steps": 2}
    assert_can_be_learned_from(
        both.generate(wanted, seeds=[1, 2], tries=1, map_options=once, image_options=once)
    )
    masks, confidence = maps.generate(wanted, seeds=[1, 2], steps=2)
    drawn = images().generate(masks, seeds=[1, 2], steps=2)
    assert_can_be_learned_from(Pairs(drawn, masks, confidence))


def test_further_tries_keep_more(maps: PromptedMaps) -> None:
    both, wanted = MapsThenImages(maps, images()), asked("red; blue") * 8

    def kept(tries: int) -> int:
        pairs = both.generate(
            wanted, seeds=range(8), tries=tries, map_options={"steps": 1}, image_options={"steps": 1}
        )
        return sum(
            request.kept_by(mask.astype(np.uint8), TABLE).kept
            for request, mask in zip(wanted, pairs.masks.numpy(), strict=True)
        )

    assert kept(8) >= kept(1)


def test_generators_that_do_not_fit(maps: PromptedMaps) -> None:
    strange = replace(TABLE, classes=(*TABLE.classes[:2], SceneClass(2, "green", (0, 255, 0))))
    with pytest.raises(CheckpointError, match="of classes of 'toy'"):
        MapsThenImages(maps, images(strange))
    with pytest.raises(CheckpointError, match="maps of 16×16 for images of 32×32"):
        MapsThenImages(maps, images(side=32))
