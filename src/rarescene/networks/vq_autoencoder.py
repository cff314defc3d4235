"""The autoencoder of a VQ-GAN: a convolutional encoder, a codebook, and the decoder that mirrors it.

diffusers' `VQModel` inside (Esser et al., "Taming Transformers", 2021). Latents are those before the
codebook: `decode` quantises them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import VQModel
from torch import Tensor, nn

from rarescene.networks.config import VqAutoencoderConfig


class Coded(NamedTuple):
    """What a forward pass gives.

    Attributes:
        output: of the decoder, `(B, out_channels, H, W)`.
        latents: before the codebook, float32 `(B, channels, H/factor, W/factor)`.
        codes: the nearest code of each latent pixel, int64 `(B, H/factor, W/factor)`.
        quantisation: codebook and commitment loss, a scalar: mean (e − sg z)² + β mean (sg e − z)².
    """

    output: Tensor
    latents: Tensor
    codes: Tensor
    quantisation: Tensor


class VqAutoencoder(nn.Module):
    """Images or layouts to latents on a codebook, and back.

    Args:
        config: sizes.
        in_channels: channels of what is encoded.
        out_channels: channels of what is decoded.
    """

    def __init__(self, config: VqAutoencoderConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        depth = len(config.levels)
        self.patch, self.out_channels = config.patch, out_channels
        self.model: Any = VQModel(
            in_channels=in_channels * self.patch**2,
            out_channels=out_channels * self.patch**2,
            down_block_types=("DownEncoderBlock2D",) * depth,
            up_block_types=("UpDecoderBlock2D",) * depth,
            block_out_channels=tuple(config.levels),
            layers_per_block=config.blocks_per_level,  # the library's decoder has one more, as the paper's
            latent_channels=config.channels,
            num_vq_embeddings=config.codes,
            vq_embed_dim=config.channels,
            norm_num_groups=math.gcd(32, *config.levels),
            mid_block_add_attention=config.attention,
        )
        # The library's default gives β to the codebook's term, a known slip that it keeps for old weights.
        self.model.quantize.legacy = False  # type: ignore[attr-defined]
        self.model.quantize.beta = config.commitment  # type: ignore[attr-defined]

    @property
    def codebook(self) -> nn.Parameter:
        """The codes, `(codes, channels)`."""
        return self.model.quantize.embedding.weight

    @property
    def last_layer(self) -> nn.Parameter:
        """The weight of the decoder's last convolution, where Esser et al. compare gradients."""
        return self.model.decoder.conv_out.weight

    def encode(self, x: Tensor) -> Tensor:
        """Return latents before the codebook, float32 `(B, channels, H/factor, W/factor)`."""
        return self.model.encode(F.pixel_unshuffle(x, self.patch)).latents.float()

    def quantise(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the latents on their nearest codes, straight-through; those codes; and the loss of both.

        In float32 whatever surrounds it: in bfloat16 neighbouring codes are one.
        """
        with torch.autocast(latents.device.type, enabled=False):
            nearest, loss, (_, _, codes) = self.model.quantize(latents.float())
        return nearest, codes.view(len(latents), *latents.shape[-2:]), loss

    def decode(self, latents: Tensor) -> Tensor:
        """Return the decoder's output `(B, out_channels, H, W)` for the codes nearest to the latents.

        It depends on the codes alone, to the bit, and has no gradient.
        """
        codes = self.quantise(latents)[1]
        return self._decode(F.embedding(codes, self.codebook).permute(0, 3, 1, 2).contiguous())

    def forward(self, x: Tensor) -> Coded:
        """Encode, quantise and decode `(B, in_channels, H, W)`; the gradient passes the codebook straight."""
        latents = self.encode(x)  # (B, channels, H/factor, W/factor)
        nearest, codes, loss = self.quantise(latents)
        return Coded(self._decode(nearest), latents, codes, loss)

    def _decode(self, nearest: Tensor) -> Tensor:
        folded = self.model.decode(nearest, force_not_quantize=True).sample
        return F.pixel_shuffle(folded, self.patch)  # (B, out_channels, H, W)
