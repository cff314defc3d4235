"""What every strategy must keep, in anybody's training loop."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from rarescene.foundation.methods import StrategyMethod, Surroundings
from rarescene.foundation.protocols import Batch, Pairs, Strategy
from rarescene.scenes import Request, RequestPool
from rarescene.scenes.pool import ScenePool
from rarescene.testing.toys import TABLE, ToySegmenter, equal, toy_batch, toy_scenes

HEIGHT, WIDTH = 16, 24
REAL, SYNTHETIC = 40, 30
TRAINING = list(range(0, REAL, 2))
"""The real scenes that train; the others are held out, and the synthetic ones follow."""


@dataclass(frozen=True)
class Subject:
    """A strategy under test.

    Attributes:
        method: its declaration.
        config: its options; by default its own.
        spare: a device beside the training, for one that generates there.
    """

    method: StrategyMethod
    config: Any = None
    spare: Any = None

    def build(self, seed: int = 0) -> Strategy:
        """Return the strategy of a run of this seed."""
        config = self.config
        if config is None and self.method.config is not None:
            config = self.method.config()
        return self.method.build(config, self.around(seed))

    def around(self, seed: int) -> Surroundings:
        """Return forty real scenes and thirty synthetic ones, and a source of fresh pairs."""
        pool = ScenePool([toy_scenes(REAL, HEIGHT, WIDTH), toy_scenes(SYNTHETIC, HEIGHT, WIDTH, seed=2)])
        return Surroundings(pool, TRAINING, seed, cast(Any, ToyPairs()), self.spare, ToySegmenter().predict)

    def refreshed(self, seed: int = 0) -> Strategy:
        """Return the strategy after its first validation."""
        strategy = self.build(seed)
        strategy.extend(TRAINING)
        strategy.refresh(ToySegmenter(), [a_batch(2, seed=9)])
        return strategy


class ToyPairs:
    """A source of pairs that fills masks with the first class asked for; red tells the class."""

    name, table, height, width, words, block = "toy", TABLE, HEIGHT, WIDTH, True, 4
    pool = RequestPool.of_masks(toy_scenes(12, HEIGHT, WIDTH).take_masks(range(12)), TABLE)

    def supported(self, request: Request) -> Request:
        """Return the request as it is."""
        return request

    def generate(self, requests: Sequence[Request], seeds: Sequence[int], progress: Any = None) -> Pairs:
        """Return a pair for each request, in seven denoising steps."""
        for done in range(7):
            if progress is not None:
                progress(done + 1, 7)
        ids = torch.tensor([request.ids[0] for request in requests])
        masks = ids[:, None, None].expand(-1, HEIGHT, WIDTH).contiguous()
        draws = [torch.Generator().manual_seed(seed % 2**60) for seed in seeds]
        images = torch.stack([torch.rand(3, HEIGHT, WIDTH, generator=draw) for draw in draws])
        images[:, 0] = (masks + 0.5) / 2.5 - 1
        return Pairs(images, masks)


def a_batch(count: int, seed: int = 0) -> Batch:
    """Return the batch of a step."""
    return Batch(*toy_batch(count, HEIGHT, WIDTH, seed), [100 * seed + index for index in range(count)])


def fulfils_the_protocol(of: Subject) -> None:
    """It is a `Strategy`."""
    assert isinstance(of.build(), Strategy)


def real_scenes_stay_and_no_held_out_one_slips_in(of: Subject) -> None:
    """The extended list begins with the real scenes, all others are synthetic or copies, and it is a new one.

    A strategy that leaves real scenes out would be compared at another data set than the others.
    """
    given = list(TRAINING)
    extended = of.build().extend(given)
    assert given == TRAINING
    assert extended is not given
    assert list(extended[: len(TRAINING)]) == TRAINING
    assert all(isinstance(scene, int) for scene in extended)
    assert not set(extended) & (set(range(REAL)) - set(TRAINING))
    assert len(extended) == len(TRAINING) or of.method.extends


def weights_fit_the_extended_list(of: Subject) -> None:
    """There is a weight of 0 or more for each scene of it, and not all are 0; or None."""
    strategy = of.build()
    extended = strategy.extend(TRAINING)
    weights = strategy.weights()
    if weights is not None:
        assert len(weights) == len(extended)
        assert min(weights) >= 0
        assert sum(weights) > 0


def the_seed_decides(of: Subject) -> None:
    """Two strategies of one seed have one list and one set of weights."""
    first, same = of.build(5), of.build(5)
    assert list(first.extend(TRAINING)) == list(same.extend(TRAINING))
    assert first.weights() == same.weights()


def a_mixed_batch_is_still_a_batch(of: Subject) -> None:
    """`mix` keeps sizes, kinds and range, and does not write into the batch that it is given."""
    for count in (1, 3):
        strategy, batch = of.refreshed(), a_batch(count)
        before = copy.deepcopy(batch)
        mixed = strategy.mix(batch)
        assert len(mixed) == len(mixed.seeds) == count
        for ours, theirs in ((mixed.images, before.images), (mixed.masks, before.masks)):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert mixed.images.abs().max() <= 1
        assert equal((batch.images, batch.masks), (before.images, before.masks))
        strategy.close()


def a_resumed_one_goes_on_as_if_it_had_never_stopped(of: Subject) -> None:
    """After `load_state_dict` list, weights and mixed batches are those of the undisturbed one."""
    undisturbed, resumed = of.refreshed(), of.build()
    undisturbed.mix(a_batch(3, seed=1))
    resumed.extend(TRAINING)
    resumed.load_state_dict(undisturbed.state_dict())
    assert list(resumed.extend(TRAINING)) == list(undisturbed.extend(TRAINING))
    assert resumed.weights() == undisturbed.weights()
    for seed in range(2, 5):
        theirs, ours = undisturbed.mix(a_batch(3, seed)), resumed.mix(a_batch(3, seed))
        assert equal((theirs.images, theirs.masks), (ours.images, ours.masks))
        assert list(theirs.seeds) == list(ours.seeds)
    undisturbed.close()
    resumed.close()


def decisions_and_state_can_be_written_as_json(of: Subject) -> None:
    """What `refresh` and `state_dict` return are JSON values, and a state comes back from them."""
    strategy, resumed = of.build(), of.build()
    strategy.extend(TRAINING)
    decision = strategy.refresh(ToySegmenter(), [a_batch(2)])
    assert json.loads(json.dumps(decision)) == decision
    state = json.loads(json.dumps(strategy.state_dict(), allow_nan=False))
    resumed.load_state_dict(state)
    assert json.loads(json.dumps(resumed.state_dict())) == state
    strategy.close()
    resumed.close()


def it_can_be_closed_at_any_time(of: Subject) -> None:
    """Before the start, after a refresh and twice; no thread stays behind, and batches still pass."""
    strategy = of.build()
    strategy.close()
    strategy.extend(TRAINING)
    strategy.refresh(ToySegmenter(), [a_batch(2)])
    before = threading.active_count()
    strategy.close()
    strategy.close()
    assert threading.active_count() <= before
    assert len(strategy.mix(a_batch(3))) == 3
