"""Networks: the SPADE U-Net of CASDM, and the frozen feature extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.networks.config import (
        PromptUNetConfig,
        SpadeUNetConfig,
        StyleGan2Config,
        VqAutoencoderConfig,
    )
    from rarescene.networks.features import EffNetLite0
    from rarescene.networks.label_unet import LabelUNet
    from rarescene.networks.patch_discriminator import PatchDiscriminator
    from rarescene.networks.prompt_unet import PromptUNet
    from rarescene.networks.spade_blocks import Modulation, one_hot_layout
    from rarescene.networks.spade_unet import SpadeUNet
    from rarescene.networks.stylegan2 import StyleGan2Generator
    from rarescene.networks.stylegan2_discriminator import StyleGan2Discriminator, StyleGan2Encoder
    from rarescene.networks.text_encoder import EMBEDDED, TextEncoder
    from rarescene.networks.vq_autoencoder import VqAutoencoder

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
