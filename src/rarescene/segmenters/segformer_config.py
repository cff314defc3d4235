"""SegFormer: what it is made of, and the training that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal

from rarescene.foundation.configs import Range, Settings, ShareBelowOne, Weight
from rarescene.foundation.methods import Later, SegmenterMethod
from rarescene.segmenters.schedules import FROM_SCRATCH
from rarescene.training.config import TrainingConfig

SegFormerSize = Literal["tiny", "b0", "b1", "b2"]


@dataclass(frozen=True)
class MixTransformer:
    """One SegFormer: blocks, channels and heads of its four stages, and the width of its decoder."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    decoder: int


SEGFORMER_SIZES: Mapping[SegFormerSize, MixTransformer] = MappingProxyType(
    {
        # Ours, for processors without a GPU; the others are Table 6 of the SegFormer paper.
        "tiny": MixTransformer((1, 1, 1, 1), (32, 64, 96, 128), (1, 2, 3, 4), 96),
        "b0": MixTransformer((2, 2, 2, 2), (32, 64, 160, 256), (1, 2, 5, 8), 256),
        "b1": MixTransformer((2, 2, 2, 2), (64, 128, 320, 512), (1, 2, 5, 8), 256),
        "b2": MixTransformer((3, 4, 6, 3), (64, 128, 320, 512), (1, 2, 5, 8), 768),
    }
)


@dataclass(frozen=True)
class SegFormerConfig(Settings):
    """SegFormer, trained from scratch, or from published weights.

    Attributes:
        size: `tiny` (ours), or `b0`, `b1`, `b2` of the paper.
        enlarge: the image is enlarged so many times before the network, which answers at a quarter of what it
            sees: 2 for scenes of 64², where a thin vessel is smaller than an output cell.
        dice: weight of the soft Dice term beside the cross entropy.
        drop_path: largest rate of stochastic depth, in the deepest block.
        dropout: rate before the last layer.
        pretrained: weights to start from, in place of a training from scratch: a folder that transformers'
            `save_pretrained` wrote, or a name on the hub, of a SegFormer of this `size`, such as
            nvidia/mit-b0, which has seen ImageNet. What of its decoder fits is taken too; the last layer is
            new.
    """

    size: SegFormerSize = "b0"
    enlarge: Annotated[int, Range(1, 16)] = 1
    dice: Weight = 0.0
    drop_path: ShareBelowOne = 0.1
    dropout: ShareBelowOne = 0.1
    pretrained: str | None = None


def _training(config: SegFormerConfig) -> TrainingConfig:
    # The rates of b0 and tiny were chosen by label-mean IoU on two validation recordings of phantom scenes of
    # 64², enlarged twofold, with one seed: of b0 after 200 steps 0.59 at 5e-4, 0.63 at 1e-3.
    rate = {"tiny": 2e-3, "b0": 1e-3}.get(config.size, 5e-4)
    return replace(FROM_SCRATCH, learning_rate=rate, batch_size=8)


SEGFORMER = SegmenterMethod(
    name="segformer",
    summary="train SegFormer, with or without synthetic pairs",
    example="rarescene segment segformer --data folder:scenes --strategy none --out runs/without",
    note="It answers at a quarter of the resolution that it sees. It starts from scratch unless "
    "--model.pretrained names published weights. The defaults of its training suit b0; tiny wants a learning "
    "rate of 2e-3.",
    config=SegFormerConfig,
    build=Later("rarescene.segmenters.segformer:SegFormer"),
    training=_training,
    cell=lambda config: 4 / config.enlarge,
)
