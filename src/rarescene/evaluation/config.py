"""What can be chosen when something is measured. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from rarescene.foundation.configs import FeatureSize, Range, Seed, Settings, ShareBelowOne


@dataclass(frozen=True)
class BootstrapConfig(Settings, section="bootstrap"):
    """How intervals are found: percentiles over resampled recordings.

    Attributes:
        resamples: how often the recordings are drawn anew, with replacement.
        confidence: share of the resamples inside an interval.
        seed: seed of the drawing; the same seed gives the same interval.
    """

    resamples: Annotated[int, Range(1, 1_000_000)] = 2000
    confidence: Annotated[float, Range(above=0, below=1)] = 0.95
    seed: Seed = 0


@dataclass(frozen=True)
class RealismConfig(Settings, section="realism"):
    """How synthetic images are compared with real ones.

    Attributes:
        feature_size: side in pixels at which the embedded EfficientNet-Lite0 looks at the images, a multiple
            of 32.
        inception_weights: a TorchScript file of Inception v3 (`inception-2015-12-05.pt`). With it, FID and
            KID are measured; without it, only the embedded network's distances, which are never called FID.
        kernel_subset: most images in one estimate of the kernel distance.
        kernel_subsets: number of such estimates where there are more images than that.
        bootstrap: how the intervals of PSNR and MS-SSIM are found.
    """

    feature_size: FeatureSize = 128
    inception_weights: Path | None = None
    kernel_subset: Annotated[int, Range(2, 100_000)] = 1000
    kernel_subsets: Annotated[int, Range(1, 100_000)] = 100
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)


@dataclass(frozen=True)
class CopyConfig(Settings, section="copies"):
    """How copies of training frames are looked for.

    Attributes:
        measure: what a distance is taken of: "features" of the embedded EfficientNet-Lite0, which a mirror
            image or a shift hardly changes, or "pixels" of a 32×32 thumbnail.
        quantile: an image is a copy if it lies as near to a training frame as this share of the training
            frames lies to a frame of another recording, or nearer.
        feature_size: side in pixels at which the network looks at the images, a multiple of 32.
    """

    measure: Literal["features", "pixels"] = "features"
    quantile: ShareBelowOne = 0.01
    feature_size: FeatureSize = 128
