"""The generator of StyleGAN2 (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020).

A mapping network turns noise z into a latent w; the synthesis network grows a learned constant into an image,
its convolutions modulated by w, one latent a layer (together w+), and adds the images of all levels (skips).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.networks.config import StyleGan2Config
from rarescene.networks.equalised import EqualLinear, activate, double, smooth

IMAGE_CHANNELS = 3


class MappingNetwork(nn.Module):
    """f: z ↦ w, normalised noise through fully connected layers of a slow learning rate."""

    def __init__(self, config: StyleGan2Config) -> None:
        super().__init__()
        width, rate = config.latent, config.mapping_rate
        self.layers = nn.ModuleList(
            EqualLinear(width, width, rate=rate) for _ in range(config.mapping_layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return w `(B, D)` for z `(B, D)`, standard normal noise."""
        w = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = activate(layer(w))
        return w


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, section 2.2.

    The style is laid upon the activations instead of the weights, which is the same by linearity and needs
    one convolution a batch instead of one an image.

    Args:
        channels: in.
        out: channels out.
        kernel: 1 or 3.
        latent: width of w.
        demodulate: whether every output channel is brought back to unit variance.
        up: whether height and width are doubled, by a transposed convolution and the bilinear filter.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, latent: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.style = EqualLinear(latent, channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out, channels, kernel, kernel))
        self.scale = 1 / math.sqrt(channels * kernel**2)
        self.demodulate, self.up = demodulate, up

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return `(B, out, H, W)`, or twice as high and wide, for `(B, channels, H, W)` and w `(B, D)`."""
        style, weight = self.style(w), self.weight * self.scale
        x = x * style[:, :, None, None]  # Eq. 1: w'_ijk = s_i · w_ijk
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # (B, out, 2H+1, 2W+1)
            x = smooth(x, 1, gain=4.0)  # (B, out, 2H, 2W)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            # Eq. 3: w''_ijk = w'_ijk / √(Σ_ik w'_ijk² + ε)
            energy = style.square() @ weight.square().sum(dim=(2, 3)).T  # (B, out)
            x = x * torch.rsqrt(energy + 1e-8)[:, :, None, None]
        return x


class StyledLayer(nn.Module):
    """A modulated convolution, noise with a learned strength, bias, and the activation."""

    def __init__(self, channels: int, out: int, latent: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, out, 3, latent, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Return the layer's features `(B, out, h, w)`; `noise` is `(B or 1, 1, h, w)`."""
        return activate(self.conv(x, w) + self.strength * noise + self.bias[:, None, None])


class ToImage(nn.Module):
    """The image of one level: a modulated 1 × 1 convolution without demodulation, unfolded by the patch."""

    def __init__(self, channels: int, latent: int, patch: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, IMAGE_CHANNELS * patch**2, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(IMAGE_CHANNELS * patch**2))
        self.patch = patch

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return `(B, 3, patch·h, patch·w)` for features `(B, channels, h, w)`."""
        return F.pixel_shuffle(self.conv(x, w) + self.bias[:, None, None], self.patch)


class StyleGan2Generator(nn.Module):
    """z ↦ w ↦ image.

    Attributes:
        size: height and width of the images, multiples of `config.stride`.
        latents: how many latents steer an image: two a level, 2L.
        noise_sizes: height and width of the noise of each layer, 2L - 1 of them.
        feature_channels: channels of the features of each layer.
        mean_w: `(D,)`, the mean of w, to which latents are truncated; zero until `measure_w`.
        spread_w: `(D,)`, its standard deviation; one until then.

    Args:
        config: sizes.
        height: of the images, in pixels; what `config.stride` does not divide is rounded up.
        width: likewise. The learned constant has the images' own aspect.
    """

    mean_w: Tensor
    spread_w: Tensor

    def __init__(self, config: StyleGan2Config, height: int, width: int) -> None:
        super().__init__()
        self.config, stride = config, config.stride
        rows, columns = -(-height // stride), -(-width // stride)
        self.size = (rows * stride, columns * stride)
        channels, latent, patch = config.channels[::-1], config.latent, config.patch  # from the coarsest
        self.latents = 2 * len(channels)
        self.mapping = MappingNetwork(config)
        self.start = nn.Parameter(torch.randn(1, channels[0], rows, columns))
        self.layers = nn.ModuleList([StyledLayer(channels[0], channels[0], latent)])
        self.to_image = nn.ModuleList([ToImage(channels[0], latent, patch)])
        self.noise_sizes = [(rows, columns)]
        for level in range(1, len(channels)):
            self.layers.append(StyledLayer(channels[level - 1], channels[level], latent, up=True))
            self.layers.append(StyledLayer(channels[level], channels[level], latent))
            self.to_image.append(ToImage(channels[level], latent, patch))
            self.noise_sizes += [(rows << level, columns << level)] * 2
        self.feature_channels = channels[:1] + tuple(wide for wide in channels[1:] for _ in range(2))
        for index, (high, wide) in enumerate(self.noise_sizes):
            self.register_buffer(f"noise_{index}", torch.randn(1, 1, high, wide))
        self.register_buffer("mean_w", torch.zeros(latent))
        self.register_buffer("spread_w", torch.ones(latent))

    def forward(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Return images `(B, 3, H, W)`, about in [-1, 1], for latents w+ `(B, 2L, D)`.

        Args:
            w: the latents; repeat one w over the layers with `spread`.
            noise: of each layer, `(B or 1, 1, h, w)`; by default the network's own, which never changes.
        """
        return self.synthesise(w, noise)[0]

    def synthesise(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return images, and the features of all layers: 2L - 1 maps `(B, C, h, w)` from the coarsest on."""
        noise = self.own_noise() if noise is None else noise
        x = self.layers[0](self.start.expand(len(w), -1, -1, -1), w[:, 0], noise[0])
        image, features = self.to_image[0](x, w[:, 1]), [x]
        for level in range(1, len(self.to_image)):
            for index in (2 * level - 1, 2 * level):
                x = self.layers[index](x, w[:, index], noise[index])
                features.append(x)
            image = double(image) + self.to_image[level](x, w[:, 2 * level + 1])
        return image, features

    def spread(self, w: Tensor) -> Tensor:
        """Return w+ `(B, 2L, D)`: the same w `(B, D)` for every layer."""
        return w.unsqueeze(1).expand(-1, self.latents, -1)

    def own_noise(self) -> list[Tensor]:
        """Return the fixed noise of each layer, `(1, 1, h, w)`."""
        return [getattr(self, f"noise_{index}") for index in range(len(self.noise_sizes))]

    def measure_w(self, z: Tensor) -> None:
        """Set `mean_w` and `spread_w` to those of w over many z `(N, D)`."""
        with torch.no_grad():
            w = self.mapping(z)
            self.mean_w.copy_(w.mean(dim=0))
            self.spread_w.copy_(w.std(dim=0))
