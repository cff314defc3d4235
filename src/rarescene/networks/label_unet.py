"""The U-Net of the joint latent generator: sees noisy latents, and which classes the scene is to show."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn

from rarescene.networks.config import PromptUNetConfig


class LabelUNet(nn.Module):
    """ε̂ or v̂ (z_t, c, t) of GAUDA's Eq. 5, where c is the multi-hot vector of the classes shown.

    c passes through a small network and is added to the time embedding, which scales and shifts every group
    norm (adaptive group norm, Dhariwal & Nichol 2021). What has no condition, ∅ of Eq. 6, gets a learned
    vector of its own in that place: a scene of which nothing is asked is not a scene without any class.

    The paper has self-attention "with 64 heads". Here a head has 64 channels, as in Dhariwal & Nichol, whom
    it follows: 7, 14 and 21 heads at its widths. 64 heads would have 7 channels each at the first of them.

    Args:
        config: sizes; `prompt_channels` counts for nothing here.
        channels: channels of the noisy latents.
        classes: classes of the table.
    """

    def __init__(self, config: PromptUNetConfig, channels: int, classes: int) -> None:
        super().__init__()
        self.settings = config
        folded, wide = channels * config.patch**2, 4 * config.channels[0]
        attends = [stride in config.attention_strides for stride in config.strides]
        self.embed = nn.Sequential(nn.Linear(classes, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.nothing = nn.Parameter(torch.randn(wide))
        self.unet: Any = UNet2DModel(
            in_channels=folded,
            out_channels=folded,
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attends),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)),
            block_out_channels=config.channels,
            layers_per_block=config.blocks_per_level,
            norm_num_groups=math.gcd(32, *config.channels),
            attention_head_dim=config.head_channels,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="identity",  # a vector as wide as the time embedding, added to it
        )

    def forward(self, noisy: Tensor, timesteps: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
        """Return the prediction for a batch of noisy latents.

        Args:
            noisy: z_t, `(B, channels, h, w)`; height and width divide by `settings.stride`.
            timesteps: t, int64 `(B,)`.
            labels: `(B, C)`, 1 for every class that is to be shown; any value where nothing is asked.
            asked: bool `(B,)`, False where there is no condition.

        Returns:
            Same shape and dtype as `noisy`.
        """
        vector = torch.where(asked[:, None], self.embed(labels.to(self.nothing.dtype)), self.nothing)
        x = self.unet(
            F.pixel_unshuffle(noisy.to(self.nothing.dtype), self.settings.patch),
            timesteps,
            class_labels=vector,
            return_dict=False,
        )[0]
        return F.pixel_shuffle(x, self.settings.patch).to(noisy.dtype)
