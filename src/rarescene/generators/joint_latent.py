"""Joint latent diffusion (GAUDA, sections 3.1 and 4.2.2). p(image, mask | request).

Two VQ-GANs turn a pair into latents z_image and z_mask (`latents.py`); one diffusion U-Net generates both at
once, side by side in its channels, so that the mask is that of the image; each is then quantised by its own
codebook and decoded. One file, read as one reads the paper: what is learned (`JointLatentLearner`), what is
then generated (`JointLatent`). What the network is told of a request is in `conditions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.diffusion import Denoiser, Known, NoiseSchedule, SamplingConfig, guided, sample
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch, Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.conditions import Condition, load_condition
from rarescene.generators.image_diffusion import Precisions
from rarescene.generators.joint_latent_config import JointLatentConfig
from rarescene.generators.latents import LatentScales, PairCodec
from rarescene.generators.margins import soft_margin
from rarescene.generators.metadata import DESCRIPTION, read_description, write_description
from rarescene.generators.small_components import remove_specks
from rarescene.scenes import Request, pad_images
from rarescene.training import Learner, load_weights, save_tensors, within_memory

WEIGHTS = "weights.safetensors"


class JointLatentLearner(Learner):
    """Trains ε̂ (z_t, c, t) on the latents of pairs, as `LatentBatches` gives them.

    The paper is silent on whether z is taken before or after the codebook. Here it is before, and decoding
    quantises what was generated: a small error of the diffusion then ends at the right code.

    Args:
        config: sizes, condition, loss and training.
        condition: what the network is told of a request.
        channels: of z_image and of z_mask.
        requests: what the scene of each row of the latents shows.
        seed: seed of the weights.
    """

    def __init__(
        self,
        config: JointLatentConfig,
        condition: Condition,
        channels: tuple[int, int],
        requests: Sequence[Request],
        seed: int,
    ) -> None:
        super().__init__()
        self.config, self.condition, self.channels, self.requests = config, condition, channels, requests
        self.schedule = NoiseSchedule(config.diffusion)
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = condition.network(sum(channels))

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch of latents; `loss` is what is minimised."""
        z_0 = batch.images
        rows = zip(batch.masks.tolist(), batch.seeds, strict=True)
        # with probability p nothing is asked, for Eq. 6
        told = self.condition.inputs([self.condition.thinned(self.requests[row], seed) for row, seed in rows])
        c, asked = (part.to(z_0.device) for part in told)
        t, noise = self.schedule.sample(batch.seeds, z_0)

        z_t = self.schedule.add_noise(z_0, noise, t)
        output = self.network(z_t, t, c, asked).float()

        # Eq. 5: each modality's mean, so that neither counts more for having more channels
        squared = (output - self.schedule.target(z_0, noise, t)).square()
        of_image, of_mask = (part.mean() for part in squared.split(self.channels, dim=1))
        loss = self.config.image_weight * of_image + self.config.mask_weight * of_mask
        return {"loss": loss, "image": of_image, "mask": of_mask}


class JointLatent:
    """A trained joint generator: an image and its mask for a request."""

    name = "joint_latent"

    def __init__(
        self,
        network: nn.Module,
        config: JointLatentConfig,
        codec: PairCodec,
        scales: LatentScales,
        condition: Condition,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config, self.codec, self.scales, self.condition = config, codec, scales, condition
        self.table = codec.table
        self.schedule = NoiseSchedule(config.diffusion)
        self._precisions = Precisions(self.network)

    @property
    def summary(self) -> str:
        """One sentence for a card."""
        asked = "prompts with number and place" if self.condition.words else "the classes that it shows"
        return f"Generates an image and its mask at once; asked for by {asked}."

    @property
    def words(self) -> bool:
        """Whether numbers of pieces and places of a request are supported, or its classes alone."""
        return self.condition.words

    def to(self, device: torch.device | str) -> Self:
        """Move the weights, those of the VQ-GANs too, and return the generator."""
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.codec.to(device)
        self.scales = self.scales.to(device)
        self._precisions = Precisions(self.network)
        return self

    @within_memory("Generate fewer pairs at once (--sampling.block), or in bf16 (--sampling.precision bf16).")
    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        *,
        seeds: Sequence[int],
        sampler: str = "dpm-solver++",
        steps: int = 20,
        guidance: float | None = None,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> Pairs:
        """Generate one pair for each request, whether it keeps it or not.

        Args:
            requests: what the scenes must show; of one that is empty nothing is asked. With the condition
                `labels` the classes alone are listened to: ask for those of a whole scene.
            seeds: one a request; pair i depends on request i and seed i alone.
            sampler: "dpm-solver++", "ddpm" (the paper's, with 1000 steps), "ddim" or "unipc".
            steps: denoising steps.
            guidance: s in ε_∅ + s (ε_c − ε_∅), by default the config's; 1 is no guidance, and twice as fast,
                0 asks for nothing.
            precision: "no" for float32, or "bf16"; the VQ-GANs decode in float32.
            progress: called with the steps done and the steps in all.

        Returns:
            The pairs; the confidence of a pixel is the probability of its class, 0 where a speck was painted
            over.

        Raises:
            ConfigError: no such sampler, too many steps, or guidance of a generator that knows none.
            DeviceError: the device's memory is too small.
        """
        self.check(steps, guidance)
        z = self._sample(
            self._denoiser(requests, guidance, precision),
            self.codec.shape(self.config.height, self.config.width),
            seeds, sampler=sampler, steps=steps, progress=progress,
        )  # fmt: skip
        pairs = self.codec.decode(self.scales.restore(z), self.config.height, self.config.width)
        return self._without_specks(pairs, requests) if self.config.specks else pairs

    @within_memory(
        "Insert into fewer scenes at once (--sampling.block), or in bf16 (--sampling.precision bf16)."
    )
    @torch.no_grad()
    def insert(
        self,
        images: Tensor,
        masks: Tensor,
        regions: Tensor,
        *,
        before: Tensor,
        seeds: Sequence[int],
        margin: int = 2,
        emphasis: float = 1.0,
        sampler: str = "dpm-solver++",
        steps: int = 20,
        guidance: float | None = None,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Draw a region of each scene anew, in the latents; beyond its margin the scene stays as it was.

        All of z_mask is known, that of the mask that the scene shall show, and z_image is known but for the
        latents under the region and its margin. What is decoded takes the place of the scene there.

        See `Inserter`; ε_before and ε_masks are each told the classes of their mask. Further options are
        those of `generate`.

        Raises:
            ConfigError: as of `generate`.
            DeviceError: the device's memory is too small.
        """
        self.check(steps, guidance)
        height, width = masks.shape[-2:]
        images, masks, before = (one.to(self.device) for one in (images, masks, before))
        z_0 = self.scales.standardise(self.codec.encode(images, masks))
        soft, of_image = soft_margin(regions.to(self.device), margin), self.codec.channels[0]
        free = F.adaptive_max_pool2d(pad_images(soft, self.codec.unit), z_0.shape[-2:])
        free = torch.cat([free.expand(-1, of_image, -1, -1), torch.zeros_like(z_0[:, of_image:])], dim=1)
        denoise = self._denoiser(self._shown(masks), guidance, precision)
        if emphasis != 1:
            without = self._denoiser(self._shown(before), guidance, precision)
            denoise = guided(denoise, without, emphasis)
        z = self._sample(
            denoise, z_0.shape[1:], seeds, known=Known(z_0, free), sampler=sampler, steps=steps,
            progress=progress,
        )  # fmt: skip
        drawn = self.codec.decode(self.scales.restore(z), height, width).images
        return torch.where(soft > 0, images + soft * (drawn - images), images)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def _denoiser(self, requests: Sequence[Request], guidance: float | None, precision: str) -> Denoiser:
        """Return the function of z_t and t that the sampler calls, for requests that stay the same: Eq. 6."""
        c, asked = (part.to(self.device) for part in self.condition.inputs(requests))
        network = self._precisions.take(precision)
        return guided(
            lambda z_t, t: network(z_t, t, c, asked),
            lambda z_t, t: network(z_t, t, c, torch.zeros_like(asked)),
            self.config.guidance if guidance is None else guidance,
        )

    def _sample(self, denoise: Denoiser, shape: Sequence[int], seeds: Sequence[int], **how: Any) -> Tensor:
        """Return latents as standardised as those of the training scenes, and within their bounds."""
        return sample(
            denoise, shape, seeds, self.schedule, clamp=(self.scales.lowest, self.scales.highest),
            device=self.device, **how,
        )  # fmt: skip

    def _shown(self, masks: Tensor) -> list[Request]:
        """Return the requests that masks keep."""
        return [Request.from_mask(mask, self.table) for mask in masks.cpu().numpy().astype(np.uint8)]

    def sampling(self, config: SamplingConfig) -> dict[str, Any]:
        """Return the options of `generate`. Raises `ConfigError` for what cannot be done."""
        options = config.settled(steps=20)
        self.check(options["steps"], options["guidance"])
        return options

    def check(self, steps: int, guidance: float | None) -> None:
        """Raise `ConfigError` for what cannot be done."""
        if steps > (most := self.config.diffusion.timesteps):
            raise ConfigError(
                f"sampling.steps is {steps}", f"Take 1 to {most}, the timesteps of the generator."
            )
        if guidance is not None and guidance < 0:
            raise ConfigError(f"sampling.guidance is {guidance}", "Take 0 or more; 1 is no guidance.")
        if guidance not in (None, 1) and not self.config.condition_dropout:
            remedy = "Leave sampling.guidance out, or train with condition_dropout above 0."
            raise ConfigError(
                "this generator was never trained without its condition, and cannot be guided", remedy
            )

    def _without_specks(self, pairs: Pairs, requests: Sequence[Request]) -> Pairs:
        """Return the pairs with small pieces of their masks painted over."""
        generated = pairs.masks.cpu().numpy().astype(np.uint8)
        clean = np.stack(
            [
                remove_specks(mask, self.config.specks, request.ids)
                for mask, request in zip(generated, requests, strict=True)
            ]
        )
        masks = torch.from_numpy(clean).to(pairs.masks)
        confidence = pairs.confidence
        if confidence is not None:
            confidence = confidence.masked_fill(masks != pairs.masks, 0.0)
        return Pairs(pairs.images, masks, confidence)

    def save(self, folder: Path) -> None:
        """Write weights, VQ-GANs (safetensors) and settings (JSON) to a folder that needs no other."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / WEIGHTS)
        self.scales.save(folder)
        self.codec.save(folder)
        write_description(folder, self.name, self.config, self.table, **self.condition.save(folder))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        config, table, settings = read_description(folder, cls.name, JointLatentConfig)
        codec = PairCodec.load(folder, config.network.stride)
        if codec.table.fingerprint != table.fingerprint:
            remedy = "Restore the folder: the generator and its VQ-GANs belong together."
            raise CheckpointError(
                "was trained on other classes than its VQ-GANs", remedy, folder / DESCRIPTION
            )
        condition = load_condition(config, table, folder, settings)
        network = condition.network(sum(codec.channels))
        load_weights(network, folder / WEIGHTS)
        return cls(network, config, codec, LatentScales.load(folder), condition)
