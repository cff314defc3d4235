"""Augmentation strategies, one file each: how synthetic pairs join the training of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.augmentation.adaptive_sampling import AdaptiveSampling
    from rarescene.augmentation.class_turns import Choice, Turns
    from rarescene.augmentation.classic import Classic
    from rarescene.augmentation.config import (
        AdaptiveSamplingConfig,
        ClassicConfig,
        CurationConfig,
        DrawingConfig,
        DuplicateConfig,
        GaudaConfig,
        OfflineConfig,
        SievingConfig,
    )
    from rarescene.augmentation.curation import Decision, choose_pairs
    from rarescene.augmentation.drawing_rounds import Ask, Draw
    from rarescene.augmentation.duplicate import Duplicate
    from rarescene.augmentation.gauda import Gauda
    from rarescene.augmentation.none import NoAugmentation
    from rarescene.augmentation.offline import Offline
    from rarescene.augmentation.together import Together

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "AdaptiveSampling": "adaptive_sampling",
        "AdaptiveSamplingConfig": "config",
        "Ask": "drawing_rounds",
        "Choice": "class_turns",
        "Classic": "classic",
        "ClassicConfig": "config",
        "CurationConfig": "config",
        "Decision": "curation",
        "Draw": "drawing_rounds",
        "DrawingConfig": "config",
        "Duplicate": "duplicate",
        "DuplicateConfig": "config",
        "Gauda": "gauda",
        "GaudaConfig": "config",
        "NoAugmentation": "none",
        "Offline": "offline",
        "OfflineConfig": "config",
        "SievingConfig": "config",
        "Together": "together",
        "Turns": "class_turns",
        "choose_pairs": "curation",
    },
)
