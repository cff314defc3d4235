"""SegFormer (Xie et al., 2021), from scratch or from published weights, through transformers."""

from __future__ import annotations

import math
import re

import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from rarescene.segmenters.base import SegmentationNetwork
from rarescene.segmenters.published import Kind, take_published
from rarescene.segmenters.segformer_config import SEGFORMER_SIZES, SegFormerConfig


class SegFormer(SegmentationNetwork):
    """A hierarchical transformer with a light decoder that answers at a quarter of the resolution it sees.

    The answer is brought back to the image's resolution bilinearly, as logits, and the loss is taken there.
    """

    stride = 32

    def __init__(self, config: SegFormerConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index, config.dice)
        self.enlarge = config.enlarge
        size = SEGFORMER_SIZES[config.size]
        self.network = transformers.SegformerForSemanticSegmentation(
            transformers.SegformerConfig(
                num_labels=classes,  # type: ignore[call-arg]  # a field of its base class
                depths=list(size.depths),
                hidden_sizes=list(size.widths),
                num_attention_heads=list(size.heads),
                decoder_hidden_size=size.decoder,
                drop_path_rate=config.drop_path,
                classifier_dropout_prob=config.dropout,
            )
        )
        self.network.apply(_initialise)

    @property
    def backbone(self) -> nn.Module | None:
        """The transformer before the decoder, if its weights are published ones."""
        return self.network.segformer if self.config.pretrained is not None else None

    def take_pretrained(self) -> None:
        """Take up the published weights that the options name: the backbone, and what fits behind it.

        Raises:
            CheckpointError: they cannot be had, or are damaged.
            ConfigError: they are not those of a SegFormer of this size.
        """
        if self.config.pretrained is not None:
            take_published(
                self.network,
                self.config.pretrained,
                {"segformer": Kind(transformers.SegformerForSemanticSegmentation)},
                size=("depths", "hidden_sizes", "num_attention_heads"),
                backbone=r"segformer\.",
                head="decode_head.classifier.",
            )

    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(B, C, H, W)` of normalised images `(B, 3, H, W)`."""
        size = images.shape[-2:]
        if self.enlarge > 1:
            images = F.interpolate(images, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        cells = self.network(pixel_values=images).logits  # (B, C, enlarge H / 4, enlarge W / 4)
        return F.interpolate(cells.float(), size=size, mode="bilinear", align_corners=False)

    @staticmethod
    def name_in_file(name: str) -> str:
        """Return the published name of a weight, which transformers 4 uses and 5 does not."""
        for ours, published in PUBLISHED_NAMES:
            name = re.sub(ours, published, name)
        return name


PUBLISHED_NAMES = (
    (r"stages\.(\d+)\.patch_embeddings\.", r"encoder.patch_embeddings.\1."),
    (r"stages\.(\d+)\.blocks\.", r"encoder.block.\1."),
    (r"stages\.(\d+)\.layer_norm\.", r"encoder.layer_norm.\1."),
    (r"attention\.q_proj\.", "attention.self.query."),
    (r"attention\.k_proj\.", "attention.self.key."),
    (r"attention\.v_proj\.", "attention.self.value."),
    (r"attention\.o_proj\.", "attention.output.dense."),
    (r"attention\.sequence_reduction\.sequence_reduction\.", "attention.self.sr."),
    (r"attention\.sequence_reduction\.layer_norm\.", "attention.self.layer_norm."),
    (r"mlp\.fc(\d)\.", r"mlp.dense\1."),
    (r"layernorm_before\.", "layer_norm_1."),
    (r"layernorm_after\.", "layer_norm_2."),
    (r"decode_head\.linear_projections\.", "decode_head.linear_c."),
)


def _initialise(module: nn.Module) -> None:
    """Initialise convolutions as SegFormer's authors do: normal, with variance 2 / fan-out.

    transformers initialises them with deviation 0.02, which suits fine-tuning. In a depth-wise 3×3
    convolution that leaves 6 % of the signal, so the convolution that tells the transformer where it is
    starts nearly silent.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
