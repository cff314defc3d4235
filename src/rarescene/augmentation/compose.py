"""Several strategies at once, such as GAUDA with classic augmentation (GAUDA, Tables 1 to 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch, Segmenter, Strategy


class Composed:
    """A `Strategy` composed of others, which act in their order.

    Each extends the list that the one before it left, and mixes the batch that the one before it mixed: after
    "gauda, classic" synthetic scenes are cropped and rotated as well. At most one of them may weigh the
    scenes, and none after it may extend their list.

    Args:
        strategies: by name; the names stand in the state and in what a refresh returns.
    """

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        self.strategies = dict(strategies)
        self._lengths: dict[str, int] = {}  # of the list after each

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the list that all of them leave, one after the other."""
        extended: Sequence[int] = list(scenes)
        for name, strategy in self.strategies.items():
            extended = strategy.extend(extended)
            self._lengths[name] = len(extended)
        return extended

    def weights(self) -> Sequence[float] | None:
        """Return the weights of the one that weighs, or None.

        Raises:
            ConfigError: two of them weigh, or one after the one that weighs extended the list.
        """
        weighing = {
            name: weights
            for name, strategy in self.strategies.items()
            if (weights := strategy.weights()) is not None
        }
        if len(weighing) > 1:
            what = f"the strategies {' and '.join(weighing)} both weigh the scenes"
            raise ConfigError(what, "Choose one of them.")
        for name, weights in weighing.items():
            if len(weights) < (length := max(self._lengths.values(), default=0)):
                what = f"{name} weighs {len(weights)} scenes, but {length} are sampled from"
                raise ConfigError(what, f"Name {name} after the strategies that add scenes.")
            return weights
        return None

    def mix(self, batch: Batch) -> Batch:
        """Return the batch that all of them leave, one after the other."""
        for strategy in self.strategies.values():
            batch = strategy.mix(batch)
        return batch

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Let each look, and return what those that decided anything decided, by name."""
        decided = {name: one.refresh(segmenter, validation) for name, one in self.strategies.items()}
        return {name: decision for name, decision in decided.items() if decision}

    def state_dict(self) -> dict[str, Any]:
        """Return the states, by name."""
        return {name: strategy.state_dict() for name, strategy in self.strategies.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the states; raise `CheckpointError` if they are of other strategies or another order."""
        if list(state) != list(self.strategies):
            what = f"the run was started with {', '.join(state)}, not with {', '.join(self.strategies)}"
            raise CheckpointError(what, "Resume it with the same strategies, or start a new run.")
        for name, strategy in self.strategies.items():
            strategy.load_state_dict(state[name])

    def close(self) -> None:
        """End what goes on in the background of any."""
        for strategy in self.strategies.values():
            strategy.close()
