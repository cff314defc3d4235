"""SDM: semantic diffusion (Wang et al. 2022), CASDM's second baseline. p(image | mask).

CASDM's network and schedule, with plain MSE. It also learns its variance, and is fine-tuned with some maps
left out, so that sampling can be guided away from what it would generate without a map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.diffusion import Denoiser, guided, variational_bound
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.image_diffusion import MODULATION_BUDGET, ImageDiffusion, ImageDiffusionLearner
from rarescene.generators.sdm_config import SDM, SdmConfig
from rarescene.networks import SpadeUNet


class Sdm(ImageDiffusion[SdmConfig]):
    """A trained SDM."""

    method = SDM
    learned_variance = True
    knows_guidance = True

    def check(self, steps: int, guidance: float | None) -> None:
        """Raise `ConfigError` for what cannot be done."""
        super().check(steps, guidance)
        if guidance is not None and guidance < 0:
            raise ConfigError(f"sampling.guidance is {guidance}", "Take 0 or more; 1 is no guidance.")
        if guidance not in (None, 1) and not self.config.finetune_share * self.config.map_dropout:
            remedy = "Leave sampling.guidance out, or train with finetune_share and map_dropout above 0."
            raise ConfigError("this SDM was never trained without its maps, and cannot be guided", remedy)

    def denoiser(self, network: SpadeUNet, layout: Tensor, guidance: float | None) -> Denoiser:
        """Return the function of x_t and t that the sampler calls, for maps that stay the same."""
        scale = self.config.guidance if guidance is None else guidance
        if scale == 1:
            return super().denoiser(network, layout, None)
        # The empty map, which has no class at all, not even "ignored", is one for the whole batch.
        nothing = network.modulate(torch.zeros_like(layout[:1]), budget_bytes=MODULATION_BUDGET)
        maps = network.modulate(layout, budget_bytes=MODULATION_BUDGET - nothing.bytes)
        return guided(lambda x_t, t: network(x_t, t, maps), lambda x_t, t: network(x_t, t, nothing), scale)


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
            layout = self._some_left_out(layout, batch)
        t, noise = self.schedule.sample(batch.seeds, x_0)
        x_t = self.schedule.add_noise(x_0, noise, t)
        output, variance = self.network(x_t, t, layout).float().chunk(2, dim=1)

        # Nichol & Dhariwal 2021, Eq. 14
        mse = F.mse_loss(output, self.schedule.target(x_0, noise, t))
        # Eq. 4, from one timestep a scene
        vlb = len(self.schedule) * variational_bound(x_0, x_t, t, output, variance, self.schedule).mean()
        # Eq. 16
        return {"loss": mse + self.config.variance_weight * vlb, "mse": mse, "vlb": vlb}

    def _some_left_out(self, layout: Tensor, batch: Batch) -> Tensor:
        """Return the maps, some of them replaced by the empty one, as each scene's own seed decides."""
        chances = [
            torch.rand((), generator=torch.Generator().manual_seed(derive_seed(seed, "map dropout")))
            for seed in batch.seeds
        ]
        dropped = torch.stack(chances) < self.config.map_dropout
        return layout.masked_fill(dropped.to(layout.device)[:, None, None, None], 0.0)
