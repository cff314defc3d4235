"""Fréchet and kernel distances between two sets of images, in the features of one frozen network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from rarescene.evaluation.config import RealismConfig
from rarescene.evaluation.inception import Inception


class Extractor(Protocol):
    """Anything that turns images `(B, 3, H, W)` in [-1, 1] into features `(B, num_features)`."""

    @property
    def name(self) -> str:
        """What a table calls its features."""
        ...

    @property
    def num_features(self) -> int:
        """The number of features of an image."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `(B, num_features)`."""
        ...


@dataclass(frozen=True)
class Distance:
    """Distances between two sets of images in the features of one network.

    Attributes:
        extractor: the network.
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


class Features(nn.Module):
    """The feature network that torchmetrics sees: features pass through, since they were computed before."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return features `(B, num_features)` as they are."""
        return features
