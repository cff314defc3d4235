"""What a set of phantom scenes is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rarescene.foundation.errors import ConfigError


@dataclass(frozen=True)
class PhantomConfig:
    """A set of phantom videos; equal configurations give equal pixels.

    Attributes:
        videos: number of videos (recordings), each with its own anatomy, light, texture and camera.
        frames: frames a video; neighbours are 1/25 s apart, as in CholecSeg8k.
        height: height of a frame in pixels.
        width: width of a frame in pixels.
        seed: any whole number; another one gives other videos.
        classes: the data set whose classes they have: a cholecystectomy with the 13 of CholecSeg8k, or a
            gastrectomy with the 32 of SISVSE.

    Raises:
        ConfigError: no video, no frame, a frame smaller than 16 × 16 pixels, or unknown classes.
    """

    videos: int = 12
    frames: int = 80
    height: int = 128
    width: int = 128
    seed: int = 0
    classes: Literal["cholecseg8k", "sisvse"] = "cholecseg8k"

    def __post_init__(self) -> None:
        if self.videos < 1 or self.frames < 1:
            raise ConfigError(
                f"{self.videos} phantom videos of {self.frames} frames hold no scene",
                "Ask for at least one video and one frame.",
            )
        if self.classes not in ("cholecseg8k", "sisvse"):
            raise ConfigError(
                f"no phantom scenes have the classes of {self.classes!r}", 'Choose "cholecseg8k" or "sisvse".'
            )
        if self.height < 16 or self.width < 16:
            raise ConfigError(
                f"a phantom frame of {self.width}×{self.height} pixels shows nothing",
                "Ask for at least 16×16 pixels; 64×64 is the smallest size at which every class can be told.",
            )
