"""From images to latents, as EditGAN does (Ling et al. 2021): an encoder, then gradient descent.

The encoder learns from generated images, whose latents are known, and from real ones, whose
reconstruction is compared with them. The latents of a labelled frame are refined afterwards, each frame's by
itself, until the generator gives that frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rarescene.foundation.errors import DataError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import DatasetGanConfig, RefinementConfig
from rarescene.generators.stylegan2_training import sample_latents
from rarescene.generators.vq_losses import PerceptualDistance
from rarescene.networks import StyleGan2Encoder, StyleGan2Generator
from rarescene.scenes import pad_images
from rarescene.training import Learner


class LatentEncoderLearner(Learner):
    """Trains an encoder for a generator that does not change.

    Args:
        config: sizes, weights and training.
        generator: a trained one, which knows the mean and the spread of its latents.
        seed: seed of the weights.
    """

    network: StyleGan2Encoder

    def __init__(self, config: DatasetGanConfig, generator: StyleGan2Generator, seed: int) -> None:
        super().__init__()
        self.config, self.generator = config, generator.requires_grad_(False)
        self.distance = PerceptualDistance(config.encoder.feature_size)
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "encoder"))
            self.network = StyleGan2Encoder(config.network, *generator.size, generator.mean_w)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch of real images and of as many generated ones."""
        options = self.config.encoder
        with torch.no_grad():
            known = sample_latents(
                self.generator, batch.seeds, self.config.adversarial.mixing
            ).latents  # (B, 2L, D)
            real = pad_images(batch.images, self.config.network.stride)
            images = torch.cat([real, self.generator(known)])  # (2B, 3, H, W)
        found = self.network(images)  # (2B, 2L, D)
        again = self.generator(found)  # (2B, 3, H, W)
        scalars = {
            "mse": (again - images).square().mean(),
            "perceptual": self.distance(again, images).mean(),
            "latents": ((found[len(known) :] - known) / self.generator.spread_w).square().mean(),
        }
        loss = (
            scalars["mse"] + options.perceptual * scalars["perceptual"] + options.latents * scalars["latents"]
        )
        return {"loss": loss, **scalars}


def refine(
    generator: StyleGan2Generator,
    images: Tensor,
    start: Tensor,
    config: RefinementConfig,
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Return latents w+ `(B, 2L, D)` from which these images are generated, each found by itself.

    Args:
        generator: trained; its own fixed noise is used.
        images: `(B, 3, H, W)` in [-1, 1], of the generator's size.
        start: latents to begin with, `(B, 2L, D)`.
        config: how.
        distance: of generated and real images in frozen features, `(B,)`.
    """
    offset = torch.zeros_like(start).requires_grad_()  # in units of the latents' spread
    optimiser = torch.optim.Adam([offset], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, config.steps))
    for _ in range(config.steps):
        again = generator(start + generator.spread_w * offset)
        each = (again - images).square().mean(dim=(1, 2, 3)) + config.perceptual * distance(again, images)
        each = each + config.nearness * offset.square().mean(dim=(1, 2))  # (B,)
        optimiser.zero_grad(set_to_none=True)
        each.sum().backward()  # a sum, so that no frame's step depends on the others
        optimiser.step()
        schedule.step()
    return (start + generator.spread_w * offset).detach()


def choose_frames(class_pixels: np.ndarray, recordings: Sequence[str], count: int, seed: int) -> list[int]:
    """Return the frames that count as annotated: for each class in turn one that shows it, rare ones first.

    Round after round every class, from the one that the fewest frames show on, is given one more frame that
    shows it, by chance from those of the recording that was taken from least. So all classes are shown, if
    there are as many frames as classes, and a rare one in as many frames as a common one, while there are
    any.

    Args:
        class_pixels: `(N, C)`, pixels of each class in each frame.
        recordings: of each frame.
        count: frames wanted; all that show any class, where there are fewer.
        seed: of the choice.

    Raises:
        DataError: no frame shows any class.
    """
    shown = np.asarray(class_pixels) > 0
    if not shown.any():
        raise DataError("no training frame has a label", "Check the masks and the class table of the data.")
    random = np.random.default_rng(derive_seed(seed, "annotated frames"))
    taken = dict.fromkeys(recordings, 0)
    chosen: list[int] = []
    free = np.asarray(shown.any(axis=1))
    rarest_first = np.argsort(shown.sum(axis=0), kind="stable")
    while len(chosen) < count and free.any():
        for class_id in rarest_first:
            showing: list[int] = np.flatnonzero(free & shown[:, class_id]).tolist()
            if not showing or len(chosen) == count:
                continue
            least = min(taken[recordings[index]] for index in showing)
            index = int(random.choice([i for i in showing if taken[recordings[i]] == least]))
            chosen.append(index)
            taken[recordings[index]] += 1
            free[index] = False
    return chosen
