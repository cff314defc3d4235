"""How StyleGAN2 learns (Karras et al. 2020): two losses in one step, each of which moves one network alone.

The generator is judged through a discriminator whose weights are detached, and the discriminator judges
images that are detached from the generator. Adam treats every weight by itself, so one optimiser over both
networks and the sum of both losses is two optimisers that step at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.generators.discriminator_views import varied
from rarescene.generators.vq_losses import frozen
from rarescene.networks import StyleGan2Discriminator, StyleGan2Generator
from rarescene.scenes import pad_images
from rarescene.training import Learner

MEMORY = 0.01
"""How fast the mean path length follows: its share of the newest one."""
MEASURED = 10_000
"""Latents that their mean and spread are taken over."""


@dataclass(frozen=True)
class Sampled:
    """What images are generated from.

    Attributes:
        latents: w+ `(B, 2L, D)`.
        noise: of each layer, `(B, 1, h, w)`.
    """

    latents: Tensor
    noise: list[Tensor]


class StyleGan2Learner(Learner):
    """Trains a generator against a discriminator; the generator is what is averaged.

    Args:
        config: sizes, losses and training.
        seed: seed of the weights.
    """

    network: StyleGan2Generator
    path_length: Tensor

    def __init__(self, config: DatasetGanConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = StyleGan2Generator(config.network, config.height, config.width)
            self.discriminator = StyleGan2Discriminator(config.network, *self.network.size)
        self.register_buffer("path_length", torch.zeros(()))

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both losses, and the penalties in the steps that have them."""
        options, seeds = self.config.adversarial, batch.seeds
        real = pad_images(batch.images, self.config.network.stride)  # (B, 3, H, W)
        sampled = sample_latents(self.network, seeds, options.mixing)
        fake = self.network(sampled.latents, sampled.noise)  # (B, 3, H, W)

        judged = frozen(self.discriminator)(self._view(fake, seeds, "drawn"))
        scalars = {"generator": F.softplus(-judged).mean()}  # non-saturating logistic loss

        on_fake = self.discriminator(self._view(fake.detach(), seeds, "drawn"))
        on_real = self.discriminator(self._view(real, seeds, "real"))
        scalars["discriminator"] = F.softplus(on_fake).mean() + F.softplus(-on_real).mean()
        loss = scalars["generator"] + scalars["discriminator"]

        if options.r1_weight and step % options.r1_every == 0:
            scalars["r1"] = gradient_penalty(self.discriminator, self._view(real, seeds, "real"))
            loss = loss + options.r1_every * options.r1_weight / 2 * scalars["r1"]
        if options.path_weight and step % options.path_every == 0:
            scalars["path"] = self._path_penalty(
                seeds[: max(1, len(seeds) // 2)]
            )  # on half a batch, as theirs
            loss = loss + options.path_every * options.path_weight * scalars["path"]
        told_apart = (on_real.detach() > 0).float().mean() + (on_fake.detach() < 0).float().mean()
        return {"loss": loss, "told_apart": told_apart / 2, **scalars}

    def _path_penalty(self, seeds: Sequence[int]) -> Tensor:
        """Return E(‖J_wᵀ y‖ - a)², Eq. 4, a being the moving average of the lengths."""
        own = [derive_seed(seed, "path") for seed in seeds]
        sampled = sample_latents(self.network, own, self.config.adversarial.mixing)
        y = standard_normal(own, "direction", (3, *self.network.size)).to(self.path_length.device)
        lengths = path_lengths(self.network, sampled, y)
        self.path_length.lerp_(lengths.detach().mean(), MEMORY)
        return (lengths - self.path_length).square().mean()

    def _view(self, images: Tensor, seeds: Sequence[int], what: str) -> Tensor:
        options = self.config.adversarial
        own = [derive_seed(seed, what) for seed in seeds]
        return varied(images, own, shift=options.shift, colour=options.colour)


def sample_latents(network: StyleGan2Generator, seeds: Sequence[int], mixing: float) -> Sampled:
    """Return latents and noise, each scene's by its own seed.

    Args:
        network: maps z to w, and says which noise it takes.
        seeds: one a scene.
        mixing: chance that the layers from a random one on take a second latent.
    """
    device, width = network.mean_w.device, network.config.latent
    sizes = [high * wide for high, wide in network.noise_sizes]
    z, noise, cuts = [], [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(derive_seed(seed, "latent"))
        z.append(torch.randn(2, width, generator=generator))
        mixed, cut = torch.rand(2, generator=generator).tolist()
        cuts.append(1 + int(cut * (network.latents - 1)) if mixed < mixing else network.latents)
        noise.append(torch.randn(sum(sizes), generator=generator))
    w = network.mapping(torch.cat(z).to(device)).unflatten(0, (-1, 2))  # (B, 2, D)
    second = torch.arange(network.latents) >= torch.tensor(cuts)[:, None]  # (B, 2L)
    latents = torch.where(second[:, :, None].to(device), w[:, 1:], w[:, :1])
    flat = torch.stack(noise).to(device).split(sizes, dim=1)
    shaped = [
        part.view(-1, 1, *size) for part, size in zip(flat, network.noise_sizes, strict=True)
    ]  # (B, 1, h, w) each
    return Sampled(latents, shaped)


def gradient_penalty(discriminator: torch.nn.Module, images: Tensor) -> Tensor:
    """Return E‖∇D(x)‖² over images `(B, 3, H, W)` (R1, Mescheder et al. 2018)."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(network: torch.nn.Module, sampled: Sampled, y: Tensor) -> Tensor:
    """Return ‖J_wᵀ y‖/√(HW) `(B,)`, the root mean square over the layers' latents.

    Args:
        network: maps latents w+ and noise to images.
        sampled: what images are generated from; their latents require a gradient.
        y: `(B, 3, H, W)`, standard normal.
    """
    images = network(sampled.latents, sampled.noise)
    along = (images * y).sum() / math.sqrt(images[0, 0].numel())
    (gradient,) = torch.autograd.grad(along, sampled.latents, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def standard_normal(seeds: Sequence[int], what: str, shape: tuple[int, ...]) -> Tensor:
    """Return noise `(B, …)`, each scene's by its own seed and by what it is for."""
    noise = [
        torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(seed, what))) for seed in seeds
    ]
    return torch.stack(noise)


def measure_latents(network: StyleGan2Generator, seed: int) -> None:
    """Tell a trained generator the mean and the spread of its latents."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "mean latent"))
    z = torch.randn(MEASURED, network.config.latent, generator=generator)
    network.measure_w(z.to(network.mean_w.device))
