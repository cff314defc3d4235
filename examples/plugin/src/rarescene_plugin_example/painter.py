"""An image generator: each class has a colour and a spread, and each pixel draws from them."""

import torch
from torch import nn

from rarescene.generators.metadata import read_description, write_description
from rarescene.training import Learner, load_weights, save_tensors

from .painter_config import PainterConfig


class Painter(nn.Module):
    """p(image | mask), as a network and as what generates by it."""

    name, summary = "painter", "Paints each pixel in a colour of its class."

    def __init__(self, config, table):
        super().__init__()
        self.config, self.table = config, table
        self.mean, self.log = (nn.Parameter(torch.zeros(len(table) + 1, 3)) for _ in range(2))

    def forward(self, masks):
        ids = masks.clamp(max=len(self.table))  # (B, H, W); behind the classes, what is not labelled
        return self.mean[ids].movedim(3, 1), self.log[ids].movedim(3, 1).exp()  # (B, 3, H, W) each

    def sampling(self, config):
        return {}  # the options of `generate` that `--sampling.*` sets: it has none

    @torch.no_grad()
    def generate(self, masks, *, seeds, progress=None):
        mean, spread = self(masks.to(self.mean.device))
        draws = [torch.randn(mean.shape[1:], generator=torch.Generator().manual_seed(one)) for one in seeds]
        return (mean + spread * torch.stack(draws).to(mean)).clamp(-1, 1)

    def save(self, folder):
        save_tensors(self.state_dict(), folder / "weights.safetensors")
        write_description(folder, self.name, self.config, self.table)

    @classmethod
    def load(cls, folder):
        config, table, _ = read_description(folder, cls.name, PainterConfig)
        load_weights(painter := cls(config, table), folder / "weights.safetensors")
        return painter


class PainterLearner(Learner):
    """Maximises the likelihood of the pixels."""

    def __init__(self, config, scenes, seed):
        super().__init__()
        self.network = Painter(config, scenes.classes)

    def forward(self, batch, step):
        mean, spread = self.network(batch.masks)
        return {"loss": (((batch.images - mean) / spread).square() / 2 + spread.log()).mean()}

    def generator(self, network):
        return network
