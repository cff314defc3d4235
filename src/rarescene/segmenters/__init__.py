"""Segmenters, one file a method: learned p(mask | image)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.segmenters.build import build_segmenter
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
    from rarescene.segmenters.network import SegmentationNetwork
    from rarescene.segmenters.weights import load_segmenter, save_segmenter

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "Mask2FormerConfig": "config",
        "PHiSegConfig": "config",
        "SEGMENTERS": "config",
        "SegFormerConfig": "config",
        "SegmentationNetwork": "network",
        "SegmenterConfig": "config",
        "UNetConfig": "config",
        "UNetEnsembleConfig": "config",
        "build_segmenter": "build",
        "load_segmenter": "weights",
        "output_cell": "config",
        "save_segmenter": "weights",
        "training_defaults": "config",
    },
)
