"""Segmenters, one file a method: learned p(mask | image)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.segmenters.base import SegmentationNetwork
    from rarescene.segmenters.mask2former_config import Mask2FormerConfig
    from rarescene.segmenters.phiseg_config import PHiSegConfig
    from rarescene.segmenters.segformer_config import SegFormerConfig
    from rarescene.segmenters.unet_config import UNetConfig
    from rarescene.segmenters.unet_ensemble_config import UNetEnsembleConfig
    from rarescene.segmenters.weights import build_segmenter, load_segmenter, save_segmenter

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
