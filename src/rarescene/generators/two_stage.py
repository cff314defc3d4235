"""A map generator and an image generator as one: request to map, checked and redrawn, and map to image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.image_diffusion import ImageDiffusion
from rarescene.generators.prompted_maps import PromptedMaps
from rarescene.scenes import Request


class MapsThenImages:
    """CASDM's road as a pair generator: p(image | mask) p(mask | request).

    Args:
        maps: draws the masks.
        images: draws an image for each.

    Raises:
        CheckpointError: the two have other classes or sizes.
    """

    def __init__(self, maps: PromptedMaps, images: ImageDiffusion[Any]) -> None:
        if maps.table.fingerprint != images.table.fingerprint:
            raise CheckpointError(
                f"maps of classes of {maps.table.name!r} for images of those of {images.table.name!r}",
                "Train both generators on data of one class table.",
            )
        one, other = ((part.config.height, part.config.width) for part in (maps, images))
        if one != other:
            raise CheckpointError(
                f"maps of {one[1]}×{one[0]} for images of {other[1]}×{other[0]}",
                "Train both generators at one size.",
            )
        self.maps, self.images, self.table = maps, images, maps.table

    def to(self, device: torch.device | str) -> Self:
        """Move the weights of both, and return the generator."""
        self.maps.to(device)
        self.images.to(device)
        return self

    def generate(
        self,
        requests: Sequence[Request],
        *,
        seeds: Sequence[int],
        tries: int = 8,
        map_options: Mapping[str, Any] | None = None,
        image_options: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Pairs:
        """Draw one pair for each request; a map that does not keep its request is drawn anew.

        Args:
            requests: what the scenes must show; shares of area are not listened to.
            seeds: one a request; pair i depends on request i and seed i alone.
            tries: maps drawn for a request at most.
            map_options: sampler, steps, guidance and precision of `PromptedMaps.generate`.
            image_options: those of `ImageDiffusion.generate`.
            progress: called after each denoising step of a map or an image, with those done and all of it.

        Returns:
            The pairs; the confidence is the map's.
        """
        drawn = self.maps.draw(
            requests,
            seeds=[derive_seed(seed, "map") for seed in seeds],
            tries=tries,
            progress=progress,
            **(map_options or {}),
        )
        masks = torch.tensor(np.stack([one.mask for one in drawn]), dtype=torch.int64)
        images = self.images.generate(masks, seeds=seeds, progress=progress, **(image_options or {}))
        confidence = torch.from_numpy(np.stack([one.confidence for one in drawn]))
        return Pairs(images, masks.to(images.device), confidence.to(images.device))
