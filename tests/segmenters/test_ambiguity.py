"""Where two contours are plausible, PHiSeg draws both, each as often as it is right; a U-Net settles for one.

Phantom scenes of 32² whose liver is annotated wide with probability 0.7, and tight with 0.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor

from rarescene.evaluation import generalised_energy_distance
from rarescene.scenes import open_scenes
from rarescene.segmenters import (
    PHiSegConfig,
    SegmentationNetwork,
    UNetConfig,
    build_segmenter,
)
from rarescene.training import to_images

WIDE = 0.7
STEPS = 300


def two_contours() -> tuple[Tensor, Tensor, Tensor]:
    """Images `(N, 3, 32, 32)`, and the wide and the tight mask of each, `(N, 32, 32)`."""
    scenes = open_scenes("phantom:videos=12,frames=12,size=32,seed=0")
    liver = scenes.classes.id_of("liver")
    chosen = [scene for scene in scenes if (scene.mask == liver).mean() > 0.06]
    wide, tight = (
        torch.from_numpy(np.stack([change(scene.mask == liver, iterations=2) for scene in chosen])).long()
        for change in (binary_dilation, binary_erosion)
    )
    return to_images(np.stack([scene.image for scene in chosen])), wide, tight


def trained(config: Any, images: Tensor, wide: Tensor, tight: Tensor) -> SegmentationNetwork:
    torch.manual_seed(0)
    network = build_segmenter(config, classes=2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(images), (16,))
        masks = torch.where(torch.rand(16, 1, 1) < WIDE, wide[drawn], tight[drawn])
        optimiser.zero_grad()
        network(images[drawn], masks)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network


def overlap(masks: Tensor, contour: Tensor) -> Tensor:
    both, either = masks & contour.bool(), masks | contour.bool()
    return both.sum(dim=(2, 3)) / either.sum(dim=(2, 3))


@pytest.mark.slow
def test_samples_show_both_contours_near_their_ratio_and_come_nearer_to_the_annotators() -> None:
    images, wide, tight = two_contours()
    # The coarsest latent sees the whole scene, as the choice is one for all of it.
    deep = (16, 24, 32, 32, 32, 32)

    phiseg = trained(PHiSegConfig(deep, latent_levels=4, convolutions=1), images, wide, tight)
    unet = trained(UNetConfig(deep, dice=0.0), images, wide, tight)
    images, wide, tight = images[::3], wide[::3], tight[::3]  # neighbouring frames tell no more

    samples = phiseg.posterior(images, 48).argmax(dim=2).bool()  # type: ignore[operator]
    to_wide, to_tight = overlap(samples, wide), overlap(samples, tight)
    clear = (to_wide - to_tight).abs() > (1 - overlap(wide.bool()[None], tight)) / 3
    assert clear.float().mean() > 0.7  # a sample is one of the two, not something between
    share = (to_wide > to_tight)[clear].float().mean()
    # All scenes share the noise of a sample: of 48, a share is known to ± 0.07 (one deviation).
    assert WIDE - 0.2 < share < WIDE + 0.2
    assert to_wide[(to_wide > to_tight) & clear].mean() > 0.75
    assert to_tight[(to_wide < to_tight) & clear].mean() > 0.6

    one = unet.predict(images).argmax(dim=1)[None]
    annotators = torch.stack([wide] * 7 + [tight] * 3)
    distances = [
        generalised_energy_distance(masks.long(), annotators, 2, counted=[1]).mean()
        for masks in (samples, one)
    ]
    assert distances[0] < 0.7 * distances[1]
