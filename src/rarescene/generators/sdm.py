"""SDM: semantic diffusion (Wang et al. 2022), CASDM's second baseline. p(image | mask).

CASDM's network and schedule, with plain MSE. It also learns its variance, and is fine-tuned with some maps
left out, so that sampling can be guided away from what it would generate without a map.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rarescene.diffusion import variational_bound
from rarescene.foundation.protocols import Batch
from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner, maps_left_out
from rarescene.generators.sdm_config import SDM, SdmConfig


class Sdm(ImageDiffusion[SdmConfig]):
    """A trained SDM."""

    method = SDM
    learned_variance = True

    @property
    def knows_guidance(self) -> bool:
        """Whether it was also trained without maps."""
        return self.config.finetune_share * self.config.map_dropout > 0

    @property
    def usual_guidance(self) -> float:
        """Scale of guidance unless a call says otherwise: the config's."""
        return self.config.guidance


class SdmLearner(ImageDiffusionLearner[SdmConfig]):
    """Trains ε̂(x_t, s, t) with plain MSE, and its variance with the variational bound.

    From `config.finetune_from` on, maps are dropped and the learning rate is lower: SDM's two runs as one.
    """

    trains = Sdm

    def rate(self, step: int) -> float:
        """Return the factor on the learning rate of a step."""
        return self.config.finetune_rate if step >= self.config.finetune_from else 1.0

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch; `loss` is what is minimised, `vlb` is in bits a dimension."""
        x_0, _, layout = self.scenes(batch)
        if step >= self.config.finetune_from:
            dropped = maps_left_out(batch.seeds, self.config.map_dropout).to(layout.device)
            layout = layout.masked_fill(dropped[:, None, None, None], 0.0)
        t, noise = self.schedule.sample(batch.seeds, x_0)
        x_t = self.schedule.add_noise(x_0, noise, t)
        output, variance = self.network(x_t, t, layout).float().chunk(2, dim=1)

        # Nichol & Dhariwal 2021, Eq. 14
        mse = F.mse_loss(output, self.schedule.target(x_0, noise, t))
        # Eq. 4, from one timestep a scene
        vlb = len(self.schedule) * variational_bound(x_0, x_t, t, output, variance, self.schedule).mean()
        # Eq. 16
        return {"loss": mse + self.config.variance_weight * vlb, "mse": mse, "vlb": vlb}
