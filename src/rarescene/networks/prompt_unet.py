"""The U-Net of the map generator: sees a noisy map, and one encoded prompt for each class asked for."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from rarescene.networks.config import PromptUNetConfig

_SLOT = 32  # channels that a class has in the control vector


class PromptUNet(nn.Module):
    """ε̂ or v̂ (x_t, e, t) of Eq. 11, where e are the prompts' embeddings.

    The prompts reach the U-Net twice: as a sequence that it attends to, and, side by side in the order of the
    classes, as one control vector added to the time embedding ("concatenated to form a comprehensive control
    vector"). A learned token stands in the sequence for whatever was not asked, so that attention has
    something to look at where nothing was.

    Args:
        config: sizes.
        image_channels: channels of a noisy map.
        classes: classes of the table.
        text_width: length of a prompt's features.
    """

    def __init__(self, config: PromptUNetConfig, image_channels: int, classes: int, text_width: int) -> None:
        super().__init__()
        self.settings = config
        folded, wide = image_channels * config.patch**2, config.prompt_channels
        attends = [stride in config.attention_strides for stride in config.strides]
        self.project = nn.Sequential(
            nn.Linear(text_width, wide), nn.SiLU(), nn.Linear(wide, wide), nn.LayerNorm(wide)
        )
        self.control = nn.Linear(wide, _SLOT)
        self.nothing = nn.Parameter(torch.randn(wide))
        self.unet: Any = UNet2DConditionModel(
            in_channels=folded,
            out_channels=folded,
            down_block_types=tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attends),
            up_block_types=tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)),
            block_out_channels=config.channels,
            layers_per_block=config.blocks_per_level,
            norm_num_groups=8,
            cross_attention_dim=wide,
            # diffusers calls the channels of a head so, one number a level
            attention_head_dim=tuple(width // config.head_channels or 1 for width in config.channels),
            class_embed_type="projection",
            projection_class_embeddings_input_dim=classes * _SLOT,
            resnet_time_scale_shift="scale_shift",
        )

    def forward(self, noisy: Tensor, timesteps: Tensor, prompts: Tensor, asked: Tensor) -> Tensor:
        """Return the prediction for a batch of noisy maps.

        Args:
            noisy: x_t, `(B, image_channels, H, W)`; height and width divide by `settings.stride`.
            timesteps: t, int64 `(B,)`.
            prompts: features of each class's prompt, `(B, C, text_width)`; any value where not asked.
            asked: bool `(B, C)`, the classes that are asked for.

        Returns:
            Same shape and dtype as `noisy`.
        """
        batch = len(asked)
        tokens = self.project(prompts.to(self.nothing.dtype))  # (B, C, D)
        slots = self.control(tokens) * asked[..., None]  # (B, C, 32)
        sequence = torch.cat([tokens, self.nothing.to(tokens.dtype).expand(batch, 1, -1)], dim=1)
        visible = torch.cat([asked, asked.new_ones(batch, 1)], dim=1)  # (B, C + 1)
        x = self.unet(
            F.pixel_unshuffle(noisy.to(self.nothing.dtype), self.settings.patch),
            timesteps,
            sequence,
            class_labels=slots.flatten(1),
            encoder_attention_mask=visible,
            return_dict=False,
        )[0]
        return F.pixel_shuffle(x, self.settings.patch).to(noisy.dtype)
