"""Mask2Former (Cheng et al., 2022) on a Swin transformer, from scratch or from published weights."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from rarescene.segmenters.base import SegmentationNetwork
from rarescene.segmenters.mask2former_config import MASK2FORMER_SIZES, Mask2FormerConfig
from rarescene.segmenters.mask_loss import Answer, MaskLoss
from rarescene.segmenters.published import Kind, take_published

BACKBONE = "model.pixel_level_module.encoder."


class Mask2Former(SegmentationNetwork):
    """Queries that each name a class and predict its mask, at a quarter of the resolution it sees."""

    stride = 32

    def __init__(self, config: Mask2FormerConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index)
        size = MASK2FORMER_SIZES[config.size]
        self.enlarge = config.enlarge
        self.criterion = MaskLoss(
            size.points, config.class_weight, config.mask_weight, config.dice_weight, config.no_object
        )
        backbone = transformers.SwinConfig(
            depths=list(size.depths),
            embed_dim=size.width,
            num_heads=list(size.heads),
            window_size=size.window,
            drop_path_rate=config.drop_path,
            out_features=[f"stage{stage}" for stage in (1, 2, 3, 4)],  # type: ignore[call-arg]
        )
        self.network = transformers.Mask2FormerForUniversalSegmentation(
            transformers.Mask2FormerConfig(
                backbone_config=backbone,
                num_labels=classes,  # type: ignore[call-arg]  # a field of its base class
                feature_size=size.hidden,
                mask_feature_size=size.hidden,
                hidden_dim=size.hidden,
                encoder_feedforward_dim=4 * size.hidden,
                dim_feedforward=8 * size.hidden,
                encoder_layers=size.pixel_layers,
                decoder_layers=size.decoder_layers + 1,  # the library counts the queries' start as one
                num_attention_heads=size.hidden // 32,
                num_queries=size.queries,
            )
        )
        _prune(self.network)
        _initialise(self.network)

    @property
    def backbone(self) -> nn.Module | None:
        """The Swin transformer, if its weights are published ones."""
        return self.network.model.pixel_level_module.encoder if self.config.pretrained is not None else None

    def take_pretrained(self) -> None:
        """Take up the published weights that the options name: the backbone, and what fits behind it.

        Raises:
            CheckpointError: they cannot be had, or are damaged.
            ConfigError: they are not those of a Mask2Former on a Swin transformer of this size, nor of the
                Swin transformer alone.
        """
        if self.config.pretrained is not None:
            take_published(
                self.network,
                self.config.pretrained,
                {
                    "mask2former": Kind(transformers.Mask2FormerForUniversalSegmentation),
                    "swin": Kind(transformers.SwinBackbone, BACKBONE),
                },
                size=("depths", "embed_dim", "num_heads", "window_size"),
                # A Swin transformer that classified pictures lacks the norms of the maps that it hands over.
                backbone=rf"{re.escape(BACKBONE)}(?!hidden_states_norms)",
                head="class_predictor.",
            )

    def answers(self, images: Tensor) -> list[Answer]:
        """Return what the queries say before and after each decoder layer, in float32; the last one counts.

        Args:
            images: normalised `(B, 3, H, W)`, whose sides `stride` divides.
        """
        if self.enlarge > 1:
            images = F.interpolate(images, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        said = self.network(pixel_values=images, output_auxiliary_logits=True)
        layers = [*said.auxiliary_logits, said]
        return [
            Answer(layer["class_queries_logits"].float(), layer["masks_queries_logits"].float())
            for layer in layers
        ]

    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(B, C, H, W)` of normalised images `(B, 3, H, W)`: of the semantic inference

            P(c at pixel p) ∝ Σ_q softmax(classes_q)_c sigmoid(masks_q)_p        (section 3.4 of MaskFormer)

        "No object" is left out. Each pixel's sigmoids are divided by their largest, which the softmax over
        classes undoes, so that the query nearest to a pixel decides also where all masks are close to 0.
        """
        answer = self.answers(images)[-1]
        masks = F.interpolate(answer.masks, size=images.shape[-2:], mode="bilinear", align_corners=False)
        with torch.autocast(images.device.type, enabled=False):
            certain = F.logsigmoid(masks)  # (B, Q, H, W)
            cover = (certain - certain.amax(dim=1, keepdim=True)).exp()
            likely = answer.classes.softmax(dim=-1)[..., :-1]  # (B, Q, C)
            shares = torch.einsum("bqc,bqhw->bchw", likely, cover)
            return shares.clamp(min=torch.finfo(shares.dtype).tiny).log()

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the loss of `MaskLoss`, summed over the decoder layers; no ignored pixel enters it.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1].
            masks: int64 `(B, H, W)` of class ids, the ignore index where unlabelled.
        """
        images = self.prepare(images)
        answers = self.answers(images)
        height, width = images.shape[-2:]
        with torch.autocast(images.device.type, enabled=False):
            return self.criterion(answers, masks, self.ignore_index, (height, width))

    @staticmethod
    def name_in_file(name: str) -> str:
        """Return the published name of a weight, which transformers 4 uses and 5 does not."""
        for ours, published in PUBLISHED_NAMES:
            name = re.sub(ours, published, name)
        return name


PUBLISHED_NAMES = (
    (r"pixel_level_module\.encoder\.swin\.", "pixel_level_module.encoder."),
    (r"(blocks\.\d+\.attention)\.q_proj\.", r"\1.self.query."),
    (r"(blocks\.\d+\.attention)\.k_proj\.", r"\1.self.key."),
    (r"(blocks\.\d+\.attention)\.v_proj\.", r"\1.self.value."),
    (r"(blocks\.\d+\.attention)\.o_proj\.", r"\1.output.dense."),
    (r"(blocks\.\d+\.attention)\.relative_position_bias\.", r"\1.self."),
    (r"(blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
)


def _prune(network: transformers.Mask2FormerForUniversalSegmentation) -> None:
    """Leave out what is never used: the library's own loss, and in version 5 a norm behind the backbone.

    Indices that version 4 would save with the weights are made again from the window's size.
    """
    del network.criterion
    backbone = network.model.pixel_level_module.encoder
    if hasattr(backbone, "swin"):
        backbone.swin.layernorm = nn.Identity()
    for module in backbone.modules():
        if "relative_position_index" in dict(module.named_buffers(recurse=False)):
            indices = module.get_buffer("relative_position_index")
            module.register_buffer("relative_position_index", indices, persistent=False)


@torch.no_grad()
def _initialise(network: transformers.Mask2FormerForUniversalSegmentation) -> None:
    """Initialise the weights behind the backbone as Mask2Former's authors do.

    transformers 4 initialises most of them, the queries among them, with deviation 0.02, which suits
    fine-tuning: queries that are nearly equal take long to part. Its start of the deformable attention is the
    authors'.
    """
    pixel_decoder = network.model.pixel_level_module.decoder
    transformer = network.model.transformer_module
    for name, module in pixel_decoder.named_modules():
        deformable = name.endswith(("sampling_offsets", "attention_weights"))
        if isinstance(module, nn.Linear | nn.Conv2d) and not deformable:
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(pixel_decoder.level_embed)
    for module in (*transformer.modules(), network.class_predictor):
        if isinstance(module, nn.Embedding | nn.Linear):
            module.reset_parameters()
    for weight in transformer.decoder.layers.parameters():
        if weight.dim() > 1:
            nn.init.xavier_uniform_(weight)
