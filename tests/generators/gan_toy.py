"""A DatasetGAN so small that a test may train it."""

from __future__ import annotations

from dataclasses import replace

import torch

from rarescene.generators import DatasetGanConfig
from rarescene.generators.datasetgan_config import (
    LabelBranchConfig,
    LatentEncoderConfig,
    RefinementConfig,
    StyleGan2LossConfig,
)
from rarescene.networks import StyleGan2Config, StyleGan2Generator
from rarescene.training import TrainingConfig

from .toy import TRAINING

GAN_TRAINING = replace(TRAINING, learning_rate=2e-3, betas=(0.0, 0.99), gradient_clip=0.0)
LABEL_TRAINING = TrainingConfig(
    steps=60, batch_size=4, learning_rate=1e-2, ema_decay=0.0, mixed_precision="no", keep=1
)
GAN = DatasetGanConfig(
    height=16,
    width=16,
    network=StyleGan2Config(channels=(8, 12, 16), latent=10, mapping_layers=2),
    adversarial=StyleGan2LossConfig(r1_every=2, path_every=3, shift=0.1, colour=0.5),
    encoder=LatentEncoderConfig(feature_size=32, training=TRAINING),
    refinement=RefinementConfig(frames=4, steps=60, block=3),
    labels=LabelBranchConfig(members=2, hidden=(16, 8), pixels=16, check_every=20, training=LABEL_TRAINING),
    training=GAN_TRAINING,
)


def generator(config: DatasetGanConfig = GAN, seed: int = 3) -> StyleGan2Generator:
    """An untrained generator whose noise is seen, and which knows its latents."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StyleGan2Generator(config.network, config.height, config.width).eval()
        network.measure_w(torch.randn(500, config.network.latent))
    for layer in network.layers:
        layer.strength.data.fill_(0.1)
    return network.requires_grad_(False)


def latents(network: StyleGan2Generator, count: int, seed: int = 0) -> torch.Tensor:
    """Latents w+ that the generator might draw."""
    z = torch.randn(count, network.config.latent, generator=torch.Generator().manual_seed(seed))
    return network.spread(network.mapping(z)).contiguous()
