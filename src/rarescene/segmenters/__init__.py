"""Segmenters, one file a method: learned p(mask | image)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.segmenters.base import SegmentationNetwork
    from rarescene.segmenters.config import (
        SEGMENTERS,
        Mask2FormerConfig,
        PHiSegConfig,
        SegFormerConfig,
        SegmenterConfig,
        UNetConfig,
        UNetEnsembleConfig,
        output_cell,
        training_defaults,
    )
    from rarescene.segmenters.weights import build_segmenter, load_segmenter, save_segmenter

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
