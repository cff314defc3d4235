"""CASDM: class-aware semantic diffusion (Zhou et al. 2024), the image side. p(image | mask).

One file, read as one reads the paper: what is learned (`CasdmLearner`), what is then drawn (`Casdm`). Where
the paper is silent or slips, the decisions are in the docstrings of the losses and of the schedule.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rarescene.diffusion import (
    NoiseSchedule,
    clamp_straight_through,
    class_aware_mse,
    class_aware_self_perceptual,
    class_weight_map,
    gradient_norms,
    sample,
)
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.config import CasdmConfig
from rarescene.networks import SpadeUNet, one_hot_layout
from rarescene.scenes import ClassTable, cut_back, pad_images, pad_masks
from rarescene.training import Learner, load_weights, save_tensors

MODULATION_BUDGET = 4 * 2**30  # bytes of γ and β kept while a block of images is drawn


class CasdmLearner(Learner):
    """Trains ε̂(x_t, s, t): class-aware MSE (Eq. 6) and, after a warm-up, self-perceptual loss (Eq. 8).

    Φ is the encoder of `phi`, a frozen snapshot of the averaged network, so that it neither learns nor drifts
    within a step.
    """

    network: SpadeUNet

    def __init__(self, config: CasdmConfig, table: ClassTable, seed: int) -> None:
        super().__init__()
        self.config, self.table = config, table
        self.schedule = NoiseSchedule(config.diffusion)
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = SpadeUNet.build(replace(config.network, classes=len(table)))
        self.phi = copy.deepcopy(self.network) if config.self_perceptual.weight else None
        if self.phi is not None:
            self.phi.requires_grad_(False)
        self.boost = {table.id_of(name): factor for name, factor in config.class_aware.class_boost.items()}

    def before_step(self, step: int, average: nn.Module) -> None:
        """Take a new snapshot Φ of the averaged weights when one is due."""
        settings = self.config.self_perceptual
        since = step - settings.warmup_steps
        if self.phi is not None and since >= 0 and since % settings.refresh_every == 0:
            self.phi.load_state_dict(average.state_dict())

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the losses of a batch; `loss` is what is minimised."""
        settings = self.config.self_perceptual
        stride = self.config.network.stride
        x_0, masks = pad_images(batch.images, stride), pad_masks(batch.masks, stride, self.table.ignore_index)
        layout = one_hot_layout(masks, len(self.table), self.table.ignore_index)
        weights = class_weight_map(
            masks, len(self.table), self.table.ignore_index, self.config.class_aware, self.boost
        )
        t, noise = self._draw(batch.seeds, x_0, "noise")

        # Eq. 1 in closed form, then Eq. 9: the network also takes the map s.
        x_t = self.schedule.add_noise(x_0, noise, t)
        output = self.network(x_t, t, layout).float()

        # Eq. 6
        camse = class_aware_mse(output, self.schedule.target(x_0, noise, t), weights).mean()
        if self.phi is None or step < settings.warmup_steps:
            return {"loss": camse, "camse": camse}

        # Eq. 10, with ᾱ_t where the paper prints β_t
        x_0_hat = clamp_straight_through(self.schedule.x0_from(output, x_t, t))
        # Eq. 8: fresh t′ and ε′, the same for both images
        t_fresh, noise_fresh = self._draw(batch.seeds, x_0, "perceptual")
        casp = class_aware_self_perceptual(
            self.phi.encode, x_0, x_0_hat, weights, t_fresh, noise_fresh, self.schedule,
            pool=settings.pool, squared=settings.squared,
        ).mean()  # fmt: skip
        scalars = {"loss": camse + settings.weight * casp, "camse": camse, "casp": casp}
        if (step + 1) % self.config.training.log_every == 0:
            norms = gradient_norms({"camse": camse, "casp": settings.weight * casp}, output)
            scalars |= {
                f"gradient_{name}": torch.tensor(norm, device=output.device) for name, norm in norms.items()
            }
        return scalars

    def _draw(self, seeds: Sequence[int], like: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        """Return one timestep and one noise image a scene, each from the scene's own seed."""
        timesteps, noises = [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(derive_seed(seed, purpose))
            timesteps.append(torch.randint(self.config.diffusion.timesteps, (), generator=generator))
            noises.append(torch.randn(like.shape[1:], generator=generator))
        return torch.stack(timesteps).to(like.device), torch.stack(noises).to(like)


class Casdm:
    """A trained CASDM: draws an image for a mask."""

    name = "casdm"

    def __init__(self, network: SpadeUNet, config: CasdmConfig, table: ClassTable) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config, self.table = config, table
        self.schedule = NoiseSchedule(config.diffusion)
        self._bfloat16: SpadeUNet | None = None

    def to(self, device: torch.device | str) -> Casdm:
        """Move the weights, and return the generator."""
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-arg]
        self._bfloat16 = None
        return self

    @torch.inference_mode()
    def generate(
        self,
        masks: Tensor,
        *,
        seeds: Sequence[int],
        sampler: str = "dpm-solver++",
        steps: int = 30,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Draw one image for each mask.

        Args:
            masks: int64 `(B, H, W)`, of any height and width.
            seeds: one a mask; image i depends on mask i and seed i alone.
            sampler: "dpm-solver++", "ddpm", "ddim" or "unipc".
            steps: denoising steps.
            precision: "no" for float32, or "bf16".
            progress: called with the steps done and the steps in all.

        Returns:
            float32 `(B, 3, H, W)` in [-1, 1].
        """
        device = next(self.network.parameters()).device
        height, width = masks.shape[-2:]
        maps = pad_masks(masks.to(device), self.config.network.stride, self.table.ignore_index)
        layout = one_hot_layout(maps, len(self.table), self.table.ignore_index)
        network = self._network_in(precision)
        modulation = network.modulate(layout, budget_bytes=MODULATION_BUDGET)
        images = sample(
            lambda x_t, t: network(x_t, t, modulation),
            (3, *maps.shape[-2:]),
            seeds,
            self.schedule,
            sampler=sampler,
            steps=steps,
            device=device,
            progress=progress,
        )
        return cut_back(images, height, width)

    def _network_in(self, precision: str) -> SpadeUNet:
        """Return the network, or a bfloat16 copy: autocast would cast all weights again at every step."""
        if precision == "no":
            return self.network
        if self._bfloat16 is None:
            self._bfloat16 = copy.deepcopy(self.network).bfloat16()
        return self._bfloat16

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and settings (JSON) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / "weights.safetensors")
        settings: dict[str, Any] = {
            "generator": self.name,
            "config": asdict(self.config),
            "classes": self.table.to_dict(),
        }
        write_json(folder / "generator.json", settings)

    @classmethod
    def load(cls, folder: Path) -> Casdm:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        path = folder / "generator.json"
        settings = read_json(path)
        try:
            if settings["generator"] != cls.name:
                raise CheckpointError(
                    f"holds a {settings['generator']!r} generator", "Give the folder of a CASDM run.", path
                )
            config, table = (
                config_from(CasdmConfig, settings["config"]),
                ClassTable.from_dict(settings["classes"]),
            )
        except (KeyError, TypeError, AttributeError, ConfigError) as error:
            remedy = "Restore the file, or train the generator again."
            raise CheckpointError(
                f"is not the description of a generator ({error!r})", remedy, path
            ) from error
        network = SpadeUNet.build(replace(config.network, classes=len(table)))
        load_weights(network, folder / "weights.safetensors")
        return cls(network, config, table)
