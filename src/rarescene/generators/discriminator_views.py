"""What a discriminator sees of an image where images are few: real and generated ones are changed alike.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020: gradients pass
through the changes to the generator, so it need not generate them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.seeds import derive_seed


def varied(images: Tensor, seeds: Sequence[int], *, shift: float, colour: float) -> Tensor:
    """Return images `(B, 3, H, W)` changed in colour and place, each by its own seed.

    Args:
        images: about in [-1, 1].
        seeds: one an image.
        shift: the largest shift along a side, as a share of it; what comes in from outside is 0, a middle
            gray.
        colour: with 1, brightness moves by up to 0.5, saturation is multiplied by 0 to 2 and contrast by 0.5
            to 1.5; less changes less.
    """
    if not shift and not colour:
        return images
    draws = torch.stack(
        [torch.rand(5, generator=torch.Generator().manual_seed(derive_seed(seed, "view"))) for seed in seeds]
    )
    if colour:
        brightness, saturation, contrast = colour * (draws[:, :3] - 0.5).T[:, :, None, None, None].to(
            images.device
        )  # (3, B, 1, 1, 1)
        images = images + brightness
        gray = images.mean(dim=1, keepdim=True)
        images = gray + (images - gray) * (1 + 2 * saturation)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = mean + (images - mean) * (1 + contrast)
    if shift:
        height, width = images.shape[-2:]
        most = (round(shift * height), round(shift * width))
        padded = F.pad(images, (most[1], most[1], most[0], most[0]))
        places = [[int(draw * (2 * reach + 1)) for draw, reach in zip(row, most, strict=True)]
                  for row in draws[:, 3:].tolist()]  # fmt: skip
        images = torch.stack(
            [image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)]
        )
    return images
