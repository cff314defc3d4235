"""How large the experiments of the GAUDA paper are made: `smoke`, `tiny`, `small` or `paper`.

Each scale is a YAML file beside this one; a generator is written out there, or named after a configuration
that ships, as `--config` names it. All columns of a table share network and training, so that they differ in
the way that scenes join it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rarescene.augmentation.adaptive_sampling import AdaptiveSamplingConfig
from rarescene.augmentation.classic import ClassicConfig
from rarescene.augmentation.gauda_config import GaudaConfig
from rarescene.diffusion import SamplingConfig
from rarescene.foundation.errors import ConfigError
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.generators.joint_latent_config import JointLatentConfig
from rarescene.generators.vq_gan_config import ImageVqGanConfig, MaskVqGanConfig
from rarescene.recipes.scale import DataScale, chosen, read_scale_file
from rarescene.segmenters.phiseg_config import PHiSegConfig
from rarescene.segmenters.unet_ensemble_config import UNetEnsembleConfig
from rarescene.training.config import TrainingConfig

DataName = Literal["cholecseg8k", "cadis"]
SegmenterName = Literal["phiseg", "unet_ensemble"]

DATA: tuple[DataName, ...] = ("cholecseg8k", "cadis")
SEGMENTERS: tuple[SegmenterName, ...] = ("phiseg", "unet_ensemble")
TITLES = {
    "cholecseg8k": "CholecSeg8k", "cadis": "CaDISv2, Setting II",
    "phiseg": "PHiSeg", "unet_ensemble": "U-Net ensemble",
}  # fmt: skip

NAMED = (
    "image_vqgan", "mask_vqgan", "joint", "datasetgan", "segmenters.phiseg", "segmenters.unet_ensemble",
)  # fmt: skip


@dataclass(frozen=True)
class PHiSegScale:
    """PHiSeg and its training."""

    model: PHiSegConfig
    training: TrainingConfig


@dataclass(frozen=True)
class UNetEnsembleScale:
    """The ensemble and its training; the batch is that of each member."""

    model: UNetEnsembleConfig
    training: TrainingConfig


@dataclass(frozen=True)
class SegmenterScale:
    """The segmenters of a scale, the same for all columns.

    Attributes:
        refresh_every: optimiser steps between two validations, and so between two refreshes.
    """

    phiseg: PHiSegScale
    unet_ensemble: UNetEnsembleScale
    refresh_every: int

    def model(self, name: SegmenterName) -> PHiSegConfig | UNetEnsembleConfig:
        """Return a network's configuration."""
        return self.phiseg.model if name == "phiseg" else self.unet_ensemble.model

    def training(self, name: SegmenterName) -> TrainingConfig:
        """Return its training."""
        chosen = self.phiseg if name == "phiseg" else self.unet_ensemble
        return replace(chosen.training, validate_every=self.refresh_every)


@dataclass(frozen=True)
class GaudaScale:
    """One scale of the paper's experiments.

    Attributes:
        cholecseg8k: the data of Tables 1 and 2.
        cadis: the data of Tables 3 and 4.
        datasetgan: the baseline of Table 5.
        sampling: how pairs are sampled; `guidance` is that of the tables.
        guidances: those of the sweep of Figure 5.
        classic: the paper's classic augmentation.
        adaptive: adaptive sampling; a column says what it goes by.
        validation_scenes: how many scenes a validation looks at; None for all.
        pairs: pairs of the offline column, copies of the duplicates, pairs that coherence is judged on.
        swept: pairs at each guidance of the sweep.
        seeds: seeds of the segmenters; generators have one.
        timed: pairs or scenes over which inference is timed.
        judge: the segmenter of RO and SO; PHiSeg in the paper.
    """

    cholecseg8k: DataScale
    cadis: DataScale
    image_vqgan: ImageVqGanConfig
    mask_vqgan: MaskVqGanConfig
    joint: JointLatentConfig
    datasetgan: DatasetGanConfig
    sampling: SamplingConfig
    guidances: tuple[float, ...]
    segmenters: SegmenterScale
    classic: ClassicConfig
    adaptive: AdaptiveSamplingConfig
    gauda: GaudaConfig
    validation_scenes: int | None
    pairs: int
    swept: int
    seeds: tuple[int, ...]
    timed: int
    judge: SegmenterName = "phiseg"

    def __post_init__(self) -> None:
        size = (self.joint.height, self.joint.width)
        for name in ("image_vqgan", "mask_vqgan", "datasetgan"):
            other = getattr(self, name)
            if (other.height, other.width) != size:
                what = f"{name} is for {other.width}×{other.height}, joint for {size[1]}×{size[0]}"
                raise ConfigError(what, "Give all generators of a scale one size.")
        if self.sampling.guidance is None:
            guided = replace(self.sampling, guidance=self.joint.guidance)
            object.__setattr__(self, "sampling", guided)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image."""
        return self.joint.height, self.joint.width


def read_scale(name: str) -> GaudaScale:
    """Return a scale that ships.

    Raises:
        ConfigError: there is none of this name.
    """
    folder = Path(__file__).parent / "scales"
    return read_scale_file(GaudaScale, name, folder, NAMED)


def segmenters_of(names: Iterable[str]) -> tuple[SegmenterName, ...]:
    """Return the segmenters of these names, spelled as in `rarescene segment` or with an underscore.

    Raises:
        ConfigError: the paper has none of such a name.
    """
    known = [name.replace("_", "-") for name in SEGMENTERS]
    wanted = chosen((name.replace("_", "-") for name in names), known, "the scale trains no {}")
    return tuple(name for name, spelled in zip(SEGMENTERS, known, strict=True) if spelled in wanted)


@dataclass(frozen=True)
class Column:
    """One way to train a segmenter.

    Attributes:
        name: as `--strategies` takes it.
        head: as it stands over a column.
        strategies: those of `rarescene segment`, joined in this order.
        by: what adaptive sampling goes by, where that is among them.
    """

    name: str
    head: str
    strategies: tuple[str, ...]
    by: Literal["score", "uncertainty"] = "score"


PAPER = (
    Column("none", "none", ("none",)),
    Column("classic", "aug", ("classic",)),
    Column("adaptive", "AS", ("adaptive",)),
    Column("adaptive+classic", "AS + aug", ("adaptive", "classic")),
    Column("gauda", "GAUDA", ("gauda",)),
    Column("gauda+classic", "GAUDA + aug", ("gauda", "classic")),
)
"""Those of the paper, in its order (`published.COLUMNS`).

Its adaptive sampling is read as that of its section 2.1, by validation scores.
"""


OURS = (
    Column("duplicate", "duplicates", ("duplicate",)),
    Column("offline", "offline", ("offline",)),
    Column("adaptive-uncertainty", "AS, uncertainty", ("adaptive",), "uncertainty"),
)
"""What the paper does not compare with: copies of rare frames, pairs made before, another adaptive one."""


COLUMNS = PAPER + OURS


def columns_of(names: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of these names, `none` always among them, since all others are compared with it.

    Raises:
        ConfigError: there is none of such a name.
    """
    known = [column.name for column in COLUMNS]
    wanted = chosen([*names, "none"], known, "no column is called {}")
    return tuple(column for column in COLUMNS if column.name in wanted)
