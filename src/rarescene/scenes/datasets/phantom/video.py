"""One phantom video: its anatomy, light, camera and instruments, and how they move from frame to frame.

Lengths are in units of which a frame holds 4 square ones whatever its size: pixels divided by √(H·W)/2. A
square frame spans -1 to 1. The field of view is a circle of radius about 0.95 on black. Anatomy lies in world
coordinates (x to the right, y downwards, the gallbladder near the origin), instruments in those of the field,
because they enter at its rim. Angles are in radians, times in frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rarescene.foundation.seeds import derive_seed

Waves = tuple[tuple[float, float, float], ...]  # amplitude, frequency per frame, phase


@dataclass(frozen=True)
class PhantomVideo:
    """Everything about a video that its frames share; `phantom_video` draws it."""

    centre: tuple[float, float]
    radius: float
    roll: float
    zoom: float
    sway: tuple[Waves, Waves, Waves, Waves]  # x, y, roll, zoom
    breath: Waves
    wall: tuple[
        float, float, float, float
    ]  # y of its border with the liver: a0 + a1 x + a2 x²; light to the right
    edge: tuple[float, float, float]  # y of the lower edge of the liver, likewise
    lobes: tuple[float, float, float]  # waves of that edge: height, number, phase
    gallbladder: tuple[
        float, float, float, float, float
    ]  # x, y, angle from fundus to neck, length to width, depth of fat
    tract: tuple[float, float, float]  # x, y, angle
    duct: tuple[float, float, float]  # angle, length, bend
    vein: tuple[float, float, float, float]  # place along the liver edge, height on the liver, angle, length
    ligament: tuple[float, float]  # x, angle
    tissue: tuple[float, float, float]  # place beside the neck: dx, dy, angle
    blood: tuple[float, float, float]  # place beside the gallbladder bed: dx, dy, angle of its run
    grasper: tuple[
        float, float, float
    ]  # direction from which it comes, grip along the gallbladder, thickness
    hook: tuple[float, float, float]  # direction, thickness, side of the hook
    reach: tuple[Waves, Waves, Waves, Waves]  # grasper tip x, y; hook direction, aim
    jaws: Waves
    light: tuple[float, float, float, float]  # centre x, y, falloff, exposure
    tint: tuple[float, float, float]  # colour temperature, as gains of red, green, blue
    smoke: tuple[float, float, float]  # first frame within the cycle, length of an episode, density
    jitter: np.ndarray  # float32 (13, 3): gains of the classes' colours
    texture: tuple[float, float, float]  # offset x, y, scale
    strength: tuple[float, float, float]  # of relief, vessels, highlights
    noise: float

    @property
    def field_share(self) -> float:
        """Share of a square frame that the field of view covers."""
        r = self.radius
        if r <= 1:
            return math.pi * r * r / 4
        angle = math.acos(1 / r)  # four segments stick out of the frame
        return (math.pi * r * r - 4 * (r * r * angle - math.sqrt(r * r - 1))) / 4


def swing(waves: Waves, frame: float) -> float:
    """Return the sum of slow sine waves at a frame."""
    return sum(amplitude * math.sin(2 * math.pi * (rate * frame + phase)) for amplitude, rate, phase in waves)


def chances(
    rng: np.random.Generator,
) -> tuple[Callable[[float, float], float], Callable[[float, float, float], Waves]]:
    """Return what draws a number between two, and waves of an amplitude and of slow to fast periods."""

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def waves(amplitude: float, slow: float, fast: float) -> Waves:
        return tuple((amplitude * u(0.4, 1.0) / k, k / u(fast, slow), u(0, 1)) for k in (1, 2))

    return u, waves


@lru_cache(maxsize=4096)
def phantom_video(seed: int, video: int) -> PhantomVideo:
    """Return video number `video` of the set with this seed."""
    rng = np.random.default_rng(derive_seed(seed, "phantom video", video))
    u, waves = chances(rng)
    middle = u(-0.08, 0.08)
    slope, bow = u(-0.42, 0.05), u(-0.25, 0.25)
    top, bottom = u(-0.62, -0.24), u(0.10, 0.26)
    gallbladder_x = u(-0.15, 0.22)
    side = 1 if rng.random() < 0.35 else -1
    grasper_from = u(-0.75, 0.35) if rng.random() < 0.7 else u(2.2, 3.3)
    hook_from = u(2.6, 3.8) if abs(grasper_from) < 1.5 else u(-0.6, 0.6)
    warm = u(-0.09, 0.09)
    return PhantomVideo(
        centre=(u(-0.05, 0.05), u(-0.04, 0.04)),
        radius=u(0.86, 1.04),
        roll=u(-0.38, 0.30),
        zoom=u(0.86, 1.12),
        sway=(waves(0.05, 160, 70), waves(0.04, 160, 70), waves(0.05, 200, 90), waves(0.04, 200, 90)),
        breath=((u(0.006, 0.016), 1 / u(45, 80), u(0, 1)),),
        wall=(top, slope, bow, u(-0.5, 0.5)),
        edge=(middle + bottom, slope * 0.7 + u(-0.15, 0.15), u(-0.45, 0.1)),
        lobes=(u(0.02, 0.06), u(3.5, 7.0), u(0, 6.28)),
        gallbladder=(gallbladder_x, middle + bottom + u(0.04, 0.12), u(2.3, 3.3), u(1.45, 2.0), u(0.2, 0.5)),
        tract=(side * u(0.6, 0.75), u(0.42, 0.62), -side * u(0.1, 0.8)),
        duct=(u(2.1, 3.1), u(0.46, 0.62), u(-0.7, 0.7)),
        vein=(u(-0.35, 0.45), u(0.12, 0.26), u(-0.8, 0.5), u(0.3, 0.44)),
        ligament=(u(-0.5, -0.15), u(-0.35, 0.15)),
        tissue=(u(-0.16, 0.0), u(0.0, 0.16), u(-0.5, 0.5)),
        blood=(u(-0.25, 0.3), u(-0.18, 0.15), u(1.0, 2.1)),
        grasper=(grasper_from, u(-0.9, 0.1), u(0.8, 1.2)),
        hook=(hook_from, u(0.078, 0.1), 1.0 if rng.random() < 0.5 else -1.0),
        reach=(waves(0.05, 120, 40), waves(0.05, 120, 40), waves(0.10, 120, 50), waves(0.10, 120, 50)),
        jaws=waves(1.0, 90, 40),
        light=(u(-0.2, 0.2), u(-0.05, 0.3), u(0.35, 0.85), u(1.05, 1.32)),
        tint=(1 + 0.5 * warm, 1 + u(-0.02, 0.02), 1 - warm),
        smoke=(u(0, 160), u(15, 35), u(0.18, 0.42)),
        jitter=(1 + rng.uniform(-0.1, 0.1, (13, 1)) + rng.uniform(-0.05, 0.05, (13, 3))).astype(np.float32),
        texture=(u(0, 8), u(0, 8), u(0.8, 1.15)),
        strength=(u(0.8, 1.2), u(0.5, 1.2), u(0.7, 1.3)),
        noise=u(2.0, 4.5),
    )


@dataclass(frozen=True)
class Shaft:
    """A straight instrument in field coordinates; `out` is the unit vector from its tip to its port."""

    tip: tuple[float, float]
    out: tuple[float, float]
    length: float
    half_width: float
    opening: float


@dataclass(frozen=True)
class Moment:
    """A video at one frame.

    `world = matrix · field + offset`, with `matrix = ((a, -b), (b, a))`.
    """

    a: float
    b: float
    offset: tuple[float, float]
    breath: float
    grasper: Shaft | None
    hook: Shaft | None
    smoke: float

    def to_field(self, x: float, y: float) -> tuple[float, float]:
        """Return a world point in field coordinates."""
        x, y = x - self.offset[0], y - self.offset[1]
        size = self.a * self.a + self.b * self.b
        return (self.a * x + self.b * y) / size, (self.a * y - self.b * x) / size


def moment(
    video: PhantomVideo, frame: int, grasper: float, hook: float, half_height: float, half_width: float
) -> Moment:
    """Return where everything stands at `frame`, given the planned areas of both instruments (0: absent)."""
    angle = video.roll + swing(video.sway[2], frame)
    scale = (1 + swing(video.sway[3], frame)) / video.zoom
    now = Moment(
        a=scale * math.cos(angle),
        b=scale * math.sin(angle),
        offset=(swing(video.sway[0], frame), 0.06 + swing(video.sway[1], frame)),
        breath=swing(video.breath, frame),
        grasper=None,
        hook=None,
        smoke=_smoke(video, frame),
    )
    borders = frame_box(video, half_height, half_width)
    x, y, axis, _, _ = video.gallbladder
    parts: dict[str, Shaft] = {}
    if grasper > 0:
        way, grip, thickness = video.grasper
        held = grip * 0.22
        aim = now.to_field(x + held * math.cos(axis), y + held * math.sin(axis) + now.breath)
        aim = (aim[0] + swing(video.reach[0], frame), aim[1] + swing(video.reach[1], frame))
        length = to_rim(aim, way, video.radius, borders)
        half = min(max(1.2 * grasper * 4 / (2 * length), 0.036), 0.085) * (0.5 + 0.5 * thickness)
        opening = 0.5 + 0.5 * max(-1.0, min(1.0, swing(video.jaws, frame)))
        parts["grasper"] = Shaft(aim, (math.cos(way), math.sin(way)), length, half, opening)
    if hook > 0:
        way, thickness, side = video.hook
        way += swing(video.reach[2], frame)
        aim = now.to_field(x - 0.1 + swing(video.reach[3], frame), y + 0.08)
        rim = to_rim(aim, way, video.radius, borders)
        half = thickness * (hook / 0.047) ** 0.3
        length = (hook * 4 - 0.006) / (2 * half)
        if length > rim + 0.2:  # rather thicker than across the whole field
            half *= length / (rim + 0.2)
            length = rim + 0.2
        length += 0.13  # the thin rod before the shaft
        out = (math.cos(way), math.sin(way))
        tip = (aim[0] + (rim - length) * out[0], aim[1] + (rim - length) * out[1])
        parts["hook"] = Shaft(tip, out, length, half, side)
    return Moment(now.a, now.b, now.offset, now.breath, parts.get("grasper"), parts.get("hook"), now.smoke)


def _smoke(video: PhantomVideo, frame: int) -> float:
    first, length, density = video.smoke
    age = (frame - first) % 160
    return density * math.sin(math.pi * age / length) if age < length else 0.0


def half_sides(size: tuple[int, int]) -> tuple[float, float]:
    """Return half the height and half the width of a frame of so many pixels, in units of length."""
    unit = math.sqrt(size[0] * size[1]) / 2
    return size[0] / 2 / unit, size[1] / 2 / unit


def frame_box(
    video: PhantomVideo, half_height: float, half_width: float
) -> tuple[float, float, float, float]:
    """Return the borders of the frame in field coordinates: left, right, top, bottom."""
    (x, y) = video.centre
    return -half_width - x, half_width - x, -half_height - y, half_height - y


def to_rim(
    point: tuple[float, float], way: float, radius: float, box: tuple[float, float, float, float]
) -> float:
    """Return the distance from a point of the field, in direction `way`, to its rim or the frame's border."""
    dx, dy = math.cos(way), math.sin(way)
    along = point[0] * dx + point[1] * dy
    inside = radius * radius - point[0] ** 2 - point[1] ** 2 + along * along
    distances = [math.sqrt(max(inside, 0.0)) - along]
    for position, direction, low, high in ((point[0], dx, box[0], box[1]), (point[1], dy, box[2], box[3])):
        if abs(direction) > 1e-6:
            distances.append(((high if direction > 0 else low) - position) / direction)
    return max(0.2, min(distances))
