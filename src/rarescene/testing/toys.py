"""Small scenes and requests on which methods are checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rarescene.scenes import ClassTable, Colour, Request, SceneCache, SceneClass, SceneRecord
from rarescene.training import to_images, to_masks

IGNORE = 255
LOOKS: dict[str, Colour] = {
    "sky": (25, 127, 191), "rose": (216, 64, 127), "grass": (140, 242, 89), "wood": (76, 13, 13),
    "disc": (242, 229, 242),
}  # fmt: skip
TABLE = ClassTable("toy", tuple(SceneClass(i, *look) for i, look in enumerate(LOOKS.items())), IGNORE)


def toy_scenes(count: int, height: int = 64, width: int = 64, seed: int = 1) -> SceneCache:
    """Return scenes of two recordings: four quarters, a disc of a fifth class, and the colour tells."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    masks = np.empty((count, height, width), np.uint8)
    for mask in masks:
        (row, column), (y, x) = ((0.3 + 0.4 * draw.random((2, 2))) * (height, width)).astype(int)
        mask[:] = 2 * (rows > row) + (columns > column)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < (min(height, width) // 5) ** 2] = 4
    colours = np.array(list(LOOKS.values()))
    noise = draw.normal(0, 12, (*masks.shape, 3))
    images = (colours[masks] + noise).clip(0, 255).astype(np.uint8)
    pixels = np.array([np.bincount(mask.ravel(), minlength=len(TABLE)) for mask in masks])
    records = tuple(SceneRecord(f"scene {i}", f"recording {i % 2}", i // 2) for i in range(count))
    where = Path("toy scenes")  # nothing lies there: all of them are in memory
    return SceneCache(where, "toy", TABLE, "none", records, images, masks, pixels, np.arange(count))


def toy_batch(count: int, height: int = 64, width: int = 64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return images `(B, 3, H, W)` in [-1, 1] and masks `(B, H, W)` of such scenes."""
    images, masks = toy_scenes(count, height, width, seed).take(range(count))
    return to_images(images), to_masks(masks)


def toy_requests(*texts: str) -> list[Request]:
    """Return requests for the classes of the toy, by default three different ones."""
    return [Request.parse(text, TABLE) for text in texts or ("rose; disc", "", "grass: one; wood: two")]


class ToySegmenter:
    """Bayesian: answers every pixel alike, so that a strategy that looks has something to look at."""

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return a loss that nobody minimises."""
        return images.mean()

    def predict(self, images: Tensor) -> Tensor:
        """Return uniform probabilities."""
        return torch.full((len(images), len(TABLE), *images.shape[-2:]), 1 / len(TABLE))

    def posterior(self, images: Tensor, samples: int | None = None) -> Tensor:
        """Return the same in each sample."""
        return self.predict(images).expand(samples or 2, -1, -1, -1, -1)


def moved_off_zero(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return the network after all its weights were moved, since an untrained one may answer 0 to all."""
    draw = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=draw)
    return network


def equal(one: Any, other: Any) -> bool:
    """Say whether the weights of two networks, or the tensors of two outcomes, are equal to the bit."""
    if isinstance(one, nn.Module):
        one, other = one.state_dict().values(), other.state_dict().values()
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is gone afterwards; its name has what names may have."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "a run, 50 %"
