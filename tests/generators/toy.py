"""A toy data set and a toy network, on which every image generator is tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rarescene.generators import ImageDiffusionConfig
from rarescene.networks import SpadeUNetConfig
from rarescene.scenes import ClassTable, SceneClass
from rarescene.training import SceneBatches, TrainingConfig

TABLE = ClassTable(
    "toy",
    (SceneClass(0, "dark", (0, 0, 0)), SceneClass(1, "red", (255, 0, 0)), SceneClass(2, "blue", (0, 0, 255))),
)
TRAINING = TrainingConfig(
    steps=6, batch_size=4, learning_rate=1e-3, mixed_precision="no", log_every=2, save_every=2, ema_decay=0.9
)
NETWORK = SpadeUNetConfig(
    classes=3, base_channels=16, multipliers=(1, 2), blocks_per_level=1, attention_strides=(),
    head_channels=16, spade_hidden=8, patch=2,
)  # fmt: skip


QUICK = replace(NETWORK, patch=1)
"""Learns the toy's colours in a third of the steps: no pixels are folded into channels."""


def toy_scenes() -> tuple[np.ndarray, np.ndarray]:
    """Left and right of a moving border; each class has one colour."""
    masks = np.zeros((12, 16, 16), np.uint8)
    for index in range(12):
        masks[index, :, 2 + index :] = 1 + index % 2
    colours = np.array([[20, 20, 20], [220, 40, 40], [40, 40, 220]], np.uint8)
    return colours[masks], masks


def batches(config: ImageDiffusionConfig) -> SceneBatches:
    images, masks = toy_scenes()
    return SceneBatches(
        lambda index: (images[index], masks[index]), range(12), config.training.batch_size, seed=1
    )


def maps(count: int, height: int = 16, width: int = 16) -> Tensor:
    masks = torch.zeros(count, height, width, dtype=torch.long)
    for index in range(count):
        masks[index, :, 3 + index :] = 1 + index % 2
    return masks


def long_training(config: TrainingConfig = TRAINING) -> TrainingConfig:
    """Enough for `QUICK` to learn the toy's colours."""
    return replace(config, steps=120, learning_rate=3e-3, decay="cosine", log_every=60, save_every=120)


def assert_painted_in_their_colours(images: Tensor, masks: Tensor) -> None:
    levels = (images + 1) * 127.5
    for class_id, colour in enumerate([(20, 20, 20), (220, 40, 40), (40, 40, 220)]):
        painted = levels.permute(0, 2, 3, 1)[masks == class_id].mean(0)
        assert (painted - torch.tensor(colour).float()).abs().max() < 40, (class_id, painted)
