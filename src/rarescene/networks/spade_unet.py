"""The SPADE U-Net: predicts the noise of an image from the noisy image, the timestep and the map.

Encoder: the noisy image alone. Middle and decoder: the map too, through every norm of their residual blocks.
The map stays the same from one denoising step to the next, and so does all that those norms compute from it:
`modulate` computes it once. With `map_at: stem` the same blocks have plain norms, and the map joins the noisy
image instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from rarescene.foundation.errors import ConfigError
from rarescene.networks.config import MapAt, Patch, SpadeUNetConfig
from rarescene.networks.spade_blocks import (
    MapInput,
    Modulation,
    PlainNorm,
    Resample,
    ResidualBlock,
    SelfAttention,
    SpadeNorm,
    Stage,
    Term,
    zeroed,
)


class SpadeUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]  # both declare config_name
    """U-Net of Dhariwal and Nichol (2021) that takes the map by SPADE (Wang et al. 2022, section 3).

    The arguments are the fields of `SpadeUNetConfig`, which documents and checks them;
    `SpadeUNet.build(config)` takes the config itself. `save_pretrained` and `from_pretrained` write and read
    safetensors and `config.json`.

    The last convolution of every residual block, the last projection of every attention and the last
    convolution of all start at zero: an untrained network answers 0.

    Raises:
        ConfigError: the values do not fit each other; at a call, image or map do not fit the network.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        classes: int = 13,
        image_channels: int = 3,
        out_channels: int = 3,
        base_channels: int = 256,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        blocks_per_level: int = 2,
        attention_strides: Sequence[int] = (8, 16, 32),
        head_channels: int = 64,
        spade_hidden: int = 128,
        patch: Patch = 1,
        map_at: MapAt = "decoder",
    ) -> None:
        super().__init__()
        self.settings = SpadeUNetConfig(
            classes=classes,
            image_channels=image_channels,
            out_channels=out_channels,
            base_channels=base_channels,
            multipliers=tuple(multipliers),
            blocks_per_level=blocks_per_level,
            attention_strides=tuple(attention_strides),
            head_channels=head_channels,
            spade_hidden=spade_hidden,
            patch=patch,
            map_at=map_at,
        )
        self.gradient_checkpointing = False
        fold = patch * patch
        map_channels = fold * (classes + 1)
        at_stem = map_at == "stem"
        time_channels = 4 * base_channels

        def stage(
            inside: int,
            outside: int,
            level: int,
            resample: Resample = "none",
            *,
            takes_map: bool,
            attends: bool,
        ) -> Stage:
            source = MapInput(map_channels, spade_hidden, level) if takes_map and not at_stem else None
            block = ResidualBlock(inside, outside, time_channels, resample, source)
            return Stage(block, SelfAttention(outside, head_channels) if attends else None)

        self.time_in = nn.Linear(base_channels, time_channels)
        self.time_out = nn.Linear(time_channels, time_channels)

        stem_channels = fold * image_channels + (map_channels if at_stem else 0)
        self.stem = nn.Conv2d(stem_channels, base_channels, 3, padding=1)
        self.encoder = nn.ModuleList()  # the stages of each level; all levels but the first begin by halving
        channels = base_channels
        skips: list[int] = []
        attending = [stride in attention_strides for stride in self.settings.strides]
        for level, (width, attends) in enumerate(zip(self.settings.channels, attending, strict=True)):
            stages = nn.ModuleList()
            if level > 0:
                stages.append(stage(channels, channels, level, "down", takes_map=False, attends=False))
            skips.append(channels)
            for _ in range(blocks_per_level):
                stages.append(stage(channels, width, level, takes_map=False, attends=attends))
                channels = width
                skips.append(channels)
            self.encoder.append(stages)

        deepest = len(multipliers) - 1
        self.middle = nn.ModuleList(
            stage(channels, channels, deepest, takes_map=True, attends=attends) for attends in (True, False)
        )

        self.decoder = nn.ModuleList()  # the levels in reverse; all but the last end by doubling
        for level in reversed(range(len(multipliers))):
            width, attends = self.settings.channels[level], attending[level]
            stages = nn.ModuleList()
            for _ in range(blocks_per_level + 1):
                stages.append(stage(channels + skips.pop(), width, level, takes_map=True, attends=attends))
                channels = width
            if level > 0:
                stages.append(stage(channels, channels, level, "up", takes_map=True, attends=False))
            self.decoder.append(stages)

        self.norm = PlainNorm(channels)
        self.head = zeroed(nn.Conv2d(channels, fold * out_channels, 3, padding=1))

    @classmethod
    def build(cls, config: SpadeUNetConfig) -> SpadeUNet:
        """Return an untrained network."""
        return cls(**asdict(config))

    def forward(self, noisy: Tensor, timesteps: Tensor, layout: Tensor | Modulation) -> Tensor:
        """Return the prediction for a batch of noisy images.

        Args:
            noisy: x_t, `(B, image_channels, H, W)`; height and width divide by `settings.stride`.
            timesteps: t, `(B,)`, or one for all.
            layout: the one-hot map `(B, classes + 1, H, W)` of `one_hot_layout`, or what `modulate` made of
                it; both give the same output to the bit. A single map serves all images.

        Returns:
            `(B, out_channels, H, W)` in the dtype of `noisy`.
        """
        modulation = layout if isinstance(layout, Modulation) else self.modulate(layout, budget_bytes=0)
        time = self._time(timesteps, len(noisy))
        skips = [feature for level in self._encoder(noisy, time, modulation) for feature in level]
        x = skips[-1]
        for stage in self.middle:
            x = self._run(stage, x, time, modulation)
        for stages in self.decoder:
            for index, stage in enumerate(stages.children()):
                if index <= self.settings.blocks_per_level:  # the doubling block has no skip
                    x = torch.cat([x, skips.pop()], dim=1)
                x = self._run(stage, x, time, modulation)
        x = self.head(F.silu(self.norm(x)))
        return F.pixel_shuffle(x, self.settings.patch).to(noisy.dtype)

    def encode(self, noisy: Tensor, timesteps: Tensor) -> list[Tensor]:
        """Return Φ of Eq. 8: the output of every level of the encoder, from the finest to the coarsest.

        That is each level's last feature map before its resolution is halved; the very last is what the
        middle block receives. The map has no part in it: a network that takes the map at its stem has no Φ.

        Args:
            noisy: x_t, `(B, image_channels, H, W)`.
            timesteps: t, `(B,)`, or one for all.

        Returns:
            One `(B, C, H / stride, W / stride)` a level: see `settings.channels` and `settings.strides`.
        """
        if self.settings.map_at == "stem":
            raise ConfigError("an encoder that takes the map sees no image alone", "Set map_at to decoder.")
        return [level[-1] for level in self._encoder(noisy, self._time(timesteps, len(noisy)))]

    def modulate(self, layout: Tensor, budget_bytes: int | None = None) -> Modulation:
        """Compute every γ and β of a map, for all denoising steps to come.

        Under a budget, those norms come first that save the most multiply-adds a byte: the narrow ones. The
        others compute theirs anew at each step.

        Args:
            layout: the one-hot map `(B, classes + 1, H, W)`.
            budget_bytes: most bytes that γ and β may take together; None: no limit, 0: the map alone.

        Returns:
            The modulation, in the dtype of the autocast in force, or else of the weights: make it under the
            autocast of the steps that use it.
        """
        if layout.shape[1] != self.settings.classes + 1:
            what = f"the map has {layout.shape[1]} channels, the network expects {self.settings.classes + 1}"
            raise ConfigError(
                what, "Make it by one_hot_layout with the class table that the network was trained on."
            )
        self._check_size(layout)
        device = layout.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.dtype
        finest = F.pixel_unshuffle(layout.to(dtype), self.settings.patch)
        height, width = finest.shape[-2:]
        layouts = [finest]
        for level in range(1, len(self.settings.multipliers)):
            layouts.append(F.interpolate(finest, size=(height >> level, width >> level), mode="nearest"))

        norms = [module for module in self.modules() if isinstance(module, SpadeNorm)]
        costs = {norm: norm.cost(layouts[norm.level]) for norm in norms}  # multiply-adds, bytes
        left = sum(size for _, size in costs.values()) if budget_bytes is None else budget_bytes
        terms: dict[SpadeNorm, Term] = {}
        for norm in sorted(norms, key=lambda norm: costs[norm][0] / costs[norm][1], reverse=True):
            if costs[norm][1] <= left:
                left -= costs[norm][1]
                terms[norm] = norm.term(layouts[norm.level])
        return Modulation(tuple(layouts), terms)

    def _encoder(
        self, noisy: Tensor, time: Tensor, modulation: Modulation | None = None
    ) -> list[list[Tensor]]:
        """Return the feature maps of each level; all of them become skips."""
        self._check_size(noisy)
        x = F.pixel_unshuffle(noisy.to(self.dtype), self.settings.patch)
        if modulation is not None and self.settings.map_at == "stem":
            x = torch.cat([x, modulation.layouts[0].expand(len(x), -1, -1, -1)], dim=1)
        x = self.stem(x)
        features: list[list[Tensor]] = []
        for stages in self.encoder:
            level = [x] if not features else []
            for stage in stages.children():
                x = self._run(stage, x, time)
                level.append(x)
            features.append(level)
        return features

    def _time(self, timesteps: Tensor, batch: int) -> Tensor:
        """Return the activated time embedding `(B, 4 · base_channels)`."""
        timesteps = timesteps.reshape(-1).expand(batch)
        waves = get_timestep_embedding(timesteps, self.settings.base_channels, True, 0).to(self.dtype)
        return F.silu(self.time_out(F.silu(self.time_in(waves))))

    def _run(self, stage: nn.Module, *inputs: Any) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(stage, *inputs)  # type: ignore[misc]  # set by diffusers
        return stage(*inputs)

    def _check_size(self, batch: Tensor) -> None:
        height, width = batch.shape[-2:]
        stride = self.settings.stride
        if height % stride or width % stride or not height * width:
            what = f"height {height} and width {width} do not divide by {stride}"
            raise ConfigError(
                what, f"Pad or resize to multiples of {stride}, or use a network of fewer levels."
            )
