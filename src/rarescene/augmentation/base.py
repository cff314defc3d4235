"""Strategies that are settled before the training starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.methods import StrategyMethod
from rarescene.foundation.protocols import Batch, Segmenter


class FixedStrategy:
    """A `Strategy` that only decides which scenes there are to sample from; a variant overrides `extend`.

    Args:
        settings: what the strategy was built from, as JSON values. A run resumed with other settings is
            refused, since its list of scenes would be another one.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the real scenes as they are."""
        return list(scenes)

    def weights(self) -> Sequence[float] | None:
        """Return None: every scene of the list is sampled alike."""
        return None

    def mix(self, batch: Batch) -> Batch:
        """Return the batch untouched."""
        return batch

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Decide nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return dict(self.settings)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that the state is of a strategy with these settings; raise `CheckpointError` if it is not."""
        check_settings(state, self.settings)

    def close(self) -> None:
        """Do nothing: nothing goes on in the background."""


def without_seed(config: Any) -> None:
    """Raise `ConfigError` if a strategy that follows the seed of the run was given one of its own."""
    if config.seed:
        remedy = "Leave it out, and give --seed, which all that is random follows."
        raise ConfigError("the seed of the strategy gives way to the seed of the run", remedy)


def check_settings(found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if a state was saved by a strategy with other settings."""
    if dict(found) != settings:
        what = f"the run was started with the strategy {dict(found)}, not with {dict(settings)}"
        raise CheckpointError(what, "Resume it with the same strategy and options, or start a new run.")


class NoAugmentation(FixedStrategy):
    """Samples the real scenes, each alike."""

    def __init__(self) -> None:
        super().__init__(strategy="none")


NONE = StrategyMethod(name="none", summary="real scenes alone", build=lambda config, around: NoAugmentation())
