"""Codes are the nearest, gradients pass them straight, and the loss is that of the paper and not its slip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rarescene.foundation.errors import ConfigError
from rarescene.networks import VqAutoencoder, VqAutoencoderConfig

CONFIG = VqAutoencoderConfig(
    levels=(8, 16), blocks_per_level=1, patch=2, channels=3, codes=12, commitment=0.5
)


def network(config: VqAutoencoderConfig = CONFIG) -> VqAutoencoder:
    torch.manual_seed(0)
    made = VqAutoencoder(config, 3, 5).eval()
    made.codebook.data.normal_()
    return made


def test_codes_and_loss_are_those_of_a_slow_reference() -> None:
    net, latents = network(), torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    nearest, codes, loss = net.quantise(latents)
    book, z = net.codebook.detach().numpy(), latents.permute(0, 2, 3, 1).numpy()
    expected = np.empty((2, 4, 5), np.int64)
    for place in np.ndindex(2, 4, 5):
        expected[place] = np.argmin([np.sum((z[place] - code) ** 2) for code in book])
    np.testing.assert_array_equal(codes.numpy(), expected)
    np.testing.assert_allclose(nearest.detach().permute(0, 2, 3, 1), book[expected], atol=1e-6)
    squared = np.mean((book[expected] - z) ** 2)
    assert loss.item() == pytest.approx((1 + 0.5) * squared, rel=1e-5)


def test_the_commitment_weighs_on_the_latents_and_not_on_the_codes() -> None:
    net = network()
    latents = torch.randn(1, 3, 2, 2, requires_grad=True)
    _, codes, loss = net.quantise(latents)
    loss.backward()
    away = latents.detach() - net.codebook.detach()[codes].permute(0, 3, 1, 2)
    torch.testing.assert_close(latents.grad, 0.5 * 2 * away / away.numel())
    moved = torch.zeros_like(net.codebook)
    moved.index_add_(0, codes.flatten(), -2 * away.permute(0, 2, 3, 1).reshape(-1, 3) / away.numel())
    torch.testing.assert_close(net.codebook.grad, moved)


def test_the_gradient_passes_the_codebook_straight() -> None:
    net, given = network(), torch.randn(2, 3, 16, 16)
    towards = torch.randn(2, 5, 16, 16)
    latents = net.encode(given).detach().requires_grad_()
    (net._decode(net.quantise(latents)[0]) * towards).sum().backward()
    nearest = net.quantise(latents.detach())[0].detach().requires_grad_()
    (net._decode(nearest) * towards).sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().max() > 0
    torch.testing.assert_close(latents.grad, nearest.grad)


@pytest.mark.parametrize(("levels", "patch", "factor"), [((8, 16, 16), 1, 4), ((8, 16), 2, 4), ((8,), 4, 4)])
def test_the_factor_is_that_of_levels_and_patch(levels: tuple[int, ...], patch: int, factor: int) -> None:
    config = VqAutoencoderConfig(levels=levels, patch=patch, blocks_per_level=1, codes=8, channels=2)
    coded = network(config)(torch.randn(3, 3, 16, 24))
    assert config.factor == factor
    assert coded.latents.shape == (3, 2, 16 // factor, 24 // factor)
    assert coded.codes.shape == (3, 16 // factor, 24 // factor)
    assert coded.output.shape == (3, 5, 16, 24)


def test_forward_is_encode_then_decode() -> None:
    net, given = network(), torch.randn(2, 3, 16, 16)
    coded = net(given)
    torch.testing.assert_close(coded.latents, net.encode(given))
    torch.testing.assert_close(coded.output, net.decode(coded.latents))


def test_codes_are_told_apart_in_float32_whatever_surrounds_them() -> None:
    net = network()
    net.codebook.data[:2] = torch.tensor([[1.0, 1.0, 1.0], [1.001, 1.001, 1.001]])
    net.codebook.data[2:] = 9.0
    latents = torch.full((1, 3, 1, 1), 1.001)
    with torch.autocast("cpu", torch.bfloat16):
        nearest, codes, _ = net.quantise(latents)
    assert codes.item() == 1
    torch.testing.assert_close(nearest, latents)


def test_defaults_are_the_papers() -> None:
    config = VqAutoencoderConfig()
    with torch.device("meta"):
        net = VqAutoencoder(config, 3, 3)
    assert (config.levels, config.blocks_per_level, config.codes, config.factor) == (
        (128, 256, 1024),
        2,
        8192,
        4,
    )
    assert [len(block.resnets) for block in net.model.encoder.down_blocks] == [2, 2, 2]
    assert [len(block.resnets) for block in net.model.decoder.up_blocks] == [3, 3, 3]  # "an additional block"


@pytest.mark.parametrize(
    "wrong", [{"patch": 3}, {"levels": ()}, {"codes": 1}, {"commitment": -1.0}, {"channels": 0}]
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        VqAutoencoderConfig(**wrong)  # type: ignore[arg-type]
