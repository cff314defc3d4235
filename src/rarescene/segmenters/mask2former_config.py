"""Mask2Former: what it is made of, and the training that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal

from rarescene.foundation.configs import Positive, Range, Settings, ShareBelowOne
from rarescene.foundation.methods import Later, SegmenterMethod
from rarescene.segmenters.schedules import FROM_SCRATCH
from rarescene.training.config import TrainingConfig

Mask2FormerSize = Literal["tiny", "swin-t"]


@dataclass(frozen=True)
class MaskTransformer:
    """One Mask2Former: its Swin backbone (four fields), its two decoders, and the points of its loss.

    Attributes:
        depths: blocks of the four stages.
        width: channels of the first stage; each further stage doubles them.
        heads: attention heads of the four stages.
        window: side of the attention's windows.
        hidden: channels of both decoders, a multiple of 32, which is a head.
        pixel_layers: layers of deformable attention in the pixel decoder.
        decoder_layers: layers of masked attention in the transformer decoder.
        queries: masks it can predict.
        points: points a mask in the loss.
    """

    depths: tuple[int, int, int, int]
    width: int
    heads: tuple[int, int, int, int]
    window: int
    hidden: int
    pixel_layers: int
    decoder_layers: int
    queries: int
    points: int


MASK2FORMER_SIZES: Mapping[Mask2FormerSize, MaskTransformer] = MappingProxyType(
    {
        # Ours, for processors without a GPU; the other is section 4.1 of the Mask2Former paper.
        "tiny": MaskTransformer((1, 1, 1, 1), 32, (1, 2, 4, 8), 4, 64, 1, 3, 40, 1024),
        "swin-t": MaskTransformer((2, 2, 6, 2), 96, (3, 6, 12, 24), 7, 256, 6, 9, 100, 112**2),
    }
)


@dataclass(frozen=True)
class Mask2FormerConfig(Settings):
    """Mask2Former, trained from scratch, or from published weights. The factors of its loss are the paper's.

    Attributes:
        size: `tiny` (ours), or `swin-t` of the paper.
        enlarge: the image is enlarged so many times before the network, which answers at a quarter of what it
            sees: 2 for scenes of 64², where a thin vessel is smaller than an output cell.
        class_weight: weight of the cross entropy over classes.
        mask_weight: weight of the cross entropy over the points of a mask.
        dice_weight: weight of the soft Dice term over the points of a mask.
        no_object: weight of a query that shall say "no object", against 1 of one that shall name a class.
        drop_path: largest rate of stochastic depth in the backbone, in its deepest block (0.3 in the paper,
            whose backbone is pretrained).
        pretrained: weights to start from, in place of a training from scratch: a folder that transformers'
            `save_pretrained` wrote, or a name on the hub, of a Mask2Former of this `size`, such as
            facebook/mask2former-swin-tiny-ade-semantic, or of its Swin transformer alone, such as
            microsoft/swin-tiny-patch4-window7-224, which has seen ImageNet. What of the decoders fits is
            taken too; the layer that names classes is new.
    """

    size: Mask2FormerSize = "swin-t"
    enlarge: Annotated[int, Range(1, 16)] = 1
    class_weight: Positive = 2.0
    mask_weight: Positive = 5.0
    dice_weight: Positive = 5.0
    no_object: Positive = 0.1
    drop_path: ShareBelowOne = 0.1
    pretrained: str | None = None


def _training(config: Mask2FormerConfig) -> TrainingConfig:
    usual = replace(FROM_SCRATCH, learning_rate=1e-4, weight_decay=0.05, batch_size=8)
    if config.size != "tiny":
        return usual
    # Chosen like those of SegFormer: after 600 steps 0.54 at 1e-3, 0.59 at 2e-3, 0.55 at 3e-3.
    return replace(usual, steps=600, learning_rate=2e-3, validate_every=200)


MASK2FORMER = SegmenterMethod(
    name="mask2former",
    summary="train Mask2Former, with or without synthetic pairs",
    example="rarescene segment mask2former --data folder:scenes --strategy none --out runs/without",
    note="It answers at a quarter of the resolution that it sees. It starts from scratch unless "
    "--model.pretrained names published weights. The defaults of its training suit swin-t; tiny wants a "
    "learning rate of 2e-3.",
    config=Mask2FormerConfig,
    build=Later("rarescene.segmenters.mask2former:Mask2Former"),
    training=_training,
    cell=lambda config: 4 / config.enlarge,
)
