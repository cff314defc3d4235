"""From a configuration to a network with random weights."""

from __future__ import annotations

from rarescene.segmenters.config import (
    Mask2FormerConfig,
    PHiSegConfig,
    SegFormerConfig,
    SegmenterConfig,
    UNetConfig,
    UNetEnsembleConfig,
)
from rarescene.segmenters.network import SegmentationNetwork


def build_segmenter(config: SegmenterConfig, classes: int, ignore_index: int = 255) -> SegmentationNetwork:
    """Return the segmenter that `config` describes; its weights come from torch's global random generator.

    Args:
        config: which network, and its options.
        classes: number of classes C.
        ignore_index: id of the pixels that are not labelled.
    """
    # Each network is imported where it is wanted: transformers alone takes seconds.
    match config:
        case SegFormerConfig():
            from rarescene.segmenters.segformer import SegFormer

            return SegFormer(config, classes, ignore_index)
        case Mask2FormerConfig():
            from rarescene.segmenters.mask2former import Mask2Former

            return Mask2Former(config, classes, ignore_index)
        case UNetConfig():
            from rarescene.segmenters.unet import UNet

            return UNet(config, classes, ignore_index)
        case UNetEnsembleConfig():
            from rarescene.segmenters.unet_ensemble import UNetEnsemble

            return UNetEnsemble(config, classes, ignore_index)
        case PHiSegConfig():
            from rarescene.segmenters.phiseg import PHiSeg

            return PHiSeg(config, classes, ignore_index)
