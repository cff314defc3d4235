"""Floor 1: one training loop for every network, its batches and its checkpoints."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "Batches": "batches",
        "Fitted": "loop",
        "LOG": "loop",
        "Learner": "loop",
        "MemberBatches": "batches",
        "SceneBatches": "batches",
        "Take": "batches",
        "TrainingConfig": "config",
        "agreed": "ranks",
        "fit": "loop",
        "learning_rate": "loop",
        "mean_over_ranks": "ranks",
        "over_ranks": "ranks",
        "load_tensors": "checkpoints",
        "load_weights": "checkpoints",
        "this_rank": "ranks",
        "save_tensors": "checkpoints",
        "to_images": "batches",
        "to_masks": "batches",
        "to_pixels": "batches",
        "within_memory": "memory",
    },
)

if TYPE_CHECKING:
    from rarescene.training.batches import MemberBatches, SceneBatches, to_images, to_masks, to_pixels
    from rarescene.training.checkpoints import load_tensors, load_weights, save_tensors
    from rarescene.training.config import TrainingConfig
    from rarescene.training.loop import LOG, Fitted, Learner, fit, learning_rate
    from rarescene.training.memory import within_memory
    from rarescene.training.ranks import agreed, mean_over_ranks, over_ranks, this_rank
