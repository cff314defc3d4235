"""Networks: the SPADE U-Net of CASDM, and the frozen feature extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.networks.config import SpadeUNetConfig as SpadeUNetConfig
    from rarescene.networks.features import EffNetLite0 as EffNetLite0
    from rarescene.networks.layout import one_hot_layout as one_hot_layout
    from rarescene.networks.spade_blocks import Modulation as Modulation
    from rarescene.networks.spade_unet import SpadeUNet as SpadeUNet

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "EffNetLite0": "features",
        "Modulation": "spade_blocks",
        "SpadeUNet": "spade_unet",
        "SpadeUNetConfig": "config",
        "one_hot_layout": "layout",
    },
)
