"""Where every class of a phantom frame lies: the mask, the relief and the fine structure of the tissue.

Classes claim pixels from front to back, and a pixel once claimed is taken. Instruments claim first, then the small
structures, so nothing later hides them; each of the five planned tissue classes takes the planned *number of
visible pixels*, those where its shape function is largest. So an instrument may pass over a pool of blood or a
duct, yet the planned presence and area hold in the drawn mask at any size, and a hepatic vein cannot vanish.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.texture import PERIOD, texture_size, textures
from rarescene.scenes.datasets.phantom.video import Moment, PhantomVideo, Shaft

Box = tuple[slice, slice]

WALL = CHOLECSEG8K.id_of("abdominal wall")
LIVER = CHOLECSEG8K.id_of("liver")
TRACT = CHOLECSEG8K.id_of("gastrointestinal tract")
FAT = CHOLECSEG8K.id_of("fat")
GRASPER = CHOLECSEG8K.id_of("grasper")
TISSUE = CHOLECSEG8K.id_of("connective tissue")
BLOOD = CHOLECSEG8K.id_of("blood")
DUCT = CHOLECSEG8K.id_of("cystic duct")
HOOK = CHOLECSEG8K.id_of("L-hook electrocautery")
GALLBLADDER = CHOLECSEG8K.id_of("gallbladder")
VEIN = CHOLECSEG8K.id_of("hepatic vein")
LIGAMENT = CHOLECSEG8K.id_of("liver ligament")


@dataclass
class Anatomy:
    """What the shading needs, over the crop of the frame that the field of view touches; arrays are `(h, w)`.

    Attributes:
        crop: the columns and rows of the frame that the arrays cover.
        unit: pixels a unit of length.
        field_x, field_y: coordinates relative to the centre of the field, `(1, w)` and `(h, 1)`.
        distance: squared distance from the centre of the field.
        label: uint8 class ids.
        height: relief towards the camera, in units of length.
        mix: fine structure that mixes each class's two colours, about -1 to 1.
        gain: how much light reaches the tissue.
        vessels: fine vessels, 0 to 1.
        smooth: smooth noise for what drifts, such as smoke.
    """

    crop: Box
    unit: float
    field_x: np.ndarray
    field_y: np.ndarray
    distance: np.ndarray
    label: np.ndarray
    height: np.ndarray
    mix: np.ndarray
    gain: np.ndarray
    vessels: np.ndarray
    smooth: np.ndarray


def lay_out(
    video: PhantomVideo, now: Moment, areas: Mapping[int, float], texture: tuple[int, int], size: tuple[int, int]
) -> Anatomy:
    """Lay out one frame.

    Args:
        video: the video.
        now: where everything stands.
        areas: planned share of the frame of every class present, by id.
        texture: seed and number of the video, which name its textures.
        size: height and width of the frame in pixels.
    """
    return _Painter(video, now, areas, texture, size).paint()


class _Painter:
    """Holds the arrays of one frame while the classes claim their pixels."""

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
        self.fractal, self.smooth = bank[..., 0], bank[..., 1]
        self.lobules, self.vessels = bank[..., 2], bank[..., 3]
        self.scale, self.shift = scale, shift

        shape = self.x.shape
        self.label = np.zeros(shape, np.uint8)
        self.height = np.empty(shape, np.float32)
        self.mix = np.empty(shape, np.float32)
        self.gain = np.empty(shape, np.float32)

    def paint(self) -> Anatomy:
        """Let the classes claim their pixels, front to back."""
        self._ground()
        if self.now.hook is not None:
            self._hook(self.now.hook)
        if self.now.grasper is not None:
            self._grasper(self.now.grasper)
        if DUCT in self.areas:
            self._duct()
        if VEIN in self.areas:
            self._vein()
        if BLOOD in self.areas:
            self._blood()
        if GALLBLADDER in self.areas:
            self._gallbladder()
        if TISSUE in self.areas:
            self._tissue()
        if LIGAMENT in self.areas:
            self._ligament()
        if TRACT in self.areas:
            self._tract()
        np.copyto(self.label, self.ground, where=self.free)
        return Anatomy(
            self.crop,
            self.unit,
            self.fx[None],
            self.fy[:, None],
            self.distance,
            self.label,
            self.height,
            self.mix,
            self.gain,
            self.vessels,
            self.smooth,
        )

    def _ground(self) -> None:
        """Lay out abdominal wall, liver and fat, which share what the others leave."""
        x, breath = self.x, self.now.breath
        a0, a1, a2 = self.video.wall
        above_wall = (x * a2 + a1) * x - self.y + (a0 - 0.5 * breath)
        above_wall += 0.018 * self.smooth
        e0, e1, e2 = self.video.edge
        below_edge = self.y - (x * e2 + e1) * x - (e0 + breath)
        below_edge += 0.02 * self.smooth
        self.below_edge = below_edge
        wall = (above_wall > 0) if WALL in self.areas else np.zeros(x.shape, bool)
        fat = (below_edge > 0) if FAT in self.areas else np.zeros(x.shape, bool)
        self.ground = ground = np.full(x.shape, LIVER, np.uint8)
        ground[wall] = WALL
        ground[fat] = FAT

        margin = np.clip(below_edge * (-1 / 0.2) if FAT in self.areas else 0.5 - self.y, 0, 1)
        rounded = np.sqrt(margin * (2 - margin))
        self.height[...] = 0.11 * rounded
        self.height += 0.006 * self.smooth
        self.height += 0.0022 * self.fractal
        deep = np.clip(above_wall * -2.2 + 0.45, 0.45, 1) if WALL in self.areas else 0.9
        self.gain[...] = deep
        self.mix[...] = 0.6 * self.smooth + 0.4 * self.fractal
        if WALL in self.areas:
            where = wall
            fibres = self._fibres(0.5, 5.0, 0.5)
            np.copyto(self.height, 0.012 * self.smooth + 0.004 * fibres, where=where)
            np.copyto(self.gain, np.clip(above_wall * 1.3 + 0.32, 0.3, 1.15), where=where)
            np.copyto(self.mix, 0.5 * fibres + 0.5 * self.smooth, where=where)
        if FAT in self.areas:
            puffy = self.lobules * 0.035 + self.fractal * 0.006 + np.minimum(below_edge, 0.5) * 0.2
            np.copyto(self.height, puffy, where=fat)
            np.copyto(self.gain, np.clip(below_edge * 1.4 + 0.7, 0.7, 1.12), where=fat)
            np.copyto(self.mix, self.lobules * 1.4 - 1.1 + 0.25 * self.smooth, where=fat)

    def _fibres(self, angle: float, along: float, across: float, box: Box | None = None) -> np.ndarray:
        """Return the fractal noise stretched to fibres, `along`/`across` times as long as wide."""
        x, y = (self.x, self.y) if box is None else (self.x[box], self.y[box])
        c, s, size = math.cos(angle), math.sin(angle), self.texels
        column = ((x * (c / along) + y * (s / along) + self.shift[0]) * self.scale).astype(np.int32) & (size - 1)
        row = ((y * (c / across) - x * (s / across) + self.shift[1]) * self.scale).astype(np.int32) & (size - 1)
        row *= size
        row += column
        return self.grain.take(row)

    def _box(self, x: float, y: float, reach: float) -> Box:
        """Return the pixels within `reach` of a point of the world."""
        fx, fy = self.now.to_field(x, y)
        reach /= math.hypot(self.now.a, self.now.b)
        return self._field_box(fx - reach, fx + reach, fy - reach, fy + reach)

    def _field_box(self, left: float, right: float, top: float, bottom: float) -> Box:
        ends = np.searchsorted(self.fy, (top, bottom)), np.searchsorted(self.fx, (left, right))
        return slice(*map(int, ends[0])), slice(*map(int, ends[1]))

    def _local(self, box: Box, x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Return world coordinates along and across an axis through a point."""
        dx, dy = self.x[box] - x, self.y[box] - y
        c, s = math.cos(angle), math.sin(angle)
        return c * dx + s * dy, c * dy - s * dx

    def _claim(self, box: Box, chosen: np.ndarray, identity: int) -> None:
        self.label[box][chosen] = identity
        self.free[box][chosen] = False

    def _claim_planned(self, box: Box, shape: np.ndarray, identity: int) -> np.ndarray:
        """Claim as many free pixels as planned, those of the largest `shape`; at least three."""
        count = max(3, round(self.areas[identity] * self.pixels))
        masked = np.where(self.free[box], shape, np.float32(-np.inf))
        count = min(count, masked.size)
        if count == 0:
            return np.zeros(masked.shape, bool)
        level = np.partition(masked, masked.size - count, axis=None)[masked.size - count]
        chosen = (masked >= level) & np.isfinite(masked)
        self._claim(box, chosen, identity)
        return chosen

    def _paint(
        self, box: Box, chosen: np.ndarray, height: np.ndarray, mix: np.ndarray | float, gain: float
    ) -> None:
        np.copyto(self.height[box], height, where=chosen)
        np.copyto(self.mix[box], mix, where=chosen)
        np.copyto(self.gain[box], gain, where=chosen)

    def _shaft(self, shaft: Shaft) -> tuple[Box, np.ndarray, np.ndarray]:
        """Return the box of an instrument and its coordinates: outwards from the tip, and across."""
        (x, y), (dx, dy), pad = shaft.tip, shaft.out, 3.2 * shaft.half_width + 0.1
        ex, ey = x + dx * (shaft.length + 0.4), y + dy * (shaft.length + 0.4)
        box = self._field_box(min(x, ex) - pad, max(x, ex) + pad, min(y, ey) - pad, max(y, ey) + pad)
        fy, fx = self.fy[box[0]], self.fx[box[1]]
        along = np.add.outer(fy * dy - (x * dx + y * dy), fx * dx)
        across = np.add.outer(fy * dx - (y * dx - x * dy), fx * -dy)
        shadow = np.clip(1 - np.abs(across - 0.8 * shaft.half_width) / (1.7 * shaft.half_width), 0, 1)
        shadow *= along > -0.02
        self.gain[box] *= 1 - 0.6 * shadow
        return box, along, across

    def _hook(self, shaft: Shaft) -> None:
        """Draw the L-hook: an insulated shaft, a thin metal rod, and its end bent by a right angle."""
        box, along, across = self._shaft(shaft)
        rod, rod_end = 0.017, 0.13
        half = shaft.half_width * (1 + 0.1 * np.minimum(along, 1.5))
        bent = across * shaft.opening
        metal = (np.abs(across) < rod) & (along > 0) & (along <= rod_end)
        metal |= (np.abs(along - rod) < rod) & (bent > -rod) & (bent < 0.075)
        collar = (along > rod_end) & (along < rod_end + 0.035) & (np.abs(across) < half * 0.8)
        chosen = (along >= rod_end + 0.035) & (np.abs(across) < half)
        chosen |= metal
        chosen |= collar
        chosen &= self.free[box]
        self._claim(box, chosen, HOOK)
        round_ = np.sqrt(np.maximum(half * half - across * across, 0))
        self._paint(box, chosen, 0.3 + round_, np.where(metal, 1.0, np.where(collar, 0.55, 0.0)), 1.05)

    def _grasper(self, shaft: Shaft) -> None:
        """Draw the grasper: a steel shaft with two tapered jaws, open or closed."""
        box, along, across = self._shaft(shaft)
        half, jaw = shaft.half_width, 0.2
        part = np.clip(along / jaw, 0, 1)
        middle = (1 - part) * (0.6 * half + 0.06 * shaft.opening) * np.sqrt(part + 0.3) + 0.32 * half
        width = half * (0.22 + 0.34 * part)
        off = np.abs(across)
        jaws = (np.abs(off - middle) < width) & (along > 0) & (along < jaw)
        chosen = (along >= jaw) & (off < half)
        chosen |= jaws
        chosen &= self.free[box]
        self._claim(box, chosen, GRASPER)
        bulge = np.where(along < jaw, width * width - (off - middle) ** 2, half * half - across * across)
        ring = np.abs(along - jaw - 0.03) < 0.018
        teeth = np.where(along < jaw, np.sin(along * 160) * 0.18, 0.0)
        dark = np.where(along > jaw + 0.3, -0.45, teeth) - 0.7 * ring
        self._paint(box, chosen, 0.28 + np.sqrt(np.maximum(bulge, 0)), dark, 1.05)

    def _neck(self) -> tuple[float, float, float, float, float]:
        """Return centre, half length, half width and neck distance of the gallbladder."""
        x, y, _, ratio = self.video.gallbladder
        area = 4 * max(self.areas.get(GALLBLADDER, 0.0), 0.05)
        width = math.sqrt(area / (math.pi * ratio))
        return x, y + self.now.breath, width * ratio, width, width * ratio * 0.92

    def _gallbladder(self) -> None:
        x, y, length, width, _ = self._neck()
        box = self._box(x, y, length * 1.15)
        along, across = self._local(box, x, y, self.video.gallbladder[2])
        slim = width * (1 - 0.38 * np.clip(along / length, -1, 1))
        inside = 1 - (along / length) ** 2 - (across / slim) ** 2 + 0.05 * self.smooth[box]
        chosen = (inside > 0) & self.free[box]
        self._claim(box, chosen, GALLBLADDER)
        dome = 0.9 * width * np.sqrt(np.maximum(inside, 0)) + 0.003 * self.fractal[box]
        self._paint(box, chosen, dome + 0.12, 0.6 * self.smooth[box], 1.05)

    def _duct(self) -> None:
        """Draw the cystic duct from the neck of the gallbladder towards the fat."""
        x, y, _, _, neck = self._neck()
        axis = self.video.gallbladder[2]
        turn, length, bend = self.video.duct
        nx, ny = x + neck * math.cos(axis), y + neck * math.sin(axis)
        cx, cy = nx + 0.4 * length * math.cos(turn), ny + 0.4 * length * math.sin(turn)
        box = self._box(cx, cy, 0.75 * length)
        along, across = self._local(box, cx, cy, turn)
        across = across - bend * (along * along / length - 0.1 * length)
        beyond = np.maximum(np.abs(along) - 0.5 * length, 0)
        far = np.sqrt(across * across + 4 * beyond * beyond)
        chosen = self._claim_planned(box, -far - 0.004 * self.smooth[box], DUCT)
        radius = max(4 * self.areas[DUCT] / (2 * length), 0.02)
        tube = 0.16 + np.sqrt(np.maximum(radius * radius * 1.2 - far * far, 0))
        self._paint(box, chosen, tube + 0.002 * self.fractal[box], 0.5 * self.fractal[box], 1.0)

    def _vein(self) -> None:
        """Draw a thin hepatic vein on the liver, winding a little."""
        x, above, angle, length = self.video.vein
        e0, e1, e2 = self.video.edge
        y = e0 + e1 * x + e2 * x * x + self.now.breath - above
        box = self._box(x, y, 0.7 * length)
        along, across = self._local(box, x, y, angle)
        across = across - 0.035 * np.sin(along * 14 + 20 * angle)
        beyond = np.maximum(np.abs(along) - 0.5 * length, 0)
        far = np.sqrt(across * across + beyond * beyond)
        far += 0.35 * (self.label[box] != 0)
        chosen = self._claim_planned(box, -far, VEIN)
        np.copyto(self.mix[box], self.fractal[box], where=chosen)

    def _blood(self) -> None:
        """Spread blood from the bed of the gallbladder, with runs along the tissue."""
        x, y, _, _, _ = self._neck()
        dx, dy, angle = self.video.blood
        area = 4 * self.areas[BLOOD]
        box = self._box(x + dx, y + dy, 2.2 * math.sqrt(area / math.pi) + 0.08)
        along, across = self._local(box, x + dx, y + dy, angle)
        far = np.sqrt(0.5 * along * along + 1.6 * across * across)
        runs = self._fibres(angle, 2.6, 0.6, box)
        chosen = self._claim_planned(box, 0.055 * self.smooth[box] + 0.035 * runs - far, BLOOD)
        wet = 0.15 * self.height[box] + 0.006 * self.smooth[box] + 0.05
        self._paint(box, chosen, wet, 0.7 * self.smooth[box] + 0.4 * runs, 0.95)

    def _tissue(self) -> None:
        """Spread connective tissue around the neck of the gallbladder."""
        x, y, _, _, neck = self._neck()
        axis = self.video.gallbladder[2]
        dx, dy, angle = self.video.tissue
        cx, cy = x + 0.6 * neck * math.cos(axis) + dx, y + 0.6 * neck * math.sin(axis) + dy
        box = self._box(cx, cy, 2.0 * math.sqrt(4 * self.areas[TISSUE] / math.pi) + 0.05)
        along, across = self._local(box, cx, cy, angle)
        far = np.sqrt(0.7 * along * along + 1.3 * across * across)
        fibres = self._fibres(angle + 0.4, 3.5, 0.6, box)
        chosen = self._claim_planned(box, 0.06 * self.smooth[box] + 0.012 * fibres - far, TISSUE)
        sheet = 0.11 + 0.012 * fibres + 0.02 * self.smooth[box]
        self._paint(box, chosen, sheet, 0.75 * fibres, 1.0)

    def _ligament(self) -> None:
        """Hang the liver ligament from the abdominal wall down to the liver, as a sheet in folds."""
        x, angle = self.video.ligament
        y = self.video.wall[0] + self.video.wall[1] * x - 0.05
        box = self._box(x, y, 1.2)
        along, across = self._local(box, x, y, angle + math.pi / 2)
        far = (across / 0.26) ** 2 + (along / 0.62) ** 4
        chosen = self._claim_planned(box, 0.12 * self.smooth[box] - far, LIGAMENT)
        folds = self._fibres(angle + math.pi / 2, 4.0, 1.0, box)
        sheet = 0.14 + 0.10 * np.sqrt(np.maximum(1 - far, 0)) + 0.012 * folds
        self._paint(box, chosen, sheet, 0.8 * folds, 0.9)

    def _tract(self) -> None:
        """Lay a loop of bowel at the side, on the fat."""
        x, y, angle = self.video.tract
        width = math.sqrt(4 * self.areas[TRACT] / (math.pi * 1.7))
        box = self._box(x, y, width * 2.6)
        along, across = self._local(box, x, y + 0.5 * self.now.breath, angle)
        across = across - 0.5 * along * along
        inside = 1 - (along / (2.2 * width)) ** 2 - (across / width) ** 2 + 0.06 * self.smooth[box]
        chosen = (inside > 0) & self.free[box]
        self._claim(box, chosen, TRACT)
        folds = 0.012 * np.sin(along * 26 + 2 * self.smooth[box])
        tube = 0.14 + 0.75 * width * np.sqrt(np.maximum(inside, 0)) + folds
        self._paint(box, chosen, tube, 0.7 * self.smooth[box], 1.05)


def _span(low: float, high: float, pixels: int, unit: float) -> tuple[int, int]:
    first = math.floor(low * unit + pixels / 2)
    last = math.ceil(high * unit + pixels / 2)
    return max(0, first), min(pixels, last)
