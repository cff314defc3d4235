"""Where the joint generator works: pairs as latents of two VQ-GANs, standardised, side by side."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from rarescene.foundation.console import progress
from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.protocols import Batch, Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.map_codes import fill_ignored
from rarescene.generators.vq_gan import ImageVqGan, MaskVqGan
from rarescene.scenes import ClassTable, SceneCache, alone, cache_root, cut_back, pad_images, pad_masks
from rarescene.training import Batches, Take, load_tensors, save_tensors, to_images, to_masks

IMAGE_VQGAN, MASK_VQGAN = "image_vqgan", "mask_vqgan"
SCALES = "latents.safetensors"
BLOCK = 32
"""Scenes encoded at once."""


@dataclass(frozen=True)
class PairCodec:
    """Two VQ-GANs as one: pairs to latents z = (z_image, z_mask) before the codebooks, and back through them.

    Attributes:
        images: of the images.
        masks: of the masks.
        stride: latent pixels that the diffusion network's height and width must divide by.

    Raises:
        CheckpointError: the two do not fit each other.
    """

    images: ImageVqGan
    masks: MaskVqGan
    stride: int = 1

    def __post_init__(self) -> None:
        remedy = "Train both VQ-GANs on data of one class table, with equally many levels."
        if self.images.table.fingerprint != self.masks.table.fingerprint:
            one, other = self.images.table.name, self.masks.table.name
            raise CheckpointError(
                f"the image VQ-GAN knows classes of {one!r}, the mask one {other!r}", remedy
            )
        if self.images.factor != self.masks.factor:
            what = (
                f"the image VQ-GAN makes {self.images.factor} pixels one and that of masks "
                f"{self.masks.factor}, so their latents cannot lie side by side"
            )
            raise CheckpointError(what, remedy)

    @property
    def table(self) -> ClassTable:
        """The classes of the masks."""
        return self.masks.table

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of z_image and of z_mask."""
        return self.images.channels, self.masks.channels

    @property
    def unit(self) -> int:
        """Pixels that height and width are padded to a multiple of."""
        return self.images.factor * self.stride

    def to(self, device: torch.device | str) -> Self:
        """Move both, and return the codec."""
        self.images.to(device)
        self.masks.to(device)
        return self

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape of the latents of one pair of this size."""
        rows, columns = height + -height % self.unit, width + -width % self.unit
        return sum(self.channels), rows // self.images.factor, columns // self.images.factor

    def encode(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return z of images float `(B, 3, H, W)` and masks int64 `(B, H, W)`, float32 `(B, channels, h, w)`.

        Ignored pixels are painted like the nearest labelled one, so that the generated masks have none. What
        the strides do not divide is padded.
        """
        ignore = self.table.ignore_index
        painted = [fill_ignored(mask, ignore) for mask in pad_masks(masks, self.unit, ignore).cpu().numpy()]
        filled = torch.from_numpy(np.stack(painted)).to(masks)
        return torch.cat(
            [self.images.encode(pad_images(images, self.unit)), self.masks.encode(filled)], dim=1
        ).float()

    def decode(self, z: Tensor, height: int, width: int) -> Pairs:
        """Return the pairs of latents `(B, channels, h, w)`, each quantised by its own codebook.

        A pixel's confidence is the probability of its class.
        """
        of_image, of_mask = z.split(self.channels, dim=1)
        images = cut_back(self.images.decode(of_image), height, width)
        confidence, masks = cut_back(self.masks.decode(of_mask), height, width).max(dim=1)
        return Pairs(images, masks, confidence)

    def save(self, folder: Path) -> None:
        """Write both VQ-GANs to folders of their own."""
        self.images.save(folder / IMAGE_VQGAN)
        self.masks.save(folder / MASK_VQGAN)

    @classmethod
    def load(cls, folder: Path, stride: int) -> Self:
        """Read what `save` wrote. Raises `CheckpointError` when it is damaged."""
        return cls(ImageVqGan.load(folder / IMAGE_VQGAN), MaskVqGan.load(folder / MASK_VQGAN), stride)


@dataclass(frozen=True)
class LatentScales:
    """What the training latents look like, channel by channel, float32 `(channels, 1, 1)` each.

    Diffusion wants signals of variance 1, whichever VQ-GAN they come from. And as pixels lie in [-1, 1], so
    latents lie where those of the training scenes do: there x̂_0 is kept while a pair is generated.

    Attributes:
        mean: of the latents.
        std: of the latents.
        lowest: of the standardised latents.
        highest: likewise.
    """

    mean: Tensor
    std: Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    def of(cls, latents: Tensor) -> Self:
        """Return the scales of training latents `(N, channels, h, w)`."""
        axes = (0, 2, 3)
        mean = latents.mean(dim=axes, keepdim=True, dtype=torch.float64)[0].float()
        std = latents.std(dim=axes, keepdim=True, correction=0)[0]
        std = torch.where(std > 1e-5, std, 1.0)  # a channel that never changes keeps its size
        low, high = (extreme(latents, dim=axes, keepdim=True)[0] for extreme in (torch.amin, torch.amax))
        return cls(mean, std, (low - mean) / std, (high - mean) / std)

    def standardise(self, latents: Tensor) -> Tensor:
        """Return the latents with mean 0 and variance 1 in every channel."""
        return (latents - self.mean) / self.std

    def restore(self, standardised: Tensor) -> Tensor:
        """Return the latents that `standardise` was given."""
        return standardised * self.std + self.mean

    def to(self, device: torch.device | str) -> Self:
        """Return the scales on a device."""
        return type(self)(*(value.to(device) for value in vars(self).values()))

    def save(self, folder: Path) -> None:
        """Write the scales to a folder."""
        save_tensors(vars(self), folder / SCALES)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `CheckpointError` when it is damaged."""
        tensors = load_tensors(folder / SCALES)
        try:
            return cls(**{name: tensors[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            remedy = "Restore the file, or train the generator again."
            raise CheckpointError(f"lacks the {error} of the latents", remedy, folder / SCALES) from error


@torch.no_grad()
def encode_scenes(
    codec: PairCodec,
    take: Take,
    count: int,
    *,
    mirrored: bool,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return the latents of scenes 0 to `count` − 1, and behind them those of their mirror images if wanted.

    Args:
        codec: the VQ-GANs.
        take: gives images uint8 `(B, H, W, 3)` and masks uint8 `(B, H, W)` of scene indices.
        count: number of scenes.
        mirrored: whether mirror images are wanted too.
        device: where the VQ-GANs work.
        progress: called with the scenes encoded and the scenes in all.

    Returns:
        float32 `(count or 2 count, channels, h, w)`, on the CPU and not standardised.
    """
    codec.to(device)
    total = count * (1 + mirrored)
    latents: list[Tensor] = []
    for flip in (False, True)[: 1 + mirrored]:
        for start in range(0, count, BLOCK):
            pixels, ids = take(list(range(start, min(start + BLOCK, count))))
            images, masks = to_images(pixels).to(device), to_masks(ids).to(device)
            if flip:
                images, masks = images.flip(-1), masks.flip(-1)
            latents.append(codec.encode(images, masks).cpu())
            if progress is not None:
                progress(sum(map(len, latents)), total)
    return torch.cat(latents)


class LatentBatches(Batches):
    """Samples batches of latents that were computed beforehand, and not from files.

    A batch's `images` are standardised latents, float32 `(B, channels, h, w)`; its `masks` are int64 `(B,)`,
    the row of each in `latents`, by which the learner finds what the scene shows.

    Args:
        latents: standardised, `(N or 2 N, channels, h, w)`, mirror images behind the scenes.
        scenes: N.
        mirror: chance that a scene's mirror image is taken instead; 0 where there is none.
        batch_size: scenes a step, over all ranks.
        seed: seed of order and mirroring.
        weights: sampling weights of the scenes, or None.
    """

    def __init__(
        self,
        latents: Tensor,
        scenes: int,
        mirror: float,
        batch_size: int,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.latents, self.mirror, self.count = latents, mirror, scenes
        super().__init__(range(scenes), batch_size, seed, weights)

    def read(self, indices: Sequence[int], seeds: Sequence[int]) -> Batch:
        """Return the latents of scenes, some of them mirrored, as each scene's own seed decides."""
        rows = [
            index + self.count * (np.random.default_rng(derive_seed(seed, "mirror")).random() < self.mirror)
            for index, seed in zip(indices, seeds, strict=True)
        ]
        return Batch(self.latents[rows], torch.tensor(rows, dtype=torch.int64), seeds)


_FORMAT = 1


@dataclass(frozen=True)
class TrainingLatents:
    """Latents of N scenes, and behind them those of their mirror images if wanted.

    Attributes:
        standardised: float32 `(N or 2 N, channels, h, w)`, memory-mapped.
        scales: what they were standardised by.
        seconds: what encoding took whoever did it.
    """

    standardised: Tensor
    scales: LatentScales
    seconds: float


def training_latents(
    codec: PairCodec, cache: SceneCache, vqgans: Sequence[str], *, mirrored: bool, device: torch.device | str
) -> TrainingLatents:
    """Encode all scenes of a cache, or find what an earlier run, or another process, made of the same.

    Args:
        codec: the VQ-GANs.
        cache: the training scenes; its folder is addressed by their content.
        vqgans: hashes of the weights of both VQ-GANs.
        mirrored: whether mirror images are wanted too.
        device: where the VQ-GANs work.

    Raises:
        DataError: the file cannot be written, or is damaged.
    """
    from rarescene.generators import LatentScales
    from rarescene.training import load_tensors

    content = json.dumps([_FORMAT, cache.folder.name, *vqgans, codec.stride, mirrored])
    path = cache_root() / f"latents-{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        with alone(path):
            if not path.is_file():
                _encode(codec, cache, path, mirrored, device)
    try:
        tensors = load_tensors(path)
        standardised, seconds = tensors.pop("standardised"), tensors.pop("seconds")
        return TrainingLatents(standardised, LatentScales(**tensors), float(seconds))
    except (CheckpointError, KeyError, TypeError) as error:
        remedy = "Delete this file; the latents are computed again."
        raise DataError("the cached latents cannot be read", remedy, path) from error


def _encode(
    codec: PairCodec, cache: SceneCache, path: Path, mirrored: bool, device: torch.device | str
) -> None:
    import torch

    from rarescene.generators import LatentScales, encode_scenes
    from rarescene.training import save_tensors

    began = time.perf_counter()
    with progress("encoding") as advance:
        latents = encode_scenes(
            codec, cache.take, len(cache), mirrored=mirrored, device=device, progress=advance
        )
    scales = LatentScales.of(latents)
    tensors = {"standardised": scales.standardise(latents), **vars(scales)}
    seconds = torch.tensor(time.perf_counter() - began, dtype=torch.float64)
    save_tensors({**tensors, "seconds": seconds}, path)
