"""A logit sees its patch and nothing else, and a scene its own pixels alone."""

from __future__ import annotations

import torch

from rarescene.networks import PatchDiscriminator


def test_three_levels_see_patches_of_46_pixels() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(2, (4, 4, 4))
    network.layers = torch.nn.Sequential(  # the norms look at the whole picture, so they are left out
        *(layer for layer in network.layers if not isinstance(layer, torch.nn.InstanceNorm2d))
    )
    pictures = torch.randn(1, 2, 128, 128, requires_grad=True)
    logits = network(pictures)
    assert logits.shape == (1, 1, 15, 15)
    logits[0, 0, 7, 7].backward()
    seen = pictures.grad.abs().sum((0, 1))
    rows, columns = (torch.nonzero(seen.sum(axis)).flatten() for axis in (1, 0))
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (46, 46)


def test_a_scene_is_judged_alike_alone_and_among_others() -> None:
    torch.manual_seed(0)
    network, pictures = PatchDiscriminator(3, (8, 16, 16)).train(), torch.randn(3, 3, 32, 32)
    alone = torch.cat([network(pictures[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(network(pictures), alone)
    assert not list(network.buffers())
