"""The canvas of one phantom frame: coordinates, noise, and the pixels that the classes claim."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rarescene.scenes.datasets.phantom.texture import PERIOD, texture_size, textures
from rarescene.scenes.datasets.phantom.video import Moment, PhantomVideo

Box = tuple[slice, slice]


class Canvas:
    """The crop of a frame that the field of view touches; arrays are `(h, w)`.

    Attributes:
        crop: the rows and columns of the frame that the arrays cover.
        unit: pixels a unit of length.
        fx, fy: coordinates relative to the centre of the field, `(w,)` and `(h,)`.
        x, y: world coordinates.
        distance: squared distance from the centre of the field.
        free: where no class has claimed the pixel.
        fractal, smooth, lobules, vessels: noise that moves with the tissue, see `Textures`.
        label: uint8 class ids.
        height: relief towards the camera, in units of length.
        mix: fine structure that mixes each class's two colours, about -1 to 1.
        gain: how much light reaches the tissue.

    Args:
        video: the video.
        now: where everything stands.
        areas: planned share of the frame of every class present, by id.
        texture: seed and number of the video, which name its textures.
        size: height and width of the frame in pixels.
    """

    def __init__(
        self,
        video: PhantomVideo,
        now: Moment,
        areas: Mapping[int, float],
        texture: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        height, width = size
        self.video, self.now, self.areas = video, now, areas
        self.pixels = height * width
        self.unit = unit = math.sqrt(self.pixels) / 2
        (cx, cy), radius = video.centre, video.radius
        x0, x1 = _span(cx - radius, cx + radius, width, unit)
        y0, y1 = _span(cy - radius, cy + radius, height, unit)
        self.crop = slice(y0, y1), slice(x0, x1)
        self.fx = ((np.arange(x0, x1) + 0.5 - width / 2) / unit - cx).astype(np.float32)
        self.fy = ((np.arange(y0, y1) + 0.5 - height / 2) / unit - cy).astype(np.float32)
        self.x = np.add.outer(-now.b * self.fy + now.offset[0], now.a * self.fx)
        self.y = np.add.outer(now.a * self.fy + now.offset[1], now.b * self.fx)
        self.distance = np.add.outer(self.fy * self.fy, self.fx * self.fx)
        self.free = self.distance < radius * radius

        noise = textures(*texture, texture_size(unit))
        self.texels = noise.size
        self.grain = noise.grain
        scale = noise.size / (PERIOD * video.texture[2])
        shift = 64 + video.texture[0], 64 + video.texture[1]  # keeps all coordinates positive
        column = ((self.x + shift[0]) * scale).astype(np.int32) & (noise.size - 1)
        row = ((self.y + (shift[1] - now.breath)) * scale).astype(np.int32) & (noise.size - 1)
        row *= noise.size
        row += column
        bank = noise.bank.take(row, axis=0)
        self.fractal, self.smooth, self.lobules, self.vessels = (bank[..., k].copy() for k in range(4))
        self.scale, self.shift = scale, shift

        shape = self.x.shape
        self.label = np.zeros(shape, np.uint8)
        self.height = np.empty(shape, np.float32)
        self.mix = np.empty(shape, np.float32)
        self.gain = np.empty(shape, np.float32)

    def fibres(self, angle: float, along: float, across: float, box: Box | None = None) -> np.ndarray:
        """Return the fractal noise stretched to fibres, `along`/`across` times as long as wide."""
        x, y = (self.x, self.y) if box is None else (self.x[box], self.y[box])
        c, s, size = math.cos(angle), math.sin(angle), self.texels
        column = ((x * (c / along) + y * (s / along) + self.shift[0]) * self.scale).astype(np.int32)
        row = ((y * (c / across) - x * (s / across) + self.shift[1]) * self.scale).astype(np.int32)
        row &= size - 1
        row *= size
        column &= size - 1
        row += column
        return self.grain.take(row)

    def box(self, x: float, y: float, reach: float) -> Box:
        """Return the pixels within `reach` of a point of the world."""
        fx, fy = self.now.to_field(x, y)
        reach /= math.hypot(self.now.a, self.now.b)
        return self.field_box(fx - reach, fx + reach, fy - reach, fy + reach)

    def field_box(self, left: float, right: float, top: float, bottom: float) -> Box:
        """Return the pixels within these bounds of the field."""
        ends = np.searchsorted(self.fy, (top, bottom)), np.searchsorted(self.fx, (left, right))
        return slice(*map(int, ends[0])), slice(*map(int, ends[1]))

    def local(self, box: Box, x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Return world coordinates along and across an axis through a point."""
        dx, dy = self.x[box] - x, self.y[box] - y
        c, s = math.cos(angle), math.sin(angle)
        return c * dx + s * dy, c * dy - s * dx

    def claim(self, box: Box, chosen: np.ndarray, identity: int) -> None:
        """Give the chosen pixels of a box to a class."""
        self.label[box][chosen] = identity
        self.free[box][chosen] = False

    def claim_planned(self, box: Box, shape: np.ndarray, identity: int) -> np.ndarray:
        """Claim as many free pixels as planned, those of the largest `shape`; at least three."""
        count = max(3, round(self.areas[identity] * self.pixels))
        masked = np.where(self.free[box], shape, np.float32(-np.inf))
        count = min(count, masked.size)
        if count == 0:
            return np.zeros(masked.shape, bool)
        level = np.partition(masked, masked.size - count, axis=None)[masked.size - count]
        chosen = (masked >= level) & np.isfinite(masked)
        self.claim(box, chosen, identity)
        return chosen

    def paint(
        self, box: Box, chosen: np.ndarray, height: np.ndarray, mix: np.ndarray, gain: np.ndarray | float
    ) -> None:
        """Set relief, fine structure and light of the chosen pixels of a box."""
        np.copyto(self.height[box], height, where=chosen)
        np.copyto(self.mix[box], mix, where=chosen)
        np.copyto(self.gain[box], gain, where=chosen)


def _span(low: float, high: float, pixels: int, unit: float) -> tuple[int, int]:
    first = math.floor(low * unit + pixels / 2)
    last = math.ceil(high * unit + pixels / 2)
    return max(0, first), min(pixels, last)
