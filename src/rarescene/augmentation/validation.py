"""One pass over the validation scenes: scores, and the refresh of the strategies.

A strategy that looks at posterior samples has the network answer for every scene already, and a prediction is
the mean of such samples. So where they are as many as a prediction takes, they are remembered while the
strategy goes through the scenes, and only the other scenes are predicted afterwards. Scores are those of a
prediction either way, so that they compare with those of a run whose strategy asks for nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.augmentation.refresh_log import RefreshLog, refresh_line
from rarescene.foundation.console import say
from rarescene.foundation.protocols import Batch
from rarescene.scenes import SceneCache

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rarescene.augmentation import Composed, Gauda
    from rarescene.augmentation.synthetic_batch import SyntheticBatch
    from rarescene.foundation.protocols import Segmenter

BATCH = 16
"""Scenes that are predicted at once."""


class Validation:
    """What the loop calls at its validations, and what its checkpoints keep of the strategy.

    Every rank looks and decides, and takes the decision of the first.

    Args:
        strategy: all strategies as one.
        reweigh: told the weights of the strategy after each refresh, and after a resume.
        cache: the decoded real scenes.
        indices: those that are validated on.
        folder: of the run.
        steps: of the whole training. At the last one there is nothing left to decide.
        main: whether this process writes and prints.
    """

    def __init__(
        self,
        strategy: Composed,
        reweigh: Callable[[Sequence[float] | None], None],
        cache: SceneCache,
        indices: Sequence[int],
        folder: Path,
        steps: int,
        main: bool,
    ) -> None:
        self.strategy, self.reweigh, self.cache, self.indices = strategy, reweigh, cache, indices
        self.steps, self.main = steps, main
        self.log = RefreshLog(folder, cache.classes, main)
        self.gauda: Gauda | None = strategy.strategies.get("gauda")  # type: ignore[assignment]
        self._pictured: SyntheticBatch | None = None

    def validate(self, step: int, network: Any) -> dict[str, float]:
        """Score the network, let the strategy decide anew, and return the label-mean IoU by name."""
        self._picture()  # a batch that was synthesised in the background since the last refresh
        began = time.perf_counter()
        refresh = self.strategy.refresh if step < self.steps else _decide_nothing
        scores, decided = score_and_refresh(network, self.cache, self.indices, refresh)
        if decided:
            self.reweigh(self.strategy.weights())
        stood = time.perf_counter() - began
        if decided or self.log.lines:
            said = {} if decided else dict(self._since_refresh)
            for name in sorted(decided, key="gauda".__eq__):  # of several that decide, GAUDA says what led
                said |= decided[name]
            line = {"step": step, **scores, **said, "stood": round(stood, 3)}
            self.log.add(line)
            if self.main and decided:
                say(refresh_line(line))
            self._picture()
        return {"validation": scores["validation"]} if scores else {}

    def end(self) -> list[dict[str, Any]]:
        """Return the lines of all refreshes, once the training is over.

        The last one counts what was sampled after the last validation, where that was not at the last step.
        """
        self._picture()
        last = self.log.lines[-1]["step"] if self.log.lines else self.steps
        since = self._since_refresh if last < self.steps else {}
        if since.get("drawn") or since.get("pause"):
            self.log.add({"step": self.steps, **since})
        return self.log.lines

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the strategies, and how many refreshes there were."""
        self._picture()
        return {"strategies": self.strategy.state_dict(), "refreshes": len(self.log.lines)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state: the strategies, their weights, and the log up to there."""
        self.strategy.load_state_dict(state["strategies"])
        self.reweigh(self.strategy.weights())
        self.log.go_on(state["refreshes"])
        self._pictured = None if self.gauda is None else self.gauda.batch

    @property
    def _since_refresh(self) -> Mapping[str, Any]:
        return {} if self.gauda is None else self.gauda.since_refresh

    def _picture(self) -> None:
        """Keep pictures of a synthetic batch that is new."""
        batch = None if self.gauda is None else self.gauda.batch
        if batch is not None and batch is not self._pictured:
            self.log.picture(batch)
            self._pictured = batch


def score_and_refresh(
    network: Any,
    cache: SceneCache,
    indices: Sequence[int],
    refresh: Callable[[Segmenter, Sequence[Batch]], Mapping[str, Any]],
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Let a strategy refresh itself on these scenes; return the scores there, and what it decided.

    The scores are `validation`, the label-mean IoU, and `iou`, that of each class by name, None for one that
    no label shows; there are none without a labelled pixel. They are of the size that the scenes were decoded
    to.
    """
    import torch

    from rarescene.evaluation import OverlapMeter

    scenes = ValidationScenes(cache, indices, next(network.parameters()).device)
    segmenter = (WatchedBayesian if hasattr(network, "posterior") else Watched)(network, scenes)
    decided = refresh(segmenter, scenes)
    meter = OverlapMeter(cache.classes.names, cache.classes.ignore_index)
    with torch.inference_mode():
        for place, part in enumerate(scenes.parts):
            if place not in scenes.predicted:
                segmenter.predict(scenes[place].images)
            groups = [cache.records[index].group for index in part]
            ids = cache.take_masks(part).astype(np.int64)
            meter.update(scenes.predicted[place].astype(np.int64), ids, groups)
    if not any(one.confusion.any() for one in meter.recordings.values()):
        return {}, decided
    result = meter.result()
    iou = {one.name: one.iou for one in result.classes}
    return {"validation": result.label_mean.iou, "iou": iou}, decided


def _decide_nothing(segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
    return {}


class ValidationScenes(Sequence[Batch]):
    """Validation scenes in batches, read when they are asked for.

    Args:
        cache: the decoded scenes.
        indices: which of them.
        device: where images and masks are handed out.

    Attributes:
        predicted: class ids, uint8 `(B, H, W)`, by the place of a batch, as far as they are known.
    """

    def __init__(self, cache: SceneCache, indices: Sequence[int], device: torch.device) -> None:
        self.cache, self.device = cache, device
        self.parts = [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]
        self.predicted: dict[int, np.ndarray] = {}
        self._last: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, place: Any) -> Any:
        """Return the batch of a place, or a list of those of a slice."""
        from rarescene.training import to_images, to_masks

        at = range(len(self.parts))[place]
        if isinstance(at, range):
            return [self[one] for one in at]
        pixels, ids = self.cache.take(self.parts[at])
        images = to_images(pixels).to(self.device)
        self._last = at, images
        return Batch(images, to_masks(ids).to(self.device), self.parts[at])

    def remember(self, images: Tensor, probabilities: Tensor) -> None:
        """Keep the answer `(B, C, H, W)` to the images of the batch that was read last.

        A strategy may ask about other images as well, such as those that it has generated.
        """
        if self._last is not None and images is self._last[1]:
            self.predicted[self._last[0]] = probabilities.argmax(1).cpu().numpy().astype(np.uint8)


class Watched:
    """A segmenter that answers as the network does, and whose predictions are remembered."""

    def __init__(self, network: Any, scenes: ValidationScenes) -> None:
        self.network, self.scenes = network, scenes

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the network's loss."""
        return self.network.loss(images, masks)  # type: ignore[no-any-return]

    def predict(self, images: Tensor) -> Tensor:
        """Return the network's class probabilities `(B, C, H, W)`."""
        found: Tensor = self.network.predict(images)
        self.scenes.remember(images, found)
        return found


class WatchedBayesian(Watched):
    """The same of a segmenter with posterior samples, the mean of which is its prediction (GAUDA, Eq. 7).

    `prediction_samples` of the network says of how many; without it a posterior is no prediction.
    """

    def posterior(self, images: Tensor, samples: int | None = None) -> Tensor:
        """Return posterior samples `(M, B, C, H, W)`."""
        found: Tensor = self.network.posterior(images, samples)
        if len(found) >= (whole := getattr(self.network, "prediction_samples", math.inf)):
            self.scenes.remember(images, found[:whole].mean(0))
        return found


def spread(indices: Sequence[int], most: int | None) -> list[int]:
    """Return `most` of the indices, evenly taken; all of them where it is None or not smaller."""
    if most is None or most >= len(indices):
        return list(indices)
    return [indices[place] for place in np.linspace(0, len(indices) - 1, most).round().astype(int)]
