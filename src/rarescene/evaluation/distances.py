"""Fréchet and kernel distances between two sets of images, in the features of one frozen network.

True FID and KID are those of Inception v3, whose TorchScript file the user brings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from rarescene.evaluation.config import RealismConfig
from rarescene.foundation.errors import CheckpointError


class Extractor(Protocol):
    """Anything that turns images `(B, 3, H, W)` in [-1, 1] into features `(B, num_features)`."""

    @property
    def name(self) -> str:
        """What a table calls its features."""

    @property
    def num_features(self) -> int:
        """The number of features of an image."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `(B, num_features)`."""


class Inception:
    """The Inception v3 that FID is defined by, as `inception-2015-12-05.pt` of the StyleGAN repositories
    holds it.

    That file is a TorchScript module which takes uint8 images of any size, resizes them to 299 × 299 as the
    TensorFlow original does, and, called with `return_features=True`, gives the 2048 pooled features.
    TorchScript is a program, not a pickle, but still a program: take the file from a source you trust.

    Raises:
        CheckpointError: the file is missing, is no TorchScript, or does not give 2048 features.
    """

    name = "Inception"
    num_features = 2048

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        remedy = "Give the TorchScript file inception-2015-12-05.pt, or none for FD-EffNetLite0."
        if not Path(path).is_file():
            raise CheckpointError("there are no Inception weights", remedy, path)
        try:
            with warnings.catch_warnings():
                # The published file exists in this format alone, so the newer one is no choice.
                warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=DeprecationWarning)
                self.network = torch.jit.load(str(path), map_location=device).eval()
            features = self(torch.zeros(1, 3, 299, 299, device=device))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise CheckpointError(f"is not the TorchScript of Inception ({reason})", remedy, path) from error
        if features.shape != (1, self.num_features):
            what = f"gives features of shape {tuple(features.shape)} instead of (1, {self.num_features})"
            raise CheckpointError(what, remedy, path)

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `(B, 2048)` of images `(B, 3, H, W)` in [-1, 1], which become bytes first."""
        pixels = (127.5 * images.clamp(-1, 1) + 127.5).round().to(torch.uint8)
        with torch.inference_mode():
            features: Tensor = self.network(pixels, return_features=True)
        return features


@dataclass(frozen=True)
class Distance:
    """Distances between two sets of images in the features of one network.

    Attributes:
        frechet_name: what a table must call `frechet`: `FID` for Inception alone, else `FD-` and the network.
        kernel_name: likewise `KID` or `KD-` and the network.
        frechet: squared Fréchet distance of two Gaussians fitted to the features; 0 for equal sets.
        kernel: unbiased squared MMD with the cubic kernel (x·y/d + 1)³; around 0, so also below, for equal
            sets.
        kernel_deviation: its standard deviation over subsets; None if one estimate used all images.
    """

    extractor: str
    frechet_name: str
    kernel_name: str
    frechet: float
    kernel: float
    kernel_deviation: float | None


class FeatureDistances:
    """Fréchet and kernel distance in one network's features: torchmetrics' FID and KID, fed with features.

    The network runs once for both, and outside the metrics: they would call it twice and keep it on their
    device. Sums are kept in double precision on the CPU, where float32 loses what a difference of large
    traces leaves.
    """

    def __init__(self, network: Extractor, config: RealismConfig) -> None:
        self.network = network
        self.config = config
        # One process measures alone: the others of a training by torchrun are not there to be asked.
        self.frechet = FrechetInceptionDistance(feature=Features(network.num_features), sync_on_compute=False)
        with warnings.catch_warnings():
            # Features of a million images at 1280 doubles are 10 GB; the sets compared here are thousands.
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            self.kernel = KernelInceptionDistance(
                feature=Features(network.num_features), subset_size=1, sync_on_compute=False
            )

    def update(self, images: Tensor, real: bool) -> None:
        """Add images `(B, 3, H, W)` in [-1, 1] to the real or to the synthetic ones."""
        features = self.network(images).cpu().double()  # (B, num_features)
        self.frechet.update(features, real=real)
        self.kernel.update(features, real=real)

    def result(self) -> Distance:
        """Return both distances of all images added."""
        counts = [sum(map(len, kept)) for kept in (self.kernel.real_features, self.kernel.fake_features)]
        size = min(self.config.kernel_subset, *counts)
        self.kernel.subset_size = size
        # Where the subset is the whole of both sets, every draw gives the same estimate.
        self.kernel.subsets = 1 if counts == [size, size] else self.config.kernel_subsets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.bootstrap.seed)
            mean, deviation = self.kernel.compute()
        inception = isinstance(self.network, Inception)
        return Distance(
            extractor=self.network.name,
            frechet_name="FID" if inception else f"FD-{self.network.name}",
            kernel_name="KID" if inception else f"KD-{self.network.name}",
            # Rounding of the matrix root can leave equal sets at -1e-4.
            frechet=max(0.0, float(self.frechet.compute())),
            kernel=float(mean),
            kernel_deviation=float(deviation) if self.kernel.subsets > 1 else None,
        )


class Features(nn.Identity):
    """The feature network that torchmetrics sees: features pass through, since they were computed before."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
