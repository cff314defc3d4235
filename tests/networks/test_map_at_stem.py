"""The network of the conditional DDPM: the map joins the noisy image at the stem."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from rarescene.foundation.errors import ConfigError
from rarescene.networks import SpadeUNet, SpadeUNetConfig, one_hot_layout

CLASSES = 4


def network(patch: int) -> SpadeUNet:
    torch.manual_seed(0)
    unet = SpadeUNet.build(
        SpadeUNetConfig(
            classes=CLASSES, base_channels=16, multipliers=(1, 2), attention_strides=(), head_channels=16,
            patch=patch, map_at="stem",
        )
    )  # fmt: skip
    for weight in unet.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return unet.eval().requires_grad_(False)


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    masks = torch.randint(0, CLASSES, (batch, 8, 16), generator=generator)
    noisy = torch.randn(batch, 3, 8, 16, generator=generator)
    return noisy, torch.randint(0, 1000, (batch,), generator=generator), one_hot_layout(masks, CLASSES)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_a_plain_network_of_image_and_map_as_one_input(batch: int, patch: int) -> None:
    """Against the same weights in a network without a map, whose image has the map's channels too."""
    unet = network(patch)
    noisy, t, layout = inputs(batch)
    seen: list[torch.Tensor] = []
    unet.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    unet(noisy, t, layout)
    folded = [F.pixel_unshuffle(part, patch) for part in (noisy, layout)]
    assert torch.equal(seen[0], torch.cat(folded, dim=1))
    if patch == 1:
        assert torch.equal(seen[0], torch.cat([noisy, layout], dim=1))
    assert not [name for name, _ in unet.named_parameters() if "gamma" in name or "hidden" in name]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_prepared_map_gives_the_same_output_and_one_map_serves_all(batch: int) -> None:
    unet = network(2)
    noisy, t, layout = inputs(batch)
    plain = unet(noisy, t, layout)
    assert torch.equal(plain, unet(noisy, t, unet.modulate(layout)))
    assert unet.modulate(layout).bytes == 0
    one = layout[:1]
    assert torch.equal(unet(noisy, t, one), unet(noisy, t, one.expand(batch, -1, -1, -1)))


def test_a_one_pixel_class_changes_the_output() -> None:
    unet = network(2)
    noisy, t, _ = inputs(1)
    masks = torch.zeros(1, 8, 16, dtype=torch.int64)
    dotted = masks.clone()
    dotted[0, 3, 5] = 2
    outputs = [unet(noisy, t, one_hot_layout(ids, CLASSES)) for ids in (masks, dotted)]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_it_has_no_encoder_of_the_image_alone_and_bad_places_are_refused() -> None:
    noisy, t, _ = inputs(1)
    with pytest.raises(ConfigError, match="map_at"):
        network(1).encode(noisy, t)
    with pytest.raises(ConfigError, match="decoder, stem"):
        SpadeUNetConfig(map_at="middle")  # type: ignore[arg-type]
