"""The VQ-GANs of GAUDA (section 3.1, Eq. 3, 4): images and masks as small latents, and back.

Two autoencoders, trained apart, since the two modalities differ: images by L1, a perceptual distance and a
discriminator; masks by cross entropy and a discriminator. What is learned (`ImageVqGanLearner`,
`MaskVqGanLearner`), then what encodes and decodes (`ImageVqGan`, `MaskVqGan`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.diffusion import class_weight_map
from rarescene.foundation.errors import DataError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.codebook import CodebookCare
from rarescene.generators.metadata import read_description, write_description
from rarescene.generators.vq_gan_config import ImageVqGanConfig, MaskVqGanConfig, VqGanConfig
from rarescene.generators.vq_losses import PerceptualDistance, adversarial_weight, frozen, hinge_loss
from rarescene.networks import PatchDiscriminator, VqAutoencoder, one_hot_layout
from rarescene.scenes import ClassTable, SceneCache, pad_images, pad_masks
from rarescene.training import Learner, load_weights, save_tensors

Config = TypeVar("Config", bound=VqGanConfig)


class Reconstructed(NamedTuple):
    """A batch beside its reconstruction.

    Attributes:
        terms: the parts of the reconstruction loss, scalars that are summed.
        drawn: the reconstruction as the discriminator sees it.
        real: likewise what was reconstructed.
    """

    terms: dict[str, Tensor]
    drawn: Tensor
    real: Tensor


class VqGanLearner(Learner, ABC, Generic[Config]):
    """Trains an autoencoder and its discriminator by one loss.

    The generator's part sees the discriminator with detached weights, the discriminator's part sees
    reconstructions that are detached. So the sum of both losses gives each the gradient of its own alone, and
    one AdamW does what two would; but for `training.gradient_clip`, which scales both by their norm together.

    The discriminator learns from the first step and belongs to the learner: only the autoencoder is averaged
    and kept. λ is found from a batch as a whole: over ranks it is the same, with `training.accumulate` each
    part has its own.
    """

    network: VqAutoencoder

    def __init__(self, config: Config, table: ClassTable, seed: int, channels: tuple[int, int]) -> None:
        super().__init__()
        self.config, self.table = config, table
        sizes = config.network
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = VqAutoencoder(sizes, *channels)
            self.discriminator = (
                PatchDiscriminator(channels[1], config.adversarial.widths)
                if config.adversarial.weight
                else None
            )
        self.care = CodebookCare(sizes.codes, sizes.channels, config.revive_every, seed)

    @classmethod
    def of_scenes(cls, config: Config, scenes: SceneCache, seed: int) -> Self:
        """Return a learner for the classes of the training scenes."""
        return cls(config, scenes.classes, seed)  # type: ignore[call-arg]  # the variants know their channels

    @property
    def remark(self) -> str:
        """What is worth knowing before the first step."""
        factor, channels = self.config.network.factor, self.config.network.channels
        return f"latents of {-(-self.config.width // factor)}×{-(-self.config.height // factor)}×{channels}"

    @abstractmethod
    def generator(self, network: VqAutoencoder) -> VqGan[Config]:
        """Return what encodes and decodes by a trained network."""

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
            terms, drawn, real = self.reconstructed(coded.output.float(), batch)
        # Eq. 3, 4
        reconstruction = torch.stack(list(terms.values())).sum()
        loss = reconstruction + coded.quantisation
        scalars = terms | {"quantisation": coded.quantisation}
        if self.discriminator is not None:
            ours = self.config.adversarial
            if step >= ours.from_step:
                adversarial = -frozen(self.discriminator)(drawn).float().mean()
                weight = ours.weight * adversarial_weight(
                    reconstruction, adversarial, self.network.last_layer, ours.cap
                )
                loss = loss + weight * adversarial
                scalars |= {"adversarial": adversarial, "adversarial_weight": weight}
            judged = hinge_loss(self.discriminator(real), self.discriminator(drawn.detach()))
            loss = loss + judged
            scalars["discriminator"] = judged
        watched = self.care.observe(coded.latents, coded.codes, self.network.codebook, step)
        return {"loss": loss} | scalars | watched


class ImageVqGanLearner(VqGanLearner[ImageVqGanConfig]):
    """Trains the autoencoder of the images (Eq. 3)."""

    def __init__(self, config: ImageVqGanConfig, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed, (3, 3))
        self.perceptual = PerceptualDistance(config.perceptual_size)

    def generator(self, network: VqAutoencoder) -> ImageVqGan:
        """Return what encodes and decodes images by a trained network."""
        return ImageVqGan(network, self.config, self.table)

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

    def __init__(self, config: MaskVqGanConfig, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed, (len(table) + 1, len(table)))
        self.boost = {table.id_of(name): by for name, by in config.class_aware.class_boost.items()}

    def generator(self, network: VqAutoencoder) -> MaskVqGan:
        """Return what encodes and decodes masks by a trained network."""
        return MaskVqGan(network, self.config, self.table)

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
        drawn = output.softmax(1) * labelled[:, None]  # (B, C, H, W)
        return Reconstructed({"cross_entropy": of_masks.mean()}, drawn, self.encoded(batch)[:, :-1])

    def _padded(self, batch: Batch) -> Tensor:
        return pad_masks(batch.masks, self.config.network.factor, self.table.ignore_index)


class VqGan(ABC, Generic[Config]):
    """A trained autoencoder.

    Attributes:
        name: of the method, as written to `generator.json` and to run records.
        settings: the class of its config.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    settings: ClassVar[type[VqGanConfig]]

    def __init__(self, network: VqAutoencoder, config: Config, table: ClassTable) -> None:
        # One memory layout wherever the weights come from: another sums in another order.
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.table = config, table

    @classmethod
    @abstractmethod
    def build(cls, config: Config, table: ClassTable) -> VqAutoencoder:
        """Return the network for these classes, not trained."""

    @property
    def factor(self) -> int:
        """Pixels, along a side, to one latent pixel."""
        return self.config.network.factor

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.config.network.channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.codebook.device

    def to(self, device: torch.device | str) -> Self:
        """Move the weights, and return the autoencoder."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def codes(self, latents: Tensor) -> Tensor:
        """Return the nearest code of each latent pixel, int64 `(B, h, w)`."""
        return self.network.quantise(latents.to(self.device))[1]

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and settings (JSON) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / "weights.safetensors")
        write_description(folder, self.name, self.config, self.table)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        config, table, _ = read_description(folder, cls.name, cls.settings)
        network = cls.build(config, table)  # type: ignore[arg-type]  # `settings` is the class of Config
        load_weights(network, folder / "weights.safetensors")
        return cls(network, config, table)  # type: ignore[arg-type]

    def _check_size(self, pictures: Tensor) -> None:
        height, width = pictures.shape[-2:]
        if height % self.factor or width % self.factor:
            what = f"{width}×{height} pixels cannot be encoded: {self.factor} does not divide both sides"
            raise DataError(what, "Pad them first with pad_images or pad_masks.")


class ImageVqGan(VqGan[ImageVqGanConfig]):
    """A trained autoencoder of images."""

    name = "image_vqgan"
    summary = "Encodes images as small latents on a codebook, and decodes them."
    settings = ImageVqGanConfig

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

    name = "mask_vqgan"
    summary = "Encodes masks as small latents on a codebook, and decodes them to class probabilities."
    settings = MaskVqGanConfig

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
