"""Strategies that are settled before the training starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rarescene.augmentation.config import ClassicConfig
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.protocols import Batch, Segmenter
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import augment


class FixedStrategy:
    """A `Strategy` that only decides which scenes there are to draw from; a variant overrides `extend`.

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
        """Return None: every scene of the list is drawn alike."""
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


def check_settings(found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if a state was saved by a strategy with other settings."""
    if dict(found) != settings:
        what = f"the run was started with the strategy {dict(found)}, not with {dict(settings)}"
        raise CheckpointError(what, "Resume it with the same strategy and options, or start a new run.")


class NoAugmentation(FixedStrategy):
    """Draws the real scenes, each alike."""

    def __init__(self) -> None:
        super().__init__(strategy="none")


class Classic(FixedStrategy):
    """Changes image and mask of a scene together, drawn from that scene's seed alone.

    Masks are sampled by nearest neighbour; what comes from outside the frame is black in the image and
    ignored in the mask.

    Args:
        config: what may happen, and how often.
        ignore_index: the id of what is not labelled.
    """

    def __init__(self, config: ClassicConfig, ignore_index: int = 255) -> None:
        super().__init__(strategy="classic", **asdict(config))
        self.config, self.ignore_index = config, ignore_index

    def mix(self, batch: Batch) -> Batch:
        """Return the batch with some of its scenes cropped, mirrored or rotated."""
        # Seeds of its own, or a loop that augments as well would have the same scenes changed twice.
        seeds = [derive_seed(seed, "classic") for seed in batch.seeds]
        images, masks = augment(batch.images, batch.masks, seeds, self.config, self.ignore_index)
        return Batch(images, masks, batch.seeds)
