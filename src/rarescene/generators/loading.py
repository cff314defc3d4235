"""Any image generator, by what its folder says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import read_json
from rarescene.generators.casdm import Casdm
from rarescene.generators.conditional_ddpm import ConditionalDdpm
from rarescene.generators.image_diffusion import ImageDiffusion
from rarescene.generators.metadata import DESCRIPTION
from rarescene.generators.sdm import Sdm

IMAGE_GENERATORS: dict[str, type[ImageDiffusion[Any]]] = {
    kind.name: kind for kind in (Casdm, Sdm, ConditionalDdpm)
}


def load_image_generator(folder: Path) -> ImageDiffusion[Any]:
    """Read what the `save` of any image generator wrote.

    Raises:
        CheckpointError: a file is missing or damaged, does not fit, or describes no image generator.
    """
    path = folder / DESCRIPTION
    settings = read_json(path)
    name = settings.get("generator") if isinstance(settings, dict) else None
    if not isinstance(name, str) or name not in IMAGE_GENERATORS:
        known = ", ".join(IMAGE_GENERATORS)
        raise CheckpointError(
            f"describes no image generator, but {name!r}", f"Give the folder of one of: {known}.", path
        )
    return IMAGE_GENERATORS[name].load(folder)


METHODS = {"casdm": "CASDM", "sdm": "SDM", "conditional_ddpm": "Conditional DDPM"}
"""The image generators by the kind of their run records, and how cards call them."""


PAIR_METHODS = {"joint_latent": "Joint latent diffusion", "datasetgan": "DatasetGAN"}
"""The generators of pairs, likewise."""


VQGANS = {"image_vqgan": "VQ-GAN of images", "mask_vqgan": "VQ-GAN of masks"}
"""The autoencoders, likewise."""
