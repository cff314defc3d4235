"""Conditional DDPM (Ho et al. 2020, with the map as input): CASDM's first baseline. p(image | mask).

The map is concatenated with the noisy image; blocks, widths, attention and schedule are CASDM's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.protocols import Batch
from rarescene.generators.conditional_ddpm_config import CONDITIONAL_DDPM, ConditionalDdpmConfig
from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner


class ConditionalDdpm(ImageDiffusion[ConditionalDdpmConfig]):
    """A trained conditional DDPM."""

    method = CONDITIONAL_DDPM


class ConditionalDdpmLearner(ImageDiffusionLearner[ConditionalDdpmConfig]):
    """Trains ε̂(x_t ⊕ s, t) with plain MSE."""

    trains = ConditionalDdpm

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch; `loss` is what is minimised."""
        x_0, _, layout = self.scenes(batch)
        t, noise = self.schedule.sample(batch.seeds, x_0)

        # Ho et al. 2020, Eq. 4; the network's stem concatenates x_t and the map.
        x_t = self.schedule.add_noise(x_0, noise, t)
        output = self.network(x_t, t, layout).float()

        # Ho et al. 2020, Eq. 14
        mse = F.mse_loss(output, self.schedule.target(x_0, noise, t))
        return {"loss": mse, "mse": mse}
