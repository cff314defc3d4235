"""How large the experiments of the CASDM paper are made: `smoke`, `tiny`, `small` or `paper`.

Each scale is a YAML file beside this one; a generator is written out there, or named after a configuration
that ships, as `--config` names it. All image generators of a scale share network, schedule,
augmentation and training, so that the rows of a table differ in the method alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.plugins import method_for
from rarescene.generators.casdm_config import CasdmConfig
from rarescene.generators.conditional_ddpm_config import ConditionalDdpmConfig
from rarescene.generators.prompted_maps_config import PromptedMapsConfig
from rarescene.generators.sdm_config import SdmConfig
from rarescene.recipes.scale import DataScale, chosen, read_scale_file
from rarescene.segmenters.mask2former_config import Mask2FormerConfig
from rarescene.segmenters.segformer_config import SegFormerConfig
from rarescene.segmenters.unet_config import UNetConfig
from rarescene.training.config import TrainingConfig

SegmenterName = Literal["segformer", "mask2former", "unet"]


@dataclass(frozen=True)
class SegmenterScale:
    """The segmenters of a scale, and how long each is trained.

    Attributes:
        segformer_steps: optimiser steps; the rest of its training is its usual one.
        unet: the U-Net that answers at full resolution, on which claims about the smallest classes rest.
        unet_steps: likewise; 0 leaves it out.
    """

    segformer: SegFormerConfig
    segformer_steps: int
    mask2former: Mask2FormerConfig
    mask2former_steps: int
    unet: UNetConfig
    unet_steps: int

    @property
    def names(self) -> tuple[SegmenterName, ...]:
        """The segmenters whose steps are not 0, those of the paper first."""
        known: tuple[SegmenterName, ...] = ("segformer", "mask2former", "unet")
        return tuple(name for name in known if getattr(self, f"{name}_steps"))

    def only(self, names: Iterable[str]) -> SegmenterScale:
        """Return the scale with these segmenters alone.

        Raises:
            ConfigError: the scale has none of this name.
        """
        wanted = chosen(names, self.names, "the scale trains no {}")
        left_out: dict[str, Any] = {f"{name}_steps": 0 for name in self.names if name not in wanted}
        return replace(self, **left_out)

    def model(self, name: SegmenterName) -> Any:
        """Return a network's configuration."""
        return getattr(self, name)

    def training(self, name: SegmenterName) -> TrainingConfig:
        """Return its training."""
        model, steps = self.model(name), int(getattr(self, f"{name}_steps"))
        usual: TrainingConfig = method_for("segmenters", model).training(model)
        return replace(
            usual, steps=steps, warmup_steps=min(usual.warmup_steps, steps // 10), validate_every=0,
            save_every=min(steps, 1000),
        )  # fmt: skip


@dataclass(frozen=True)
class CasdmScale:
    """One scale of the paper's experiments.

    Attributes:
        cholecseg8k: the data of Tables 1, 2, 3 and 5.
        sisvse: the data of Table 4.
        sdm: the baseline SDM.
        conditional_ddpm: the baseline that concatenates the map.
        pairs: synthetic pairs of each method, from training maps; the same number again from prompted maps.
        scored: test maps whose images are generated for the image-quality tables, at most.
    """

    cholecseg8k: DataScale
    sisvse: DataScale
    casdm: CasdmConfig
    sdm: SdmConfig
    conditional_ddpm: ConditionalDdpmConfig
    maps: PromptedMapsConfig
    sampling: SamplingConfig
    map_sampling: MapSamplingConfig
    segmenters: SegmenterScale
    pairs: int
    scored: int
    seeds: tuple[int, ...]


def read_scale(name: str) -> CasdmScale:
    """Return a scale that ships.

    Raises:
        ConfigError: there is none of this name.
    """
    folder = Path(__file__).parent / "scales"
    return read_scale_file(CasdmScale, name, folder, ("casdm", "sdm", "conditional_ddpm", "maps"))
