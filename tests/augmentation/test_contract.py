"""What every strategy must keep, in anybody's training loop. A new one joins by a builder in `BUILDERS`."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from rarescene.augmentation import (
    AdaptiveSampling,
    AdaptiveSamplingConfig,
    Classic,
    ClassicConfig,
    Composed,
    DrawingConfig,
    Duplicate,
    DuplicateConfig,
    Gauda,
    GaudaConfig,
    NoAugmentation,
    Offline,
    OfflineConfig,
)
from rarescene.foundation.protocols import Batch, Pairs, Strategy
from rarescene.scenes import Request

from . import toys

POOL = 40  # real scenes, of which some train; the synthetic ones follow
TRAINING = list(range(0, POOL, 2))
PRESENCE = np.random.default_rng(0).random((POOL, 5)) < 0.3


def draw(
    requests: Sequence[Request], seeds: Sequence[int], progress: Callable[[int, int], None] | None = None
) -> Pairs:
    """Draw pairs at the size of this suite's batches."""
    pairs = toys.draw(requests, seeds, progress)
    return Pairs(pairs.images.repeat(1, 1, 4, 3)[..., :16, :24], pairs.masks.repeat(1, 4, 3)[..., :16, :24])


def gauda(seed: int, drawing: DrawingConfig) -> Gauda:
    config = GaudaConfig(probability=0.5, classes=2, size=6, samples=2, drawing=drawing, seed=seed)
    return Gauda(config, toys.TABLE, toys.ask, draw)


BUILDERS: dict[str, Callable[[int], Strategy]] = {
    "none": lambda seed: NoAugmentation(),
    "duplicate": lambda seed: Duplicate(DuplicateConfig(count=7, seed=seed), PRESENCE, [1, 3]),
    "offline": lambda seed: Offline(OfflineConfig(count=9, seed=seed), range(POOL, POOL + 30)),
    "offline-often": lambda seed: Offline(OfflineConfig(probability=0.25, seed=seed), range(POOL, POOL + 30)),
    "classic": lambda seed: Classic(ClassicConfig(0.5, 0.0, 0.5, crop=0.5)),
    "adaptive": lambda seed: AdaptiveSampling(AdaptiveSamplingConfig(), PRESENCE, toys.TABLE),
    "adaptive-uncertainty": lambda seed: AdaptiveSampling(
        AdaptiveSamplingConfig(by="uncertainty", samples=2), PRESENCE, toys.TABLE
    ),
    "gauda": lambda seed: gauda(seed, DrawingConfig()),
    "gauda-between": lambda seed: gauda(seed, DrawingConfig("between_steps", ticks=3, block=4)),
    "gauda-beside": lambda seed: gauda(seed, DrawingConfig("beside", join_after=2)),
    "composed": lambda seed: Composed(
        {
            "duplicate": Duplicate(DuplicateConfig(count=7, seed=seed), PRESENCE, [1, 3]),
            "adaptive": AdaptiveSampling(AdaptiveSamplingConfig(), PRESENCE, toys.TABLE),
            "gauda": gauda(seed, DrawingConfig("between_steps", ticks=3, block=4)),
            "classic": Classic(ClassicConfig(0.5, 0.0, 0.5, crop=0.5)),
        }
    ),
}

pytestmark = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


class ConstantSegmenter:
    """Answers every pixel alike, so that a strategy that looks has something to look at."""

    def loss(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return images.mean()

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 5, *images.shape[-2:]), 0.2)

    def posterior(self, images: torch.Tensor, samples: int) -> torch.Tensor:
        return self.predict(images).expand(samples, -1, -1, -1, -1)


def a_batch(count: int, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, 16, 24, generator=draw) * 2 - 1
    return Batch(images, torch.randint(0, 5, (count, 16, 24), generator=draw), list(range(count)))


def test_fulfils_the_protocol(build: Callable[[int], Strategy]) -> None:
    assert isinstance(build(0), Strategy)


def test_every_real_scene_stays(build: Callable[[int], Strategy]) -> None:
    extended = list(build(0).extend(TRAINING))
    assert extended[: len(TRAINING)] == TRAINING
    assert all(isinstance(scene, int) for scene in extended)


def test_no_held_out_scene_slips_in(build: Callable[[int], Strategy]) -> None:
    held_out = set(range(POOL)) - set(TRAINING)
    assert not held_out & set(build(0).extend(TRAINING))


def test_the_given_list_is_left_alone(build: Callable[[int], Strategy]) -> None:
    given = list(TRAINING)
    extended = build(0).extend(given)
    assert given == TRAINING
    assert extended is not given


def test_weights_fit_the_extended_list(build: Callable[[int], Strategy]) -> None:
    strategy = build(0)
    extended = strategy.extend(TRAINING)
    weights = strategy.weights()
    if weights is not None:
        assert len(weights) == len(extended)
        assert min(weights) >= 0
        assert sum(weights) > 0


def test_the_seed_decides(build: Callable[[int], Strategy]) -> None:
    first, same = build(5), build(5)
    assert list(first.extend(TRAINING)) == list(same.extend(TRAINING))
    assert first.weights() == same.weights()


@pytest.mark.parametrize("count", [1, 3])
def test_a_mixed_batch_is_still_a_batch(build: Callable[[int], Strategy], count: int) -> None:
    strategy = build(0)
    strategy.extend(TRAINING)
    strategy.refresh(ConstantSegmenter(), [a_batch(2, seed=9)])
    batch = a_batch(count)
    before = copy.deepcopy(batch)
    mixed = strategy.mix(batch)
    assert len(mixed) == len(mixed.seeds) == count
    assert (mixed.images.shape, mixed.images.dtype) == (before.images.shape, before.images.dtype)
    assert (mixed.masks.shape, mixed.masks.dtype) == (before.masks.shape, before.masks.dtype)
    assert mixed.images.abs().max() <= 1
    assert torch.equal(batch.images, before.images)  # the caller's batch is not written into
    assert torch.equal(batch.masks, before.masks)


def test_a_resumed_strategy_goes_on_as_if_it_had_never_stopped(build: Callable[[int], Strategy]) -> None:
    undisturbed, resumed = build(0), build(0)
    undisturbed.extend(TRAINING)
    undisturbed.refresh(ConstantSegmenter(), [a_batch(2, seed=9)])
    undisturbed.mix(a_batch(3, seed=1))
    resumed.extend(TRAINING)
    resumed.load_state_dict(undisturbed.state_dict())
    assert list(resumed.extend(TRAINING)) == list(undisturbed.extend(TRAINING))
    assert resumed.weights() == undisturbed.weights()
    for seed in range(2, 5):
        theirs, ours = undisturbed.mix(a_batch(3, seed)), resumed.mix(a_batch(3, seed))
        assert torch.equal(theirs.images, ours.images)
        assert torch.equal(theirs.masks, ours.masks)
        assert list(theirs.seeds) == list(ours.seeds)


def test_what_a_refresh_decides_can_be_logged(build: Callable[[int], Strategy]) -> None:
    strategy = build(0)
    strategy.extend(TRAINING)
    decision = strategy.refresh(ConstantSegmenter(), [a_batch(2)])
    strategy.close()
    assert json.loads(json.dumps(decision)) == decision


def test_a_state_can_be_written_as_json(build: Callable[[int], Strategy]) -> None:
    strategy, resumed = build(0), build(0)
    strategy.extend(TRAINING)
    strategy.refresh(ConstantSegmenter(), [a_batch(2)])
    state = json.loads(json.dumps(strategy.state_dict(), allow_nan=False))
    resumed.load_state_dict(state)
    assert json.loads(json.dumps(resumed.state_dict())) == state
    strategy.close()
    resumed.close()


def test_it_can_be_closed_at_any_time(build: Callable[[int], Strategy]) -> None:
    strategy = build(0)
    strategy.close()
    strategy.extend(TRAINING)
    strategy.refresh(ConstantSegmenter(), [a_batch(2)])
    before = threading.active_count()
    strategy.close()
    strategy.close()
    assert threading.active_count() <= before
    assert len(strategy.mix(a_batch(3))) == 3
