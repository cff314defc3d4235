"""One pass over the validation scenes: what a strategy asks of the segmenter is its prediction, too.

A strategy that looks at posterior samples has the network answer for every scene already, and a prediction is
the mean of such samples. So where they are as many as a prediction takes, they are remembered while the
strategy goes through the scenes, and only the other scenes are predicted afterwards. Scores are those of a
prediction either way, so that they compare with those of a run whose strategy asks for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from rarescene.augmentation.refresh_log import RefreshLog, refresh_line
from rarescene.foundation.console import say
from rarescene.foundation.protocols import Batch
from rarescene.scenes import SceneCache
from rarescene.segmenters.unet_ensemble_config import UNetEnsembleConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from rarescene.augmentation import Gauda, Together
    from rarescene.augmentation.synthetic_batch import Stock
    from rarescene.foundation.protocols import Segmenter

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


class Weighted(Protocol):
    """Batches that can be drawn by other weights."""

    def reweigh(self, weights: Sequence[float] | None) -> None:
        """Draw by other weights from the next step on."""
        ...


class Refreshing:
    """Validates and refreshes, and is what a checkpoint keeps of the strategy.

    Every rank looks and decides, and takes the decision of the first.

    Args:
        plan: the strategies.
        batches: follow the weights of the strategy after each refresh, and after a resume.
        cache: the decoded real scenes.
        indices: those that are validated on.
        folder: of the run.
        steps: of the whole training. At the last one there is nothing left to decide.
        main: whether this process writes and prints.
    """

    def __init__(
        self,
        plan: Together,
        batches: Weighted,
        cache: SceneCache,
        indices: Sequence[int],
        folder: Path,
        steps: int,
        main: bool,
    ) -> None:
        self.plan, self.batches, self.cache, self.indices = plan, batches, cache, indices
        self.steps, self.main = steps, main
        self.log = RefreshLog(folder, cache.classes, main)
        self._pictured: Stock | None = None

    def validate(self, step: int, network: nn.Module) -> dict[str, float]:
        """Score the network, let the strategy decide anew, and return the label-mean IoU by name."""
        self._picture()  # a batch that was drawn in the background since the last refresh
        began = time.perf_counter()
        refresh = self.plan.refresh if step < self.steps else _decide_nothing
        scores, decided = look(network, self.cache, self.indices, refresh)
        if decided:
            self.batches.reweigh(self.plan.weights())
        stood = time.perf_counter() - began
        if decided or self.log.lines:
            known = {} if scores is None else {"validation": scores.mean, "iou": dict(scores.iou)}
            # Of two that decide, GAUDA says what led and what was drawn, adaptive sampling its weights.
            together = {**decided.get("adaptive", {}), **decided.get("gauda", {})}
            if not decided and self._gauda is not None:
                together = dict(self._gauda.since_refresh)
            line = {"step": step, **known, **together, "stood": round(stood, 3)}
            self.log.add(line)
            if self.main and decided:
                say(refresh_line(line))
            self._picture()
        return {} if scores is None else {"validation": scores.mean}

    def end(self) -> list[dict[str, Any]]:
        """Return the lines of all refreshes, once the training is over.

        The last one counts what was drawn after the last validation, where that was not at the last step.
        """
        self._picture()
        last = self.log.lines[-1]["step"] if self.log.lines else self.steps
        since = self._gauda.since_refresh if self._gauda is not None and last < self.steps else {}
        if since.get("drawn") or since.get("pause"):
            self.log.add({"step": self.steps, **since})
        return self.log.lines

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the strategies, and how many refreshes there were."""
        self._picture()
        return {"strategies": self.plan.state_dict(), "refreshes": len(self.log.lines)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state: the strategies, their weights, and the log up to there."""
        self.plan.load_state_dict(state["strategies"])
        self.batches.reweigh(self.plan.weights())
        self.log.go_on(state["refreshes"])
        self._pictured = self._stock

    @property
    def _gauda(self) -> Gauda | None:
        return self.plan.strategies.get("gauda")  # type: ignore[return-value]

    @property
    def _stock(self) -> Stock | None:
        return None if self._gauda is None else self._gauda.stock

    def _picture(self) -> None:
        stock = self._stock
        if stock is not None and stock is not self._pictured:
            self.log.picture(stock)
            self._pictured = stock


def _decide_nothing(segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
    return {}
