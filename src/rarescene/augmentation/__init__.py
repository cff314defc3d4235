"""Augmentation strategies, one file each: how synthetic pairs join the training of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

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

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
