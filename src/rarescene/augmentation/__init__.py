"""Augmentation strategies, one file each: how synthetic pairs join the training of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.augmentation.adaptive_sampling import AdaptiveSampling
    from rarescene.augmentation.base import Classic, NoAugmentation
    from rarescene.augmentation.batch_synthesis import Ask, Draw
    from rarescene.augmentation.class_selection import Choice, ClassSelection
    from rarescene.augmentation.compose import Composed
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
    from rarescene.augmentation.duplicate import Duplicate
    from rarescene.augmentation.gauda import Gauda
    from rarescene.augmentation.offline import Offline

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
