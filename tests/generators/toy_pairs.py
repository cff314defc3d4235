"""Toy VQ-GANs with exact latents, and toy pairs: what the joint generator is tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.generators import (
    ImageVqGan,
    JointLatent,
    JointLatentConfig,
    JointLatentLearner,
    LabelCondition,
    LatentBatches,
    LatentScales,
    MaskVqGan,
    PairCodec,
    encode_scenes,
)
from rarescene.networks import PromptUNetConfig
from rarescene.scenes import ClassTable, Request
from rarescene.training import TrainingConfig

from .toy import TABLE

FACTOR = 4
CONFIG = JointLatentConfig(
    height=16, width=16, horizontal_flip=0.0, guidance=1.0,
    network=PromptUNetConfig(
        channels=(32, 32), attention_strides=(2,), blocks_per_level=1, head_channels=16, prompt_channels=16
    ),
    training=TrainingConfig(
        steps=6, batch_size=4, learning_rate=1e-3, mixed_precision="no", log_every=2, save_every=2,
        ema_decay=0.9,
    ),
)  # fmt: skip


class ToyImages:
    """Folds 4×4 pixels into channels: encoding and decoding are exact."""

    factor, channels = FACTOR, 3 * FACTOR**2

    def __init__(self, table: ClassTable = TABLE) -> None:
        self.table = table

    def to(self, device: torch.device | str) -> Self:
        return self

    def encode(self, images: Tensor) -> Tensor:
        return 5 + 3 * F.pixel_unshuffle(images, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        return F.pixel_shuffle((latents - 5) / 3, self.factor).clamp(-1, 1)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class ToyMasks(ToyImages):
    """Likewise for masks of three classes; pixels are quantised to the likeliest class."""

    channels = 3 * FACTOR**2

    def encode(self, masks: Tensor) -> Tensor:
        return 2 * F.pixel_unshuffle(F.one_hot(masks, 3).permute(0, 3, 1, 2).float(), self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        return (4 * F.pixel_shuffle(latents, self.factor)).softmax(1)


def codec(config: JointLatentConfig = CONFIG, **parts: Any) -> PairCodec:
    images, masks = parts.get("images", ToyImages()), parts.get("masks", ToyMasks())
    return PairCodec(cast(ImageVqGan, images), cast(MaskVqGan, masks), config.network.stride)


def two_scenes() -> tuple[np.ndarray, np.ndarray]:
    """Red scenes with a red mask, blue ones with a blue mask; nothing else tells them apart."""
    colours = np.array([[220, 40, 40], [40, 40, 220]], np.uint8)
    ids = np.arange(8) % 2
    masks = np.zeros((8, 16, 16), np.uint8)
    masks[:, 4:12, 4:12] = 1 + ids[:, None, None]
    return np.where(masks[..., None] > 0, colours[ids][:, None, None], np.uint8(20)), masks


def prepared(
    config: JointLatentConfig = CONFIG,
) -> tuple[JointLatentLearner, LatentBatches, PairCodec, LatentScales]:
    images, masks = two_scenes()
    made = codec(config)
    mirrored = config.horizontal_flip > 0
    latents = encode_scenes(made, lambda index: (images[index], masks[index]), len(masks), mirrored=mirrored)
    scales = LatentScales.of(latents)
    shown = [Request.from_mask(mask, TABLE) for mask in (*masks, *masks[:, :, ::-1])]
    learner = JointLatentLearner(config, LabelCondition(config, TABLE), made.channels, shown, seed=0)
    batches = LatentBatches(
        scales.standardise(latents), len(masks), config.horizontal_flip, config.training.batch_size, seed=1
    )
    return learner, batches, made, scales


def untrained(config: JointLatentConfig = CONFIG, seed: int = 0) -> JointLatent:
    """A generator whose output depends on everything."""
    learner, _, made, scales = prepared(config)
    generator = torch.Generator().manual_seed(seed)
    for weight in learner.network.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return JointLatent(learner.network, config, made, scales, learner.condition)
