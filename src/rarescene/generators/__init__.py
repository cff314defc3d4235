"""Floor 2: where pairs come from, one file a method."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "Casdm": "casdm",
        "CasdmConfig": "config",
        "CasdmLearner": "casdm",
        "ConditionalDdpm": "conditional_ddpm",
        "ConditionalDdpmConfig": "config",
        "ConditionalDdpmLearner": "conditional_ddpm",
        "IMAGE_GENERATORS": "loading",
        "ImageDiffusion": "image_diffusion",
        "ImageDiffusionConfig": "config",
        "ImageDiffusionLearner": "image_diffusion",
        "MapCode": "map_codes",
        "PromptBook": "prompts",
        "PromptConfig": "config",
        "PromptedMaps": "prompted_maps",
        "PromptedMapsConfig": "config",
        "PromptedMapsLearner": "prompted_maps",
        "Sdm": "sdm",
        "SdmConfig": "config",
        "SdmLearner": "sdm",
        "load_image_generator": "loading",
        "rare_scene_weights": "prompted_maps",
        "remove_specks": "specks",
        "separated_palette": "map_codes",
        "touching_classes": "map_codes",
    },
)

if TYPE_CHECKING:
    from rarescene.generators.casdm import Casdm, CasdmLearner
    from rarescene.generators.conditional_ddpm import ConditionalDdpm, ConditionalDdpmLearner
    from rarescene.generators.config import (
        CasdmConfig,
        ConditionalDdpmConfig,
        ImageDiffusionConfig,
        PromptConfig,
        PromptedMapsConfig,
        SdmConfig,
    )
    from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner
    from rarescene.generators.loading import IMAGE_GENERATORS, load_image_generator
    from rarescene.generators.map_codes import MapCode, separated_palette, touching_classes
    from rarescene.generators.prompted_maps import PromptedMaps, PromptedMapsLearner, rare_scene_weights
    from rarescene.generators.prompts import PromptBook
    from rarescene.generators.sdm import Sdm, SdmLearner
    from rarescene.generators.specks import remove_specks
