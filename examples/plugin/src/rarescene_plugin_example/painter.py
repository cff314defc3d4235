"""An image generator: each class has a colour and a spread, and each pixel is sampled from them."""

import torch
from torch import nn

from rarescene.generators import NetworkGenerator, NetworkLearner

from .painter_config import PAINTER


class Colours(nn.Embedding):
    """Mean and spread `(B, 3, H, W)` at each pixel of masks; behind the classes, what is not labelled."""

    def forward(self, masks):
        mean, log = super().forward(masks.clamp(max=self.num_embeddings - 1)).movedim(3, 1).chunk(2, 1)
        return mean, log.exp()


class Painter(NetworkGenerator):
    method, summary = PAINTER, "Paints each pixel in a colour of its class."

    @classmethod
    def build(cls, config, table):
        return Colours(len(table) + 1, 6)

    @torch.no_grad()
    def generate(self, masks, *, seeds, progress=None):
        mean, spread = self.network(masks.to(self.device))
        noise = [torch.randn(mean.shape[1:], generator=torch.Generator().manual_seed(one)) for one in seeds]
        return (mean + spread * torch.stack(noise).to(mean)).clamp(-1, 1)


class PainterLearner(NetworkLearner):
    trains = Painter

    def forward(self, batch, step):
        mean, spread = self.network(batch.masks)
        return {"loss": (((batch.images - mean) / spread).square() / 2 + spread.log()).mean()}
