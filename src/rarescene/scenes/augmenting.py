"""Random flips, rotations and crops of whole scenes, image and mask together, and other colours and light.

Each scene changes as its own seed decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.config import AugmentConfig

_BLACK = -1.0


def augment(
    images: Tensor, masks: Tensor, seeds: Sequence[int], config: AugmentConfig, ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Return the augmented batch; scene i depends on its own seed alone, whatever batch it stands in.

    Flips are exact. A rotation or a crop samples images bilinearly and masks by nearest neighbour, so no id
    is ever invented; what comes from outside the frame is black in the image and ignored in the mask. Colour
    and light change in the image alone, which stays in [-1, 1].

    Args:
        images: float `(B, 3, H, W)` in [-1, 1].
        masks: int64 `(B, H, W)`.
        seeds: one a scene.
        config: what may happen, and how often.
        ignore_index: the id of what is not labelled.
    """
    if not config.active:
        return images, masks
    changed = [
        _one(image, mask, seed, config, ignore_index)
        for image, mask, seed in zip(images, masks, seeds, strict=True)
    ]
    return torch.stack([image for image, _ in changed]), torch.stack([mask for _, mask in changed])


def _one(
    image: Tensor, mask: Tensor, seed: int, config: AugmentConfig, ignore_index: int
) -> tuple[Tensor, Tensor]:
    # All numbers are always drawn, so that switching one change off leaves the others as they were.
    draws = torch.rand(
        7, generator=torch.Generator().manual_seed(derive_seed(seed, "augment")), dtype=torch.float64
    )
    mirror, upside, turn, cut, angle, across, along = draws.tolist()
    if config.colour:
        image = _recoloured(image, config.colour, seed)
    if mirror < config.horizontal_flip:
        image, mask = image.flip(-1), mask.flip(-1)
    if upside < config.vertical_flip:
        image, mask = image.flip(-2), mask.flip(-2)
    radians = math.radians(config.degrees) * (2 * angle - 1) if turn < config.rotation else 0.0
    share = config.crop_share if cut < config.crop else 0.0
    if radians or share:
        image, mask = _warp(image, mask, radians, share, (2 * across - 1, 2 * along - 1), ignore_index)
    return image, mask


def _recoloured(image: Tensor, share: float, seed: int) -> Tensor:
    """Change hue, saturation, contrast and brightness `(3, H, W)`, each by up to its share, in this order.

    A pixel's grey is the mean of its channels. Hue turns its colour about the grey axis, saturation moves it
    away from its grey, contrast from the image's mean grey, and brightness multiplies the light, of which
    black has none.
    """
    draws = torch.rand(4, generator=torch.Generator().manual_seed(derive_seed(seed, "colour")))
    hue, saturation, contrast, brightness = (share * (2 * draws - 1)).tolist()
    image = torch.einsum("ij,jhw->ihw", _hue_turned(hue * math.radians(45)).to(image), image)
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (1 + saturation) * (image - grey)
    mean = grey.mean()
    image = mean + (1 + contrast) * (image - mean)
    return (_BLACK + (1 + brightness) * (image - _BLACK)).clamp(-1, 1)


def _hue_turned(angle: float) -> Tensor:
    """Return the rotation of RGB `(3, 3)` about the grey axis: by a third of a turn, red becomes green."""
    cosine, sine = math.cos(angle), math.sin(angle) / math.sqrt(3)
    along, ahead, behind = (1 + 2 * cosine) / 3, (1 - cosine) / 3 + sine, (1 - cosine) / 3 - sine
    return torch.tensor([[along, behind, ahead], [ahead, along, behind], [behind, ahead, along]])


def _warp(
    image: Tensor, mask: Tensor, radians: float, share: float, offset: tuple[float, float], ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Rotate about the centre and crop; `offset` in [-1, 1] places the crop within the room it has."""
    height, width = mask.shape
    sine, cosine, aspect = math.sin(radians), math.cos(radians), width / height
    scale = 1 - share
    # Rows of the affine map from target to source, in coordinates from -1 to 1; the aspect keeps angles
    # right.
    theta = image.new_tensor(
        [
            [scale * cosine, -scale * sine / aspect, share * offset[0]],
            [scale * sine * aspect, scale * cosine, share * offset[1]],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    # Outside the frame grid_sample gives 0: shifted by one, that is black for images and "no id" for masks.
    lifted = F.grid_sample(image[None].float() - _BLACK, grid, mode="bilinear", align_corners=False)[0]
    ids = (
        F.grid_sample(mask[None, None].float() + 1, grid, mode="nearest", align_corners=False)[0, 0].long()
        - 1
    )
    return (lifted + _BLACK).to(image.dtype), ids.masked_fill(ids < 0, ignore_index)
