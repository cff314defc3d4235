"""Networks: the SPADE U-Net of CASDM, and the frozen feature extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.networks.config import PromptUNetConfig as PromptUNetConfig
    from rarescene.networks.config import SpadeUNetConfig as SpadeUNetConfig
    from rarescene.networks.features import EffNetLite0 as EffNetLite0
    from rarescene.networks.layout import one_hot_layout as one_hot_layout
    from rarescene.networks.prompt_unet import PromptUNet as PromptUNet
    from rarescene.networks.spade_blocks import Modulation as Modulation
    from rarescene.networks.spade_unet import SpadeUNet as SpadeUNet
    from rarescene.networks.text_encoder import EMBEDDED as EMBEDDED
    from rarescene.networks.text_encoder import TextEncoder as TextEncoder

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "EMBEDDED": "text_encoder",
        "EffNetLite0": "features",
        "Modulation": "spade_blocks",
        "PromptUNet": "prompt_unet",
        "PromptUNetConfig": "config",
        "SpadeUNet": "spade_unet",
        "SpadeUNetConfig": "config",
        "TextEncoder": "text_encoder",
        "one_hot_layout": "layout",
    },
)
