"""StyleGAN2: modulated convolutions, filters, and who depends on what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d, upfirdn
from torch import Tensor

from rarescene.foundation.errors import ConfigError
from rarescene.networks import StyleGan2Config, StyleGan2Discriminator, StyleGan2Encoder, StyleGan2Generator
from rarescene.networks.equalised import EqualConv, EqualLinear, activate, double, halve, smooth
from rarescene.networks.stylegan2 import ModulatedConv
from rarescene.networks.stylegan2_discriminator import with_batch_deviation

CONFIG = StyleGan2Config(channels=(8, 12, 16), latent=10, mapping_layers=2)
TAPS = np.array([1, 3, 3, 1]) / 8


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(config: StyleGan2Config = CONFIG, height: int = 16, width: int = 16) -> StyleGan2Generator:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = StyleGan2Generator(config, height, width).eval()
    for layer in network.layers:
        layer.strength.data.fill_(0.3)  # from 0, noise would not be seen
    return network


def filtered(plane: np.ndarray, up: int = 1, down: int = 1, gain: float = 1.0) -> np.ndarray:
    """Both sides of a plane through scipy's filter bank, without a cut of the borders."""
    taps = math.sqrt(gain) * TAPS
    return upfirdn(taps, upfirdn(taps, plane, up, down, axis=0), up, down, axis=1)


def test_halving_and_doubling_are_those_of_scipy() -> None:
    x = noise(2, 3, 6, 10).double()
    for b in range(2):
        for c in range(3):
            plane = x[b, c].numpy()
            np.testing.assert_allclose(
                double(x)[b, c].numpy(), filtered(plane, up=2, gain=4)[1:13, 1:21], atol=1e-12
            )
            padded = np.pad(plane, 1)
            full = filtered(padded)[3:-3, 3:-3]  # where the filter lies within the padded plane
            np.testing.assert_allclose(halve(x)[b, c].numpy(), full[::2, ::2], atol=1e-12)
            np.testing.assert_allclose(smooth(x, 2)[b, c].numpy(), filtered(plane)[1:-1, 1:-1], atol=1e-12)


def test_a_constant_stays_a_constant_and_nothing_is_shifted() -> None:
    flat = torch.full((1, 2, 12, 8), 1.7)
    assert (halve(flat)[..., 1:-1, 1:-1] - 1.7).abs().max() < 1e-6
    assert (double(flat)[..., 1:-1, 1:-1] - 1.7).abs().max() < 1e-6
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)  # the coarse pixel lies between two fine ones
    torch.testing.assert_close(halve(ramp)[0, 0, 3, 1:-1], torch.arange(2.5, 14, 2))
    torch.testing.assert_close(double(ramp)[0, 0, 8, 2:-2], torch.arange(0.75, 14.5, 0.5))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_a_modulated_convolution_is_one_convolution_an_image(up: bool, demodulate: bool, batch: int) -> None:
    conv = ModulatedConv(3, 4, 3, 5, demodulate=demodulate, up=up).double()
    x, w = noise(batch, 3, 4, 6).double(), noise(batch, 5, seed=1).double()
    found = conv(x, w).detach().numpy()
    for index in range(batch):
        style = (w[index] @ (conv.style.weight * conv.style.scale).T + conv.style.bias).detach().numpy()
        weight = (conv.weight * conv.scale).detach().numpy() * style[None, :, None, None]  # Eq. 1
        if demodulate:
            weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)  # Eq. 3
        for out in range(4):
            expected = np.zeros(found.shape[2:])
            for channel in range(3):
                plane, kernel = x[index, channel].numpy(), weight[out, channel]
                if up:
                    spaced = np.zeros((9, 13))
                    spaced[1::2, 1::2] = plane
                    # A transposed convolution lays the kernel at each pixel; then comes the filter.
                    spread = correlate2d(spaced, kernel[::-1, ::-1], mode="same")
                    expected += filtered(spread, gain=4)[2:-2, 2:-2]
                else:
                    expected += correlate2d(plane, kernel, mode="same")
            np.testing.assert_allclose(found[index, out], expected, atol=1e-9)


@pytest.mark.parametrize("up", [False, True])
def test_demodulation_gives_unit_variance_whatever_the_style(up: bool) -> None:
    torch.manual_seed(0)
    conv = ModulatedConv(32, 24, 3, 8, up=up)
    w = torch.cat([noise(2, 8), 50 * noise(2, 8, seed=1)])
    with torch.no_grad():
        inner = conv(noise(4, 32, 24, 24, seed=2), w)[..., 2:-2, 2:-2]
    if not up:  # doubling correlates neighbours, and so changes the variance by the filter's energy
        torch.testing.assert_close(inner.var(dim=(2, 3)).mean(1), torch.ones(4), rtol=0.06, atol=0)
    assert inner[2:].std() / inner[:2].std() == pytest.approx(1, abs=0.06)


def test_equalised_layers_and_the_activation_keep_the_second_moment() -> None:
    torch.manual_seed(0)
    linear, conv = EqualLinear(300, 400, rate=0.01), EqualConv(40, 60, 3)
    with torch.no_grad():
        assert linear(noise(64, 300, seed=1)).square().mean() == pytest.approx(1, abs=0.05)
        assert conv(noise(2, 40, 32, 32, seed=1))[..., 1:-1, 1:-1].square().mean() == pytest.approx(
            1, abs=0.05
        )
        assert activate(noise(100_000)).square().mean() == pytest.approx(1.04, abs=0.02)  # (1 + 0.2²)/2 · 2
    assert linear.weight.std().item() == pytest.approx(100, rel=0.02)  # a step of Adam moves it little


def test_the_batch_deviation_has_a_closed_form() -> None:
    same = torch.ones(4, 2, 3, 3)
    torch.testing.assert_close(with_batch_deviation(same)[:, 2], torch.full((4, 3, 3), 1e-4))
    # Groups of two among six with a largest size of two: image i stands with image i + 3.
    x = torch.tensor([1.0, 2.0, 3.0, 5.0, 2.0, -3.0])[:, None, None, None].expand(-1, 1, 2, 2)
    channel = with_batch_deviation(x, group=2)[:, 1, 0, 0]
    torch.testing.assert_close(channel, torch.tensor([2.0, 0, 3, 2, 0, 3]), atol=2e-4, rtol=0)
    three = with_batch_deviation(x[:3], group=4)[:, 1]  # 4 does not divide 3
    torch.testing.assert_close(three, torch.full((3, 2, 2), math.sqrt(2 / 3)))
    torch.testing.assert_close(with_batch_deviation(x)[:, :1], x)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (12, 28), (18, 30)])
@pytest.mark.parametrize("patch", [1, 2])
def test_images_have_their_own_aspect(height: int, width: int, patch: int) -> None:
    config = StyleGan2Config(channels=(8, 12, 16), latent=10, mapping_layers=2, patch=patch)
    network = made(config, height, width)
    stride = config.stride
    assert stride == 4 * patch
    assert network.size == (-(-height // stride) * stride, -(-width // stride) * stride)
    images, features = network.synthesise(network.spread(network.mapping(noise(3, 10))))
    assert images.shape == (3, 3, *network.size)
    assert tuple(feature.shape[1] for feature in features) == network.feature_channels == (16, 12, 12, 8, 8)
    assert [tuple(feature.shape[2:]) for feature in features] == network.noise_sizes
    assert features[-1].shape[-1] * patch == network.size[1]
    discriminator = StyleGan2Discriminator(config, *network.size)
    assert torch.isfinite(discriminator(images)).all()
    encoder = StyleGan2Encoder(config, *network.size, torch.full((10,), 7.0))
    assert encoder(images).shape == (3, network.latents, 10)
    encoder.head.weight.data.zero_()
    assert (encoder(images) == 7).all()  # what it finds counts from the mean latent


def test_a_latent_steers_its_own_layer_and_those_after_it() -> None:
    network = made()
    w = network.spread(network.mapping(noise(2, 10)))
    before = network.synthesise(w)[1]
    for layer in range(5):
        other = w.clone()
        other[:, layer] += 1.0
        after = network.synthesise(other)[1]
        changed = [not torch.allclose(a, b, atol=1e-4) for a, b in zip(before, after, strict=True)]
        assert changed == [index >= layer for index in range(5)]
    other = w.clone()
    other[:, 5] += 1.0  # the last latent steers the image of the finest level alone
    image, features = network.synthesise(other)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(before, features, strict=True))
    assert not torch.allclose(image, network(w), atol=1e-2)


def test_an_image_depends_on_its_own_latent_and_noise_alone() -> None:
    network = made()
    w = network.spread(network.mapping(noise(3, 10)))
    drawn = [noise(3, 1, *size, seed=place) for place, size in enumerate(network.noise_sizes)]
    together = network(w, drawn)
    for index in range(3):
        alone = network(w[index : index + 1], [part[index : index + 1] for part in drawn])
        torch.testing.assert_close(alone[0], together[index], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(network(w), together)
    assert torch.equal(network(w), network(w))  # its own noise never changes


def test_the_mapping_network_forgets_the_length_of_z_and_measures_its_latents() -> None:
    network = made()
    z = noise(200, 10)
    torch.testing.assert_close(network.mapping(z), network.mapping(9 * z), atol=1e-4, rtol=1e-4)
    network.measure_w(z)
    w = network.mapping(z)
    torch.testing.assert_close(network.mean_w, w.mean(0))
    torch.testing.assert_close(network.spread_w, w.std(0))


def test_the_discriminator_sees_that_images_are_alike() -> None:
    torch.manual_seed(0)
    discriminator = StyleGan2Discriminator(CONFIG, 16, 16)
    images = noise(4, 3, 16, 16)
    alone = discriminator(images[:1].expand(4, -1, -1, -1))
    assert not torch.allclose(discriminator(images)[0], alone[0], atol=1e-3)
    torch.testing.assert_close(alone, alone[:1].expand(4))


@pytest.mark.parametrize(
    "values", [{"channels": ()}, {"channels": (8, 0)}, {"latent": 0}, {"mapping_rate": 0.0}, {"patch": 3}]
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        StyleGan2Config(**values)  # type: ignore[arg-type]


def test_the_defaults_are_config_f() -> None:
    channels = StyleGan2Config().channels
    assert [min(512, 32768 // (4 << level)) for level in range(6)] == list(channels[::-1])
    with torch.device("meta"):
        network = StyleGan2Generator(StyleGan2Config(), 128, 128)
    assert network.noise_sizes[0] == (4, 4)
    assert network.latents == 12
