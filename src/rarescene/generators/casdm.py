"""CASDM: class-aware semantic diffusion (Zhou et al. 2024), the image side. p(image | mask).

One file, read as one reads the paper. Where the paper is silent or slips, the decisions are in the docstrings
of the losses and of the schedule. What CASDM shares with its baselines is in `image_diffusion.py`.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rarescene.diffusion import (
    clamp_straight_through,
    class_aware_mse,
    class_aware_self_perceptual,
    class_weight_map,
    gradient_norms,
)
from rarescene.foundation.protocols import Batch
from rarescene.generators.casdm_config import CASDM, CasdmConfig
from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner, maps_left_out
from rarescene.scenes import ClassTable


class Casdm(ImageDiffusion[CasdmConfig]):
    """A trained CASDM."""

    method = CASDM

    @property
    def knows_guidance(self) -> bool:
        """Whether it was also trained without maps."""
        return self.config.map_dropout > 0


class CasdmLearner(ImageDiffusionLearner[CasdmConfig]):
    """Trains ε̂(x_t, s, t): class-aware MSE (Eq. 6) and, after a warm-up, self-perceptual loss (Eq. 8).

    Φ is the encoder of `phi`, a frozen snapshot of the averaged network, so that it neither learns nor drifts
    within a step.

    The paper does not say how Eq. 8 is to be weighed over t. Its gradient reaches the output through x̂_0, so
    to it an error of the output counts g_t² = |∂x̂_0/∂output|² times: with ε 0.03 at t = 50, and 9,000 at 950.
    Here the loss of an image is divided by g_t², and its gradient keeps the share λ beside that of Eq. 6 at
    every t, for ε as for v and x0; it is less only where x̂_0 leaves [-1, 1] and is clamped.
    """

    trains = Casdm

    def __init__(self, config: CasdmConfig, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed)
        self.phi = copy.deepcopy(self.network) if config.self_perceptual.weight else None
        if self.phi is not None:
            self.phi.requires_grad_(False)
        self.boost = {table.id_of(name): factor for name, factor in config.class_aware.class_boost.items()}

    def before_step(self, step: int, average: nn.Module) -> None:
        """Take a new snapshot Φ of the averaged weights when one is due."""
        since = step - self.config.perceptual_from
        # Also before the loss sets in: a run that is resumed for fewer steps may already be past its start.
        if self.phi is not None and since % self.config.self_perceptual.refresh_every == 0:
            self.phi.load_state_dict(average.state_dict())

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch; `loss` is what is minimised."""
        settings = self.config.self_perceptual
        x_0, masks, layout = self.scenes(batch)
        weights = class_weight_map(
            masks, len(self.table), self.table.ignore_index, self.config.class_aware, self.boost
        )
        dropped = maps_left_out(batch.seeds, self.config.map_dropout).to(layout.device)[:, None, None]
        layout = layout.masked_fill(dropped[:, None], 0.0)
        # Where the network is told of no class, all pixels count alike, and together what they counted.
        weights = torch.where(dropped, weights.mean(dim=(1, 2), keepdim=True), weights)
        t, noise = self.schedule.sample(batch.seeds, x_0)

        # Eq. 1 in closed form, then Eq. 9: the network also takes the map s.
        x_t = self.schedule.add_noise(x_0, noise, t)
        output = self.network(x_t, t, layout).float()

        # Eq. 6, or Eq. 5 with equal weights
        of_pixels = weights if self.config.pixel_loss == "class_aware" else torch.ones_like(weights)
        camse = class_aware_mse(output, self.schedule.target(x_0, noise, t), of_pixels).mean()
        if self.phi is None or step < self.config.perceptual_from:
            return {"loss": camse, "camse": camse}

        # Eq. 10, with ᾱ_t where the paper prints β_t
        x_0_hat = clamp_straight_through(self.schedule.x0_from(output, x_t, t))
        # Eq. 8: fresh t′ and ε′, the same for both images
        t_fresh, noise_fresh = self.schedule.sample(batch.seeds, x_0, "perceptual", settings.noise_share)
        of_images = class_aware_self_perceptual(
            self.phi.encode, x_0, x_0_hat, weights, t_fresh, noise_fresh, self.schedule,
            pool=settings.pool, squared=settings.squared,
        )  # fmt: skip
        # An error e of the output is ±g e in x̂_0, and Eq. 8, a square, weighs it g² times as much as Eq. 6.
        casp = (of_images / self.schedule.x0_gain(t).square()).mean()
        scalars = {"loss": camse + settings.weight * casp, "camse": camse, "casp": casp}
        if (step + 1) % self.config.training.log_every == 0:
            norms = gradient_norms({"camse": camse, "casp": settings.weight * casp}, output)
            scalars |= {
                f"gradient_{name}": torch.tensor(norm, device=output.device) for name, norm in norms.items()
            }
        return scalars
