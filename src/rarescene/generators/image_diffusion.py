"""What the diffusion models p(image | mask) share: CASDM, SDM and the conditional DDPM.

A method adds its loss (`ImageDiffusionLearner.forward`) and, where it differs, how its network denoises
(`ImageDiffusion.denoiser`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from rarescene.diffusion import Denoiser, Known, NoiseSchedule, SamplingConfig, guided, sample
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.image_diffusion_config import ImageDiffusionConfig
from rarescene.generators.margins import soft_margin
from rarescene.generators.network_generator import NetworkGenerator, NetworkLearner
from rarescene.networks import SpadeUNet, one_hot_layout
from rarescene.scenes import ClassTable, cut_back, pad_images, pad_masks
from rarescene.training import within_memory
from rarescene.training.ranks import sensible_precision

MODULATION_BUDGET = 4 * 2**30  # bytes of γ and β kept while a block of images is generated

Config = TypeVar("Config", bound=ImageDiffusionConfig)


class ImageDiffusionLearner(NetworkLearner[Config]):
    """Trains a network on noisy scenes and their maps."""

    network: SpadeUNet

    def __init__(self, config: Config, table: ClassTable, seed: int) -> None:
        super().__init__(config, table, seed)
        self.schedule = NoiseSchedule(config.diffusion)

    def scenes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_0, the masks, both padded to the network's stride, and the one-hot layout of the masks."""
        stride, ignore_index = self.config.network.stride, self.table.ignore_index
        x_0, masks = pad_images(batch.images, stride), pad_masks(batch.masks, stride, ignore_index)
        return x_0, masks, one_hot_layout(masks, len(self.table), ignore_index)


def maps_left_out(seeds: Sequence[int], chance: float) -> Tensor:
    """Return whose map is left out of a training step, bool `(B,)`, as each scene's own seed decides."""
    draws = [
        torch.rand((), generator=torch.Generator().manual_seed(derive_seed(seed, "map dropout")))
        for seed in seeds
    ]
    return torch.stack(draws) < chance


class ImageDiffusion(NetworkGenerator[Config]):
    """A trained p(image | mask).

    Attributes:
        learned_variance: whether the network predicts the variance too.
    """

    summary = "Generates an image for a mask."
    learned_variance: ClassVar[bool] = False

    def __init__(self, network: SpadeUNet, config: Config, table: ClassTable) -> None:
        super().__init__(network, config, table)
        self.schedule = NoiseSchedule(config.diffusion)
        self._precisions = Precisions(self.network)

    @classmethod
    def build(cls, config: Config, table: ClassTable) -> SpadeUNet:
        """Return the network for these classes, not trained."""
        return SpadeUNet.build(replace(config.network, classes=len(table)))

    @property
    def knows_guidance(self) -> bool:
        """Whether it was also trained without maps."""
        return False

    @property
    def usual_guidance(self) -> float:
        """Scale of guidance unless a call says otherwise; 1 is none."""
        return 1.0

    def to(self, device: torch.device | str) -> Self:
        """Move the weights, and return the generator."""
        super().to(device)
        self._precisions = Precisions(self.network)
        return self

    @within_memory(
        "Generate fewer scenes at once (--sampling.block), or in bf16 (--sampling.precision bf16)."
    )
    @torch.no_grad()
    def generate(
        self,
        masks: Tensor,
        *,
        seeds: Sequence[int],
        sampler: str = "dpm-solver++",
        steps: int = 30,
        guidance: float | None = None,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Generate one image for each mask.

        Args:
            masks: int64 `(B, H, W)`, of any height and width.
            seeds: one a mask; image i depends on mask i and seed i alone.
            sampler: "dpm-solver++", "ddpm", "ddim" or "unipc".
            steps: denoising steps.
            guidance: s in ε_∅ + s (ε_c − ε_∅), by default the config's; 1 is no guidance.
            precision: "no" for float32, or "bf16".
            progress: called with the steps done and the steps in all.

        Returns:
            float32 `(B, 3, H, W)` in [-1, 1].

        Raises:
            ConfigError: no such sampler, too many steps, or guidance of a method that knows none.
            DeviceError: the device's memory is too small.
        """
        self.check(steps, guidance)
        layout = self._layout(masks)
        images = self._sample(
            self.denoiser(self._precisions.take(precision), layout, guidance),
            (3, *layout.shape[-2:]), seeds, sampler=sampler, steps=steps, progress=progress,
        )  # fmt: skip
        return cut_back(images, *masks.shape[-2:])

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
        steps: int = 30,
        guidance: float | None = None,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Draw a region of each scene anew, as `Inserter` says; further options are those of `generate`.

        Raises:
            ConfigError: as of `generate`.
            DeviceError: the device's memory is too small.
        """
        self.check(steps, guidance)
        network = self._precisions.take(precision)
        denoise = self.denoiser(network, self._layout(masks), guidance)
        if emphasis != 1:
            denoise = guided(denoise, self.denoiser(network, self._layout(before), guidance), emphasis)
        scenes = pad_images(images.to(self.device), self.config.network.stride)
        free = pad_images(soft_margin(regions.to(self.device), margin), self.config.network.stride)
        drawn = self._sample(
            denoise, scenes.shape[1:], seeds, known=Known(scenes, free), sampler=sampler, steps=steps,
            progress=progress,
        )  # fmt: skip
        # what is known is kept by the sampler up to rounding, and here to the bit
        return cut_back(torch.where(free > 0, drawn, scenes), *masks.shape[-2:])

    def _layout(self, masks: Tensor) -> Tensor:
        """Return the one-hot layout of masks, padded to the network's stride."""
        padded = pad_masks(masks.to(self.device), self.config.network.stride, self.table.ignore_index)
        return one_hot_layout(padded, len(self.table), self.table.ignore_index)

    def _sample(self, denoise: Denoiser, shape: Sequence[int], seeds: Sequence[int], **how: Any) -> Tensor:
        """Return samples of this generator's own schedule, on its device."""
        return sample(
            denoise, shape, seeds, self.schedule, learned_variance=self.learned_variance, device=self.device,
            **how,
        )  # fmt: skip

    def sampling(self, config: SamplingConfig) -> dict[str, Any]:
        """Return the options of `generate`. Raises `ConfigError` for what cannot be done."""
        options = config.settled(steps=30)
        self.check(options["steps"], options["guidance"])
        return options

    def check(self, steps: int, guidance: float | None) -> None:
        """Raise `ConfigError` for what cannot be done."""
        if steps > (most := self.config.diffusion.timesteps):
            remedy = f"Take 1 to {most}, the timesteps of the generator."
            raise ConfigError(f"sampling.steps is {steps}", remedy)
        if guidance not in (None, 1) and not self.knows_guidance:
            raise ConfigError(
                f"{self.name} never saw a scene without its map, and knows no guidance",
                "Leave sampling.guidance out, or use an SDM, or a CASDM that was trained with map_dropout.",
            )
        if guidance is not None and guidance < 0:
            raise ConfigError(f"sampling.guidance is {guidance}", "Take 0 or more; 1 is no guidance.")

    def denoiser(self, network: SpadeUNet, layout: Tensor, guidance: float | None) -> Denoiser:
        """Return the function of x_t and t that the sampler calls, for maps that stay the same."""
        scale = self.usual_guidance if guidance is None else guidance
        if scale == 1:
            modulation = network.modulate(layout, budget_bytes=MODULATION_BUDGET)
            return lambda x_t, t: network(x_t, t, modulation)
        # The empty map, which has no class at all, not even "ignored", is one for the whole batch.
        nothing = network.modulate(torch.zeros_like(layout[:1]), budget_bytes=MODULATION_BUDGET)
        maps = network.modulate(layout, budget_bytes=MODULATION_BUDGET - nothing.bytes)
        return guided(lambda x_t, t: network(x_t, t, maps), lambda x_t, t: network(x_t, t, nothing), scale)


Network = TypeVar("Network", bound=nn.Module)


class Precisions(Generic[Network]):
    """A network, and its bfloat16 copy once that is asked for: autocast would cast all weights at every step.

    Args:
        network: the weights in float32; make another of these after they were moved or changed.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._bfloat16: Network | None = None

    def take(self, precision: str) -> Network:
        """Return the network for "no", float32, and the copy for "bf16", where the device has that."""
        if sensible_precision(precision, next(self.network.parameters()).device) == "no":
            return self.network
        if self._bfloat16 is None:
            self._bfloat16 = copy.deepcopy(self.network).bfloat16()
        return self._bfloat16
