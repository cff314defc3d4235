"""Which scenes a step sees: a pure function of (seed, step), so that a resumed run needs no history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed

Take = Callable[[Sequence[int]], tuple[np.ndarray, np.ndarray]]
Augment = Callable[[Tensor, Tensor, Sequence[int]], tuple[Tensor, Tensor]]


def to_images(pixels: np.ndarray) -> Tensor:
    """Return images uint8 `(B, H, W, 3)` as float32 `(B, 3, H, W)` in [-1, 1]."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_pixels(images: Tensor) -> np.ndarray:
    """Return images `(B, 3, H, W)` in [-1, 1] as uint8 `(B, H, W, 3)`, rounded."""
    levels = images.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_masks(ids: np.ndarray) -> Tensor:
    """Return masks uint8 `(B, H, W)` as int64."""
    return torch.tensor(ids, dtype=torch.int64)


class Batches(ABC):
    """Samples the batch of any step, without a state that would have to be saved.

    Unweighted, the scenes are passed through in a new order each epoch; weighted, each sample is independent.

    Args:
        scenes: the indices to sample from; an index may occur more than once.
        batch_size: scenes a step, over all ranks.
        seed: seed of the order and of the scenes' own seeds.
        weights: sampling weights of `scenes`, or None.
    """

    def __init__(
        self, scenes: Sequence[int], batch_size: int, seed: int, weights: Sequence[float] | None = None
    ) -> None:
        if len(scenes) == 0:
            raise DataError("there is no scene to train on", "Check the split and the classes asked for.")
        self.batch_size, self.seed = batch_size, seed
        self.scenes = np.asarray(scenes, np.int64)
        self._ahead: dict[tuple[int, int, int], Future[Batch]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.reweigh(weights)

    def reweigh(self, weights: Sequence[float] | None) -> None:
        """Sample by other weights from the next step on."""
        self.weights = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
        self._ahead.clear()

    def indices(self, step: int) -> np.ndarray:
        """Return the scene indices of a step, over all ranks."""
        if self.weights is not None:
            generator = np.random.default_rng(derive_seed(self.seed, "draw", step))
            return generator.choice(self.scenes, self.batch_size, p=self.weights)
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(places, len(self.scenes))
        sampled = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs):
            order = np.random.default_rng(derive_seed(self.seed, "epoch", int(epoch))).permutation(
                self.scenes
            )
            sampled[epochs == epoch] = order[places[epochs == epoch]]
        return sampled

    def __call__(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Return scenes `start` to `stop` of a step's batch; the next step's are read in the background."""
        stop = self.batch_size if stop is None else stop
        batch = self._ahead.pop((step, start, stop), None)
        self._ahead = {key: future for key, future in self._ahead.items() if key[0] >= step}
        following = (step + 1, start, stop)
        if following not in self._ahead:
            self._ahead[following] = self._thread.submit(self._sample, *following)
        return batch.result() if batch is not None else self._sample(step, start, stop)

    @abstractmethod
    def read(self, indices: Sequence[int], seeds: Sequence[int]) -> Batch:
        """Return these scenes as a batch, given each scene's own seed."""

    def _sample(self, step: int, start: int, stop: int) -> Batch:
        seeds = [derive_seed(self.seed, "scene", step, place) for place in range(start, stop)]
        return self.read(self.indices(step)[start:stop].tolist(), seeds)


class SceneBatches(Batches):
    """Samples batches of images and masks.

    Args:
        take: gives images uint8 `(B, H, W, 3)` and masks uint8 `(B, H, W)` of scene indices.
        scenes: the indices to sample from; an index may occur more than once.
        batch_size: scenes a step, over all ranks.
        seed: seed of order and augmentation.
        augment: maps images, masks and one seed a scene to augmented ones.
        weights: sampling weights of `scenes`, or None.
    """

    def __init__(
        self,
        take: Take,
        scenes: Sequence[int],
        batch_size: int,
        seed: int,
        augment: Augment | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.take, self.augment = take, augment
        super().__init__(scenes, batch_size, seed, weights)

    def read(self, indices: Sequence[int], seeds: Sequence[int]) -> Batch:
        """Return decoded scenes, augmented as their seeds decide."""
        pixels, ids = self.take(indices)
        images, masks = to_images(pixels), to_masks(ids)
        if self.augment is not None:
            images, masks = self.augment(images, masks, seeds)
        return Batch(images, masks, seeds)


class MemberBatches:
    """Samples the batches of an ensemble: each member passes through the scenes in an order of its own.

    A batch holds the members' scenes one after another, as many of each; so does every even part of it that a
    rank or an accumulation step asks for, whence each part trains every member.

    Args:
        members: what samples each member's batch; all of one size.
    """

    def __init__(self, members: Sequence[SceneBatches]) -> None:
        self.members = members
        self.batch_size = sum(member.batch_size for member in members)

    def reweigh(self, weights: Sequence[float] | None) -> None:
        """Sample by other weights from the next step on."""
        for member in self.members:
            member.reweigh(weights)

    def __call__(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Return the part `start` to `stop` of a step's batch.

        Raises:
            ConfigError: the part does not hold as many scenes of each member.
        """
        stop = self.batch_size if stop is None else stop
        count = len(self.members)
        if start % count or stop % count:
            what = f"{stop - start} scenes cannot be dealt evenly to {count} members"
            raise ConfigError(what, "Set training.batch_size to a multiple of ranks × training.accumulate.")
        parts = [member(step, start // count, stop // count) for member in self.members]
        return Batch(
            torch.cat([part.images for part in parts]),
            torch.cat([part.masks for part in parts]),
            [seed for part in parts for seed in part.seeds],
        )
