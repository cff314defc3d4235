"""The parts against slow versions written from the equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rarescene.networks import Modulation
from rarescene.networks.spade_blocks import MapInput, ResidualBlock, SelfAttention, SpadeNorm, group_count

Array = NDArray[np.float64]


def slow_group_norm(x: Array, groups: int) -> Array:
    out = np.empty_like(x)
    size = x.shape[1] // groups
    for b in range(x.shape[0]):
        for g in range(groups):
            members = x[b, g * size : (g + 1) * size]
            out[b, g * size : (g + 1) * size] = (members - members.mean()) / np.sqrt(members.var() + 1e-5)
    return out


def slow_conv(x: Array, layer: nn.Conv2d) -> Array:
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()  # type: ignore[union-attr]
    pad = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((x.shape[0], weight.shape[0], *x.shape[2:]))
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = padded[:, :, i : i + weight.shape[2], j : j + weight.shape[3]]
            out[:, :, i, j] = np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3])) + bias
    return out


def slow_spade(x: Array, layout: Array, norm: SpadeNorm) -> Array:
    channels = x.shape[1]
    hidden = np.maximum(slow_conv(layout, norm.hidden), 0)
    both = slow_conv(hidden, norm.gamma_beta)
    gamma, beta = both[:, :channels], both[:, channels:]
    return slow_group_norm(x, group_count(channels)) * (1 + gamma) + beta


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def scattered(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(8, 2), (16, 4), (32, 8), (48, 4), (64, 16), (96, 8), (128, 32), (1024, 32), (320, 16)],
)
def test_groups_divide_the_channels_and_hold_four_or_more(channels: int, groups: int) -> None:
    assert group_count(channels) == groups
    assert channels % groups == 0
    assert channels // groups >= 4


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_spade_is_its_equation(batch: int, cached: bool) -> None:
    torch.manual_seed(batch)
    norm = SpadeNorm(16, MapInput(channels=4, hidden=6, level=0))
    scattered(norm)
    layout = torch.nn.functional.one_hot(torch.randint(0, 4, (batch, 5, 7)), 4).permute(0, 3, 1, 2).float()
    x = 3 * torch.randn(batch, 16, 5, 7) + 1
    modulation = Modulation((layout,), {norm: norm.term(layout)} if cached else {})
    expected = slow_spade(x.double().numpy(), layout.double().numpy(), norm)
    np.testing.assert_allclose(norm(x, modulation).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("resample", "takes_map"), [("none", False), ("down", False), ("none", True), ("up", True)]
)
def test_residual_block_is_its_equation(resample: str, takes_map: bool) -> None:
    torch.manual_seed(3)
    level = 1 if resample == "up" else 0
    source = MapInput(4, 6, level) if takes_map else None
    block = ResidualBlock(8, 16, 12, resample, source)  # type: ignore[arg-type]
    scattered(block)
    x, time = torch.randn(3, 8, 4, 6), torch.randn(3, 12)
    fine = torch.rand(3, 4, 8, 12)
    layouts = (fine, fine[:, :, ::2, ::2]) if level else (fine[:, :, ::2, ::2], fine[:, :, ::4, ::4])

    def normed(features: Array, norm: nn.Module, layout: torch.Tensor) -> Array:
        if isinstance(norm, SpadeNorm):
            return slow_spade(features, layout.double().numpy(), norm)
        weight, bias = (part.detach().double().numpy()[:, None, None] for part in norm.parameters())
        return slow_group_norm(features, group_count(features.shape[1])) * weight + bias

    def resampled(features: Array) -> Array:
        if resample == "up":
            return features.repeat(2, axis=2).repeat(2, axis=3)
        if resample == "down":
            return (
                features[..., ::2, ::2]
                + features[..., 1::2, ::2]
                + features[..., ::2, 1::2]
                + features[..., 1::2, 1::2]
            ) / 4
        return features

    scale, shift = np.split(block.time(time).detach().double().numpy()[:, :, None, None], 2, axis=1)
    inside = x.double().numpy()
    h = slow_conv(resampled(silu(normed(inside, block.norm_in, layouts[level]))), block.conv_in)
    h = normed(h, block.norm_out, layouts[0]) * (1 + scale) + shift
    expected = slow_conv(resampled(inside), block.skip) + slow_conv(silu(h), block.conv_out)  # type: ignore[arg-type]
    output = block(x, time, Modulation(layouts)).detach().numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_attention_is_its_equation(batch: int) -> None:
    torch.manual_seed(batch)
    attention = SelfAttention(16, head_channels=8)
    scattered(attention)
    x = torch.randn(batch, 16, 3, 5)
    normed = attention.norm(x).detach().double().numpy()
    weight, bias = (part.detach().double().numpy() for part in attention.qkv.parameters())
    out_weight, out_bias = (part.detach().double().numpy() for part in attention.out.parameters())
    expected = x.double().numpy().copy()
    for b in range(batch):
        tokens = normed[b].reshape(16, 15).T @ weight.T + bias
        query, key, value = np.split(tokens, 3, axis=1)
        heads = []
        for part in (slice(0, 8), slice(8, 16)):
            scores = np.exp(query[:, part] @ key[:, part].T / np.sqrt(8))
            heads.append(scores / scores.sum(1, keepdims=True) @ value[:, part])
        expected[b] += (np.concatenate(heads, axis=1) @ out_weight.T + out_bias).T.reshape(16, 3, 5)
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("takes_map", [False, True])
def test_fresh_block_is_the_identity(takes_map: bool) -> None:
    x, time = torch.randn(3, 16, 4, 4), torch.randn(3, 8)
    block = ResidualBlock(16, 16, 8, "none", MapInput(4, 6, 0) if takes_map else None)
    assert torch.equal(block(x, time, Modulation((torch.rand(3, 4, 4, 4),))), x)
    assert torch.equal(SelfAttention(16, 8)(x), x)
