"""What the training loop calls at validations and checkpoints: score the segmenter, refresh the strategy."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rarescene.scenes import SceneCache
from rarescene.workflows.prepared import say
from rarescene.workflows.refreshes import RefreshLog, refresh_line
from rarescene.workflows.validation import look

if TYPE_CHECKING:
    from torch import nn

    from rarescene.augmentation import Gauda, Together
    from rarescene.augmentation.synthetic_batch import Stock
    from rarescene.foundation.protocols import Batch, Segmenter


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
