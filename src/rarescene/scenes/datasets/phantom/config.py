"""What a set of phantom scenes is made of."""

from __future__ import annotations

from dataclasses import dataclass

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

    Raises:
        ConfigError: no video, no frame, or a frame smaller than 16 × 16 pixels.
    """

    videos: int = 12
    frames: int = 80
    height: int = 128
    width: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.videos < 1 or self.frames < 1:
            raise ConfigError(
                f"{self.videos} phantom videos of {self.frames} frames hold no scene",
                "Ask for at least one video and one frame.",
            )
        if self.height < 16 or self.width < 16:
            raise ConfigError(
                f"a phantom frame of {self.width}×{self.height} pixels shows nothing",
                "Ask for at least 16×16 pixels; 64×64 is the smallest size at which every class can be told.",
            )
