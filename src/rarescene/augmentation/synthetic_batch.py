"""A synthetic batch at hand: as uint8, so that a saved one is the very same after it was read back."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rarescene.foundation.protocols import Pairs
from rarescene.training import to_images, to_masks, to_pixels


@dataclass(frozen=True)
class SyntheticBatch:
    """Synthetic scenes.

    Attributes:
        images: uint8 `(N, H, W, 3)`.
        masks: uint8 `(N, H, W)` of class ids.
    """

    images: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, pairs: Pairs) -> SyntheticBatch:
        """Return generated pairs, rounded."""
        return cls(to_pixels(pairs.images), pairs.masks.cpu().numpy().astype(np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[SyntheticBatch]) -> SyntheticBatch:
        """Return several, at least one, as one."""
        images, masks = ([getattr(part, name) for part in parts] for name in ("images", "masks"))
        return cls(np.concatenate(images), np.concatenate(masks))

    def take(self, places: list[int]) -> SyntheticBatch:
        """Return some of the scenes."""
        return SyntheticBatch(self.images[places], self.masks[places])

    @cached_property
    def pairs(self) -> Pairs:
        """The scenes as tensors."""
        return Pairs(to_images(self.images), to_masks(self.masks))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; pixels are deflated and written in base64."""
        return {"shape": list(self.masks.shape), "images": _packed(self.images), "masks": _packed(self.masks)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SyntheticBatch:
        """Return what `to_dict` wrote."""
        shape = value["shape"]
        return cls(_unpacked(value["images"], (*shape, 3)), _unpacked(value["masks"], shape))


def _packed(pixels: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(pixels).tobytes(), 1)).decode("ascii")


def _unpacked(text: str, shape: Sequence[int]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(shape)
