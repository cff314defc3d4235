"""The VQ-GANs of GAUDA (section 3.1, Eq. 3, 4): images and masks as small latents, and back.

Two autoencoders, trained apart, since the two modalities differ: images by L1, a perceptual distance and a
discriminator; masks by cross entropy and a discriminator. What encodes and decodes (`ImageVqGan`,
`MaskVqGan`), then how it is learned (`ImageVqGanLearner`, `MaskVqGanLearner`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.diffusion import class_weight_map
from rarescene.foundation.errors import DataError
from rarescene.foundation.protocols import Batch
from rarescene.generators.codebook import CodebookCare
from rarescene.generators.network_generator import NetworkGenerator, NetworkLearner
from rarescene.generators.vq_gan_config import (
    IMAGE_VQGAN,
    MASK_VQGAN,
    ImageVqGanConfig,
    MaskVqGanConfig,
    VqGanConfig,
)
from rarescene.generators.vq_losses import PerceptualDistance, adversarial_weight, frozen, hinge_loss
from rarescene.networks import PatchDiscriminator, VqAutoencoder, one_hot_layout
from rarescene.scenes import ClassTable, pad_images, pad_masks

Config = TypeVar("Config", bound=VqGanConfig)


class VqGan(NetworkGenerator[Config]):
    """A trained autoencoder."""

    network: VqAutoencoder

    def __init__(self, network: VqAutoencoder, config: Config, table: ClassTable) -> None:
        super().__init__(network, config, table)
        # One memory layout wherever the weights come from: another sums in another order.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def factor(self) -> int:
        """Pixels, along a side, to one latent pixel."""
        return self.config.network.factor

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.config.network.channels

    @torch.no_grad()
    def codes(self, latents: Tensor) -> Tensor:
        """Return the nearest code of each latent pixel, int64 `(B, h, w)`."""
        return self.network.quantise(latents.to(self.device))[1]

    def _check_size(self, pictures: Tensor) -> None:
        height, width = pictures.shape[-2:]
        if height % self.factor or width % self.factor:
            what = f"{width}×{height} pixels cannot be encoded: {self.factor} does not divide both sides"
            raise DataError(what, "Pad them first with pad_images or pad_masks.")


class ImageVqGan(VqGan[ImageVqGanConfig]):
    """A trained autoencoder of images."""

    method = IMAGE_VQGAN
    summary = "Encodes images as small latents on a codebook, and decodes them."

    @classmethod
    def build(cls, config: ImageVqGanConfig, table: ClassTable) -> VqAutoencoder:
        """Return the network, not trained."""
        return VqAutoencoder(config.network, 3, 3)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the latents of images `(B, 3, H, W)` in [-1, 1].

        Returns:
            Before the codebook, float32 `(B, channels, H/factor, W/factor)`.

        Raises:
            DataError: `factor` does not divide height and width.
        """
        self._check_size(images)
        return self.network.encode(images.to(self.device))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Return the images of latents, which are quantised first: float32 `(B, 3, H, W)` in [-1, 1]."""
        return self.network.decode(latents.to(self.device)).float().clamp(-1, 1)


class MaskVqGan(VqGan[MaskVqGanConfig]):
    """A trained autoencoder of masks."""

    method = MASK_VQGAN
    summary = "Encodes masks as small latents on a codebook, and decodes them to class probabilities."

    @classmethod
    def build(cls, config: MaskVqGanConfig, table: ClassTable) -> VqAutoencoder:
        """Return the network for these classes, not trained."""
        return VqAutoencoder(config.network, len(table) + 1, len(table))

    @torch.no_grad()
    def encode(self, masks: Tensor) -> Tensor:
        """Return the latents of masks, int64 `(B, H, W)` of class ids or the ignore index.

        Returns:
            Before the codebook, float32 `(B, channels, H/factor, W/factor)`.

        Raises:
            DataError: `factor` does not divide height and width, or an id is that of no class.
        """
        self._check_size(masks)
        layout = one_hot_layout(masks.to(self.device), len(self.table), self.table.ignore_index)
        return self.network.encode(layout)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Return class probabilities, float32 `(B, C, H, W)`, of latents, which are quantised first.

        Every pixel is of a class: what is ignored can be encoded, not decoded.
        """
        return self.network.decode(latents.to(self.device)).float().softmax(1)


class Reconstructed(NamedTuple):
    """A batch beside its reconstruction.

    Attributes:
        terms: the parts of the reconstruction loss, scalars that are summed.
        generated: the reconstruction as the discriminator sees it.
        real: likewise what was reconstructed.
    """

    terms: dict[str, Tensor]
    generated: Tensor
    real: Tensor


class VqGanLearner(NetworkLearner[Config]):
    """Trains an autoencoder and its discriminator by one loss.

    The generator's part sees the discriminator with detached weights, the discriminator's part sees
    reconstructions that are detached. So the sum of both losses gives each the gradient of its own alone, and
    one AdamW does what two would; but for `training.gradient_clip`, which scales both by their norm together.

    The discriminator learns from the first step and belongs to the learner: only the autoencoder is averaged
    and kept. λ is found from a batch as a whole: over ranks it is the same, with `training.accumulate` each
    part has its own.
    """

    network: VqAutoencoder

    def __init__(self, config: Config, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed)
        self.care = CodebookCare(config.network.codes, config.network.channels, config.revive_every, seed)

    def initialise(self) -> None:
        """Make the autoencoder, and the discriminator of what it decodes."""
        super().initialise()
        self.discriminator = (
            PatchDiscriminator(self.network.out_channels, self.config.adversarial.widths)
            if self.config.adversarial.weight
            else None
        )

    @property
    def remark(self) -> str:
        """What is worth knowing before the first step."""
        factor, channels = self.config.network.factor, self.config.network.channels
        return f"latents of {-(-self.config.width // factor)}×{-(-self.config.height // factor)}×{channels}"

    @abstractmethod
    def encoded(self, batch: Batch) -> Tensor:
        """Return what the network is given of a batch, padded to its factor."""

    @abstractmethod
    def reconstructed(self, output: Tensor, batch: Batch) -> Reconstructed:
        """Compare the network's output with the batch."""

    def before_step(self, step: int, average: VqAutoencoder) -> None:  # type: ignore[override]
        """Revive dead codes."""
        self.care.renew(step, self.network.codebook, average.codebook)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch and its parts."""
        coded = self.network(self.encoded(batch))
        with torch.autocast(coded.output.device.type, enabled=False):
            terms, generated, real = self.reconstructed(coded.output.float(), batch)
        # Eq. 3, 4
        reconstruction = torch.stack(list(terms.values())).sum()
        loss = reconstruction + coded.quantisation
        scalars = terms | {"quantisation": coded.quantisation}
        if self.discriminator is not None:
            ours = self.config.adversarial
            if step >= ours.from_step:
                adversarial = -frozen(self.discriminator)(generated).float().mean()
                weight = ours.weight * adversarial_weight(
                    reconstruction, adversarial, self.network.last_layer, ours.cap
                )
                loss = loss + weight * adversarial
                scalars |= {"adversarial": adversarial, "adversarial_weight": weight}
            judged = hinge_loss(self.discriminator(real), self.discriminator(generated.detach()))
            loss = loss + judged
            scalars["discriminator"] = judged
        watched = self.care.observe(coded.latents, coded.codes, self.network.codebook, step)
        return {"loss": loss} | scalars | watched


class ImageVqGanLearner(VqGanLearner[ImageVqGanConfig]):
    """Trains the autoencoder of the images (Eq. 3)."""

    trains = ImageVqGan

    def __init__(self, config: ImageVqGanConfig, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed)
        self.perceptual = PerceptualDistance(config.perceptual_size)

    def encoded(self, batch: Batch) -> Tensor:
        """Return the images, padded."""
        return pad_images(batch.images, self.config.network.factor)

    def reconstructed(self, output: Tensor, batch: Batch) -> Reconstructed:
        """Return the L1 distance and the perceptual one."""
        images = self.encoded(batch)
        # Eq. 3
        terms = {
            "l1": (output - images).abs().mean(),
            "perceptual": self.config.perceptual_weight * self.perceptual(output, images).mean(),
        }
        return Reconstructed(terms, output, images)


class MaskVqGanLearner(VqGanLearner[MaskVqGanConfig]):
    """Trains the autoencoder of the masks (Eq. 4)."""

    trains = MaskVqGan

    def __init__(self, config: MaskVqGanConfig, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed)
        self.boost = {table.id_of(name): by for name, by in config.class_aware.class_boost.items()}

    def encoded(self, batch: Batch) -> Tensor:
        """Return the one-hot layout of the masks, with a channel for ignored pixels."""
        return one_hot_layout(self._padded(batch), len(self.table), self.table.ignore_index)

    def reconstructed(self, output: Tensor, batch: Batch) -> Reconstructed:
        """Return the cross entropy over the labelled pixels; the discriminator sees probabilities there."""
        masks, ignore = self._padded(batch), self.table.ignore_index
        labelled = (masks != ignore).float()  # (B, H, W)
        weights = class_weight_map(masks, len(self.table), ignore, self.config.class_aware, self.boost)
        # Eq. 4, of each mask
        entropy = F.cross_entropy(output, masks, ignore_index=ignore, reduction="none")  # (B, H, W)
        of_masks = (weights * entropy).sum((1, 2)) / labelled.sum((1, 2)).clamp_min(1)
        generated = output.softmax(1) * labelled[:, None]  # (B, C, H, W)
        return Reconstructed({"cross_entropy": of_masks.mean()}, generated, self.encoded(batch)[:, :-1])

    def _padded(self, batch: Batch) -> Tensor:
        return pad_masks(batch.masks, self.config.network.factor, self.table.ignore_index)
