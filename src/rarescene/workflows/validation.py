"""One pass over the validation scenes: what a strategy asks of the segmenter is its prediction, too.

A strategy that looks at posterior samples has the network answer for every scene already, and a prediction is
the mean of such samples. So where they are as many as a prediction takes, they are remembered while the
strategy goes through the scenes, and only the other scenes are predicted afterwards. Scores are those of a
prediction either way, so that they compare with those of a run whose strategy asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rarescene.foundation.protocols import Batch
from rarescene.scenes import SceneCache
from rarescene.segmenters.config import UNetEnsembleConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

BATCH = 16
"""Scenes that are predicted at once."""


@dataclass(frozen=True)
class ValidationScores:
    """The label-mean IoU, and that of each class by name; None for a class that no label shows."""

    mean: float
    iou: Mapping[str, float | None] = field(default_factory=dict)


class ValidationScenes(Sequence[Batch]):
    """Validation scenes in batches, read when they are asked for.

    Args:
        cache: the decoded scenes.
        indices: which of them.
        device: where images and masks are handed out.
    """

    def __init__(self, cache: SceneCache, indices: Sequence[int], device: torch.device) -> None:
        self.cache, self.device = cache, device
        self.parts = [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]
        self.found: dict[int, np.ndarray] = {}
        self._last: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.parts)

    @overload
    def __getitem__(self, place: int) -> Batch: ...
    @overload
    def __getitem__(self, place: slice) -> list[Batch]: ...
    def __getitem__(self, place: int | slice) -> Batch | list[Batch]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        from rarescene.training import to_images, to_masks

        at = range(len(self.parts))[place]
        pixels, ids = self.cache.take(self.parts[at])
        images = to_images(pixels).to(self.device)
        self._last = at, images
        return Batch(images, to_masks(ids).to(self.device), self.parts[at])

    def remember(self, images: Tensor, probabilities: Tensor) -> None:
        """Keep the answer `(B, C, H, W)` to the images of the batch that was read last.

        A strategy may ask about other images as well, such as those that it has drawn.
        """
        if self._last is not None and images is self._last[1]:
            self.found[self._last[0]] = probabilities.argmax(1).to("cpu").numpy().astype(np.uint8)


class Watched:
    """A segmenter that answers as the network does, and whose predictions are remembered."""

    def __init__(self, network: nn.Module, scenes: ValidationScenes) -> None:
        self.network, self.scenes = network, scenes

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the network's loss."""
        return self.network.loss(images, masks)  # type: ignore[operator, no-any-return]

    def predict(self, images: Tensor) -> Tensor:
        """Return the network's class probabilities `(B, C, H, W)`."""
        found: Tensor = self.network.predict(images)  # type: ignore[operator]
        self.scenes.remember(images, found)
        return found


class WatchedBayesian(Watched):
    """The same of a segmenter with posterior samples, whose mean is its prediction (GAUDA, Eq. 7)."""

    def posterior(self, images: Tensor, samples: int) -> Tensor:
        """Return posterior samples `(M, B, C, H, W)`."""
        found: Tensor = self.network.posterior(images, samples)  # type: ignore[operator]
        if len(found) >= (whole := _samples_of_a_prediction(self.network)):
            self.scenes.remember(images, found[:whole].mean(0))
        return found


def _samples_of_a_prediction(network: nn.Module) -> int:
    """Return how many posterior samples, the first ones, a Bayesian segmenter takes for its prediction."""
    config: Any = network.config
    return int(config.members if isinstance(config, UNetEnsembleConfig) else config.samples)


def look(
    network: nn.Module,
    cache: SceneCache,
    indices: Sequence[int],
    refresh: Callable[[Watched, ValidationScenes], Mapping[str, Any]],
) -> tuple[ValidationScores | None, Mapping[str, Any]]:
    """Let a strategy refresh itself on these scenes; return the scores there, and its word.

    Without a labelled pixel the scores are None. They are of the size that the scenes were decoded to.
    """
    import torch

    from rarescene.evaluation import OverlapMeter

    device = next(network.parameters()).device
    scenes = ValidationScenes(cache, indices, device)
    segmenter = (WatchedBayesian if hasattr(network, "posterior") else Watched)(network, scenes)
    decided = refresh(segmenter, scenes)
    with torch.inference_mode():
        meter = OverlapMeter(cache.classes.names, cache.classes.ignore_index)
        for place, part in enumerate(scenes.parts):
            if place not in scenes.found:
                segmenter.predict(scenes[place].images)
            ids = cache.take_masks(part)
            groups = [cache.records[index].group for index in part]
            meter.update(scenes.found[place].astype(np.int64), ids.astype(np.int64), groups)
    if not any(one.confusion.any() for one in meter.recordings.values()):
        return None, decided
    result = meter.result()
    return ValidationScores(result.label_mean.iou, {one.name: one.iou for one in result.classes}), decided


def spread(indices: Sequence[int], most: int | None) -> list[int]:
    """Return `most` of the indices, evenly taken; all of them where it is None or not smaller."""
    if most is None or most >= len(indices):
        return list(indices)
    return [indices[place] for place in np.linspace(0, len(indices) - 1, most).round().astype(int)]
