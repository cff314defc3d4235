"""Floor 1: one training loop for every network, its batches and its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.training.batches import (
        Batches,
        MemberBatches,
        SceneBatches,
        Take,
        to_images,
        to_masks,
        to_pixels,
    )
    from rarescene.training.checkpoints import load_tensors, load_weights, save_tensors, saved
    from rarescene.training.config import TrainingConfig
    from rarescene.training.loop import LOG, Fitted, Learner, fit, learning_rate
    from rarescene.training.ranks import agreed, mean_over_ranks, over_ranks, this_rank, within_memory

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
