"""What can be chosen when something is measured. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rarescene.foundation.configs import check_numbers


@dataclass(frozen=True)
class BootstrapConfig:
    """How intervals are found: percentiles over resampled recordings.

    Attributes:
        resamples: how often the recordings are drawn anew, with replacement.
        confidence: share of the resamples inside an interval.
        seed: seed of the drawing; the same seed gives the same interval.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "resamples", least=1)
        check_numbers(self, "confidence", above=0, below=1)


@dataclass(frozen=True)
class RealismConfig:
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

    feature_size: int = 128
    inception_weights: Path | None = None
    kernel_subset: int = 1000
    kernel_subsets: int = 100
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)

    def __post_init__(self) -> None:
        check_numbers(self, "kernel_subset", least=2)
        check_numbers(self, "kernel_subsets", least=1)


@dataclass(frozen=True)
class CopyConfig:
    """How copies of training frames are looked for.

    Attributes:
        measure: what a distance is taken of: "features" of the embedded EfficientNet-Lite0, which a mirror
            image or a shift hardly changes, or "pixels" of a 32×32 thumbnail.
        quantile: an image is a copy if it lies as near to a training frame as this share of the training
            frames lies to a frame of another recording, or nearer.
        feature_size: side in pixels at which the network looks at the images, a multiple of 32.
    """

    measure: Literal["features", "pixels"] = "features"
    quantile: float = 0.01
    feature_size: int = 128

    def __post_init__(self) -> None:
        check_numbers(self, "quantile", least=0, below=1, within="copies")
