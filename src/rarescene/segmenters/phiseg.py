"""PHiSeg (Baumgartner et al., MICCAI 2019): a hierarchy of latents, from coarse to fine, behind each mask.

    p(s | x) = ∫ p(s | z_1, …, z_L) p(z_L | x) Π_{l<L} p(z_l | z_{>l}, x) dz

z_1 is the finest latent, z_L the coarsest; each halves the resolution of the one before. Sampling z_L, …,
z_1 from the prior gives one plausible mask, and sampling again another one. The likelihood network sees the
latents and never the image, so that what may vary between masks has to pass through them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.foundation.seeds import derive_seed
from rarescene.networks import one_hot_layout
from rarescene.segmenters.base import SegmentationNetwork, evaluating
from rarescene.segmenters.phiseg_config import PHiSegConfig
from rarescene.segmenters.unet import convolutions


class Gaussian(NamedTuple):
    """Independent normal distributions, mean and standard deviation `(B, c, h, w)` each."""

    mean: Tensor
    deviation: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """Return the values that standard normal noise `(B or 1, c, h, w)` stands for."""
        return self.mean + self.deviation * noise

    def divergence(self, other: Gaussian) -> Tensor:
        """Return KL(self ‖ other) in nats, summed over all places, `(B,)`."""
        ratio = (self.deviation / other.deviation).square()
        shift = ((self.mean - other.mean) / other.deviation).square()
        return 0.5 * (ratio + shift - 1 - ratio.log()).sum(dim=(1, 2, 3))


class PHiSeg(SegmentationNetwork):
    """Prior, posterior and likelihood networks, trained by the evidence lower bound.

    A prediction is the mean of the softmaxes of `config.samples` posterior samples (GAUDA, Eq. 7).
    """

    config: PHiSegConfig

    def __init__(self, config: PHiSegConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index)
        self.stride = 2 ** (len(config.widths) - 1)
        self.prior = Latents(3, config)
        self.posterior_given_mask = Latents(3 + classes + 1, config)
        self.likelihood = Likelihood(config, classes)

    @property
    def prediction_samples(self) -> int:
        """How many posterior samples, the first ones, a prediction is the mean of."""
        return self.config.samples

    def terms(self, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Return the negative evidence lower bound and what it is made of.

            -ELBO = Σ_l CE_l + Σ_l α_l KL(q(z_l | z_{>l}, s, x) ‖ p(z_l | z_{>l}, x)),   α_l = γ^{l-1}

        CE_l is the cross entropy of level l's mask, in nats summed over the labelled pixels of a scene, and
        so is each KL over its places: the balance between them is that of the bound, whatever the image
        size. γ is `config.kl_growth`, 4 in the paper. A scene without a labelled pixel has no part in it.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1].
            masks: int64 `(B, H, W)` of class ids, the ignore index where unlabelled.

        Returns:
            Scalars. `loss`: the bound over the whole batch, per labelled pixel. `reconstruction`: its first
            sum, per labelled pixel. `kl_1` to `kl_L`: the divergence of each level, unweighted, nats a
            labelled scene.
        """
        prepared = self.prepare(images)
        height, width = prepared.shape[-2:]
        padding = (0, width - images.shape[-1], 0, height - images.shape[-2])
        padded = F.pad(masks, padding, value=self.ignore_index)
        layout = one_hot_layout(padded, self.classes, self.ignore_index)  # (B, C + 1, H, W)

        seen = self.posterior_given_mask.look(torch.cat([prepared, layout - 0.5], dim=1))
        posteriors, latents = self.posterior_given_mask.descend(
            seen, lambda _, q: q.at(torch.randn_like(q.mean))
        )
        priors, _ = self.prior.descend(self.prior.look(prepared), lambda level, _: latents[level])

        labels = layout[:, : self.classes]  # (B, C, H, W), zero where ignored
        labelled = labels.sum(dim=(1, 2, 3))  # pixels of each scene, (B,)
        pixels = labelled.sum().clamp(min=1)
        reconstruction = labels.new_zeros(())
        for level, logits in enumerate(self.likelihood(latents)):
            # All pixels of a cell of level l share their logits: it is enough to count their labels.
            counts = F.avg_pool2d(labels, 2**level) * 4**level
            reconstruction = reconstruction - (counts * logits.float().log_softmax(dim=1)).sum()

        scenes = (labelled > 0).float()
        divergences = [(q.divergence(p) * scenes).sum() for q, p in zip(posteriors, priors, strict=True)]
        weighted = sum(
            self.config.kl_growth**level * divergence for level, divergence in enumerate(divergences)
        )
        loss = (reconstruction + self.config.kl_weight * weighted) / pixels
        each = scenes.sum().clamp(min=1)
        return {"loss": loss, "reconstruction": (reconstruction / pixels).detach()} | {
            f"kl_{level + 1}": (divergence / each).detach() for level, divergence in enumerate(divergences)
        }

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the negative evidence lower bound per labelled pixel; see `terms`."""
        return self.terms(images, masks)["loss"]

    @torch.no_grad()
    def posterior(self, images: Tensor, samples: int | None = None, seed: int = 0) -> Tensor:
        """Return the class probabilities of posterior samples, float32 `(M, B, C, H, W)`.

        Sample m of an image depends on the image, m and the seed alone: all images of one size share the
        noise of sample m, so that neither the batch nor its order matters.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1].
            samples: M; by default `config.samples`.
            seed: seed of the noise.
        """
        height, width = images.shape[-2:]
        with evaluating(self):
            sampled = self._sample(self.prepare(images), samples or self.config.samples, seed)
            return torch.stack([logits[..., :height, :width].float().softmax(dim=1) for logits in sampled])

    def logits(self, images: Tensor) -> Tensor:
        """Return the logarithm of the mean probability over the samples, `(B, C, H, W)`."""
        sampled = [one.float().log_softmax(dim=1) for one in self._sample(images, self.config.samples, 0)]
        return torch.logsumexp(torch.stack(sampled), dim=0)

    def _sample(self, prepared: Tensor, samples: int, seed: int) -> list[Tensor]:
        """Return the logits of each sample at full resolution, `(B, C, H, W)` each."""
        seen = self.prior.look(prepared)
        shapes = [(1, self.config.latent_channels, *features.shape[-2:]) for features in seen]
        found = []
        for sample in range(samples):
            noise = [
                torch.randn(shape, generator=_generator(seed, sample, level)).to(prepared.device)
                for level, shape in enumerate(shapes)
            ]
            _, latents = self.prior.descend(seen, lambda level, p, noise=noise: p.at(noise[level]))  # type: ignore[misc]
            found.append(self.likelihood(latents)[0])
        return found


class Latents(nn.Module):
    """The distributions of z_1, …, z_L, each given what an encoder sees and all coarser latents.

    One such network is the prior p(z_l | z_{>l}, x), another one, with an encoder of its own, the posterior
    q(z_l | z_{>l}, s, x). Levels are counted from 0, the finest, in lists.
    """

    def __init__(self, channels_in: int, config: PHiSegConfig) -> None:
        super().__init__()
        count, widths = config.convolutions, config.widths
        self.first = len(widths) - config.latent_levels  # the resolution level of z_1
        self.encoder = nn.ModuleList(
            convolutions(before, width, count) for before, width in pairwise((channels_in, *widths))
        )
        self.merge = nn.ModuleList(
            convolutions(width + below + config.latent_channels, width)
            for width, below in pairwise(widths[self.first :])
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(width, 2 * config.latent_channels, 1) for width in widths[self.first :]
        )

    def look(self, inputs: Tensor) -> list[Tensor]:
        """Return the encoder's features at the levels of the latents, `(B, widths[k], H/2^k, W/2^k)` each."""
        features = inputs.contiguous(memory_format=torch.channels_last)
        found = []
        for level, block in enumerate(self.encoder):
            features = block(features if level == 0 else F.avg_pool2d(features, 2))
            found.append(features)
        return found[self.first :]

    def descend(
        self, seen: Sequence[Tensor], sample: Callable[[int, Gaussian], Tensor]
    ) -> tuple[list[Gaussian], list[Tensor]]:
        """Go from the coarsest level to the finest; return each level's distribution and what was sampled.

        Args:
            seen: what `look` returned.
            sample: gives the latent of a level, of which the finer levels depend.
        """
        found: list[Gaussian] = []
        latents: list[Tensor] = []
        state = seen[-1]
        for level in reversed(range(len(seen))):
            if latents:
                above = torch.cat([state, latents[-1].to(state.dtype)], dim=1)
                state = self.merge[level](torch.cat([seen[level], _doubled(above)], dim=1))
            mean, spread = self.heads[level](state).float().chunk(2, dim=1)
            # Above 0, so that no divergence is infinite.
            found.append(Gaussian(mean, F.softplus(spread) + 1e-3))
            latents.append(sample(level, found[-1]))
        return found[::-1], latents[::-1]


class Likelihood(nn.Module):
    """p(s | z_1, …, z_L): each level adds its prediction to the enlarged sum of the coarser ones."""

    def __init__(self, config: PHiSegConfig, classes: int) -> None:
        super().__init__()
        levels = config.latent_levels
        widths = config.widths[:levels]  # level l predicts at H/2^l, where the encoder has these channels
        self.enter = nn.ModuleList(convolutions(config.latent_channels, width) for width in widths)
        self.lift = nn.ModuleList(
            nn.ModuleList(convolutions(width, width, 1) for _ in range(len(config.widths) - levels))
            for width in widths
        )
        self.merge = nn.ModuleList(convolutions(width + below, width) for width, below in pairwise(widths))
        self.heads = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths)

    def forward(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of each level, the finest first, `(B, C, H/2^l, W/2^l)`, given z_1 to z_L."""
        found: list[Tensor] = []
        path: Tensor | None = None
        for level in reversed(range(len(latents))):
            features = self.enter[level](latents[level])
            for block in self.lift[level]:  # type: ignore[attr-defined]
                features = block(_doubled(features))
            if path is not None:
                features = self.merge[level](torch.cat([features, _doubled(path)], dim=1))
            path = features  # (B, widths[l], H/2^l, W/2^l)
            said = self.heads[level](path)
            found.append(said + F.interpolate(found[-1], scale_factor=2.0) if found else said)
        return found[::-1]


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear")


def _generator(seed: int, sample: int, level: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, "posterior sample", sample, level))
