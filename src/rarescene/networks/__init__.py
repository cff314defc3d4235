"""Networks: the SPADE U-Net of CASDM, and the frozen feature extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.networks.config import PromptUNetConfig as PromptUNetConfig
    from rarescene.networks.config import SpadeUNetConfig as SpadeUNetConfig
    from rarescene.networks.config import StyleGan2Config as StyleGan2Config
    from rarescene.networks.config import VqAutoencoderConfig as VqAutoencoderConfig
    from rarescene.networks.features import EffNetLite0 as EffNetLite0
    from rarescene.networks.label_unet import LabelUNet as LabelUNet
    from rarescene.networks.layout import one_hot_layout as one_hot_layout
    from rarescene.networks.patch_discriminator import PatchDiscriminator as PatchDiscriminator
    from rarescene.networks.prompt_unet import PromptUNet as PromptUNet
    from rarescene.networks.spade_blocks import Modulation as Modulation
    from rarescene.networks.spade_unet import SpadeUNet as SpadeUNet
    from rarescene.networks.stylegan2 import StyleGan2Generator as StyleGan2Generator
    from rarescene.networks.stylegan2_discriminator import StyleGan2Discriminator as StyleGan2Discriminator
    from rarescene.networks.stylegan2_discriminator import StyleGan2Encoder as StyleGan2Encoder
    from rarescene.networks.text_encoder import EMBEDDED as EMBEDDED
    from rarescene.networks.text_encoder import TextEncoder as TextEncoder
    from rarescene.networks.vq_autoencoder import VqAutoencoder as VqAutoencoder

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "EMBEDDED": "text_encoder",
        "EffNetLite0": "features",
        "LabelUNet": "label_unet",
        "Modulation": "spade_blocks",
        "PatchDiscriminator": "patch_discriminator",
        "PromptUNet": "prompt_unet",
        "PromptUNetConfig": "config",
        "SpadeUNet": "spade_unet",
        "SpadeUNetConfig": "config",
        "StyleGan2Config": "config",
        "StyleGan2Discriminator": "stylegan2_discriminator",
        "StyleGan2Encoder": "stylegan2_discriminator",
        "StyleGan2Generator": "stylegan2",
        "TextEncoder": "text_encoder",
        "VqAutoencoder": "vq_autoencoder",
        "VqAutoencoderConfig": "config",
        "one_hot_layout": "layout",
    },
)
