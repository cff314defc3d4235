"""Which scenes a step sees: a pure function of (seed, step), so that a resumed run needs no history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from rarescene.foundation.errors import DataError
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


class SceneBatches:
    """Draws the batch of any step, without a state that would have to be saved.

    Unweighted, the scenes are passed through in a new order each epoch; weighted, each draw is independent.

    Args:
        take: gives images uint8 `(B, H, W, 3)` and masks uint8 `(B, H, W)` of scene indices.
        scenes: the indices to draw from; an index may occur more than once.
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
        if len(scenes) == 0:
            raise DataError("there is no scene to train on", "Check the split and the classes asked for.")
        self.take, self.batch_size, self.seed, self.augment = take, batch_size, seed, augment
        self.scenes = np.asarray(scenes, np.int64)
        self._ahead: dict[tuple[int, int, int], Future[Batch]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.reweigh(weights)

    def reweigh(self, weights: Sequence[float] | None) -> None:
        """Draw by other weights from the next step on."""
        self.weights = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
        self._ahead.clear()

    def indices(self, step: int) -> np.ndarray:
        """Return the scene indices of a step, over all ranks."""
        if self.weights is not None:
            generator = np.random.default_rng(derive_seed(self.seed, "draw", step))
            return generator.choice(self.scenes, self.batch_size, p=self.weights)
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(places, len(self.scenes))
        drawn = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs):
            order = np.random.default_rng(derive_seed(self.seed, "epoch", int(epoch))).permutation(
                self.scenes
            )
            drawn[epochs == epoch] = order[places[epochs == epoch]]
        return drawn

    def __call__(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Return scenes `start` to `stop` of a step's batch; the next step's are read in the background."""
        stop = self.batch_size if stop is None else stop
        batch = self._ahead.pop((step, start, stop), None)
        self._ahead = {key: future for key, future in self._ahead.items() if key[0] >= step}
        following = (step + 1, start, stop)
        if following not in self._ahead:
            self._ahead[following] = self._thread.submit(self._draw, *following)
        return batch.result() if batch is not None else self._draw(step, start, stop)

    def _draw(self, step: int, start: int, stop: int) -> Batch:
        pixels, ids = self.take(self.indices(step)[start:stop].tolist())
        images, masks = to_images(pixels), to_masks(ids)
        seeds = [derive_seed(self.seed, "scene", step, place) for place in range(start, stop)]
        if self.augment is not None:
            images, masks = self.augment(images, masks, seeds)
        return Batch(images, masks, seeds)
