"""Augmentation strategies, one file each: how synthetic pairs join the training of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.augmentation.adaptive_sampling import AdaptiveSampling, AdaptiveSamplingConfig
    from rarescene.augmentation.base import NoAugmentation
    from rarescene.augmentation.batch_synthesis import Ask, Generate
    from rarescene.augmentation.class_selection import Choice, ClassSelection
    from rarescene.augmentation.classic import Classic, ClassicConfig
    from rarescene.augmentation.compose import Composed
    from rarescene.augmentation.curation import CurationConfig, Decision, choose_pairs
    from rarescene.augmentation.duplicate import Duplicate, DuplicateConfig
    from rarescene.augmentation.gauda import Gauda
    from rarescene.augmentation.gauda_config import DrawingConfig, GaudaConfig, SievingConfig
    from rarescene.augmentation.offline import Offline, OfflineConfig
    from rarescene.augmentation.paste import Paste, PasteConfig

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
