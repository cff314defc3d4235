"""An image generator for sampled maps: request to map, checked and redrawn, and map to image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner, PromptBook, PromptedMaps
from rarescene.networks import EMBEDDED, TextEncoder
from rarescene.scenes import ClassTable, Request, RequestPool, SceneClass
from rarescene.sources.mask_source import SampledMaps
from rarescene.sources.pair_source import ImagesForMasks, RequestedPairs
from rarescene.sources.requests import requests_for
from rarescene.testing.generators import can_be_learned_from
from rarescene.testing.toys import moved_off_zero

from ..generators.test_prompted_maps import CONFIG, learner
from ..generators.toy import NETWORK, TABLE
from ..provenance import provenance


@pytest.fixture(scope="module")
def maps() -> PromptedMaps:
    made = learner(PromptBook.write(TABLE, TextEncoder.open(EMBEDDED), 2))
    moved_off_zero(made.network)
    return PromptedMaps(made.network, CONFIG, made.book, made.code)


def images(table: ClassTable = TABLE, side: int = 16) -> Casdm:
    config = CasdmConfig(height=side, width=side, network=NETWORK)
    made = CasdmLearner(config, table, 0)
    return Casdm(moved_off_zero(made.network), config, table)  # type: ignore[arg-type]


def joined(maps: PromptedMaps, painter: Casdm, *, tries: int, block: int = 3) -> ImagesForMasks[Request]:
    pool = RequestPool(tuple(asked("red", "red; blue")), (1, 1))
    sampled = SampledMaps(maps, MapSamplingConfig(steps=2, tries=tries), pool, provenance(), "m")
    return ImagesForMasks(painter, sampled, SamplingConfig(steps=3, block=block), provenance(), "w")


def asked(*texts: str) -> list[Request]:
    return [Request.parse(text, TABLE) for text in texts]


@pytest.mark.parametrize("count", [1, 3])
def test_the_image_is_that_of_the_map(count: int, maps: PromptedMaps) -> None:
    """Pair by pair, what the two generators draw one after the other, from seeds of their own."""
    painter = images()
    wanted, seeds = asked("red", "blue: two", "")[:count], [4, 5, 6][:count]
    of_maps = [derive_seed(seed, "map") for seed in seeds]
    drawn = maps.generate_checked(wanted, seeds=of_maps, tries=3, steps=2, guidance=2.0)
    pairs, details = joined(maps, painter, tries=3, block=count).sample(wanted, seeds)
    assert np.array_equal(pairs.masks.numpy(), np.stack([one.mask for one in drawn]))
    assert pairs.confidence is not None
    assert np.array_equal(pairs.confidence.numpy(), np.stack([one.confidence for one in drawn]))
    assert torch.equal(pairs.images, painter.generate(pairs.masks, seeds=seeds, steps=3))
    assert details == [
        {"kept_at_first": one.first.to_dict(), "tries": one.tries, "map_seed": one.seed} for one in drawn
    ]


def test_a_series_of_requests_has_the_same_pairs_and_says_what_they_keep(maps: PromptedMaps) -> None:
    source = joined(maps, images(), tries=2)
    series = requests_for(source, seed=1)
    in_turn, by_index = RequestedPairs(source, series), [series.at(index) for index in range(4)]
    pairs, details = in_turn.sample(range(4), [7, 8, 9, 10])
    again = source.generate(by_index, [7, 8, 9, 10])
    assert torch.equal(pairs.images, again.images)
    assert torch.equal(pairs.masks, again.masks)
    assert [one["request"] for one in details] == [request.to_dict() for request in by_index]
    assert [one["order"] for one in details] == [0, 1, 2, 3]
    for request, mask, one in zip(by_index, pairs.masks.numpy().astype(np.uint8), details, strict=True):
        assert one["kept"] == request.kept_by(mask, TABLE).to_dict()
    assert in_turn.made_by == {**source.made_by, **series.made_by}
    assert in_turn.provenance == source.provenance


def test_a_plain_loop_learns_from_drawn_pairs(maps: PromptedMaps) -> None:
    wanted = asked("red", "blue")
    can_be_learned_from(joined(maps, images(), tries=1).generate(wanted, [1, 2]))
    masks, confidence = maps.generate(wanted, seeds=[1, 2], steps=2)
    drawn = images().generate(masks, seeds=[1, 2], steps=2)
    can_be_learned_from(Pairs(drawn, masks, confidence))


def test_further_tries_keep_more(maps: PromptedMaps) -> None:
    wanted = asked("red; blue") * 8

    def kept(tries: int) -> int:
        pairs = joined(maps, images(), tries=tries, block=8).generate(wanted, range(8))
        return sum(
            request.kept_by(mask.astype(np.uint8), TABLE).kept
            for request, mask in zip(wanted, pairs.masks.numpy(), strict=True)
        )

    assert kept(8) >= kept(1)


def test_generators_that_do_not_fit(maps: PromptedMaps) -> None:
    strange = replace(TABLE, classes=(*TABLE.classes[:2], SceneClass(2, "green", (0, 255, 0))))
    with pytest.raises(CheckpointError, match="knows the classes of 'toy'"):
        joined(maps, images(strange), tries=1)
    with pytest.raises(CheckpointError, match="maps of 16×16 for images of 32×32"):
        joined(maps, images(side=32), tries=1)
