"""PatchGAN (Isola et al. 2017), in the form that "CycleGAN" (Zhu et al. 2017) gave it: is each patch real?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Convolutions of 4×4 and stride 2, each followed by an instance norm, except the first, and a LeakyReLU.

    Instance norm, as in Zhu et al., leaves no trace of one scene in another, so that a step is the same
    whatever parts its batch is cut into. Three levels see patches of 46×46 pixels.

    Args:
        in_channels: of the pictures: 3 for images, the classes for maps.
        widths: channels of each level; each halves height and width.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = (64, 128, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for level, width in enumerate(widths):
            layers.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
            if level:
                layers.append(nn.InstanceNorm2d(width))
            layers.append(nn.LeakyReLU(0.2))
            channels = width
        layers.append(nn.Conv2d(channels, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return one logit a patch, `(B, 1, H/2^n − 1, W/2^n − 1)`, above 0 for what looks real."""
        return self.layers(pictures)
