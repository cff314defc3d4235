"""Augmentation strategies, one file each: how synthetic pairs join the training of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.augmentation.config import CurationConfig, DuplicateConfig, OfflineConfig
    from rarescene.augmentation.curation import Decision, choose_pairs
    from rarescene.augmentation.duplicate import Duplicate
    from rarescene.augmentation.none import NoAugmentation
    from rarescene.augmentation.offline import Offline

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "CurationConfig": "config",
        "Decision": "curation",
        "Duplicate": "duplicate",
        "DuplicateConfig": "config",
        "NoAugmentation": "none",
        "Offline": "offline",
        "OfflineConfig": "config",
        "choose_pairs": "curation",
    },
)
