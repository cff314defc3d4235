"""The light on a phantom frame: tissue colours, headlight, wet highlights, smoke and the sensor's noise."""

from __future__ import annotations

import math

import numpy as np

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.anatomy import Anatomy
from rarescene.scenes.datasets.phantom.video import PhantomVideo, moment

# class: colour, what the fine structure adds to it, vessels, wetness of the highlights
_LOOK: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float, float]] = {
    "black background": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0.0),
    "abdominal wall": ((0.66, 0.36, 0.36), (0.10, 0.15, 0.17), 0.75, 0.15),
    "liver": ((0.43, 0.125, 0.11), (0.04, 0.022, 0.018), 0.12, 0.26),
    "gastrointestinal tract": ((0.85, 0.50, 0.43), (0.06, 0.07, 0.06), 0.6, 0.7),
    "fat": ((0.93, 0.67, 0.31), (0.07, 0.12, 0.11), 0.45, 0.45),
    "grasper": ((0.56, 0.56, 0.58), (0.40, 0.40, 0.40), 0.0, 0.9),
    "connective tissue": ((0.84, 0.62, 0.56), (0.08, 0.13, 0.13), 0.6, 0.7),
    "blood": ((0.44, 0.045, 0.05), (0.10, 0.018, 0.018), 0.0, 0.8),
    "cystic duct": ((0.80, 0.73, 0.58), (0.06, 0.07, 0.06), 0.2, 0.9),
    "L-hook electrocautery": ((0.17, 0.17, 0.20), (0.55, 0.55, 0.55), 0.0, 0.6),
    "gallbladder": ((0.68, 0.73, 0.67), (0.10, 0.05, 0.03), 0.75, 0.9),
    "hepatic vein": ((0.23, 0.13, 0.31), (0.03, 0.02, 0.03), 0.0, 0.3),
    "liver ligament": ((0.86, 0.71, 0.57), (0.05, 0.07, 0.09), 0.6, 0.3),
}
_COLOUR = np.array([_LOOK[name][0] for name in CHOLECSEG8K.names], np.float32)
_CHANGE = np.array([_LOOK[name][1] for name in CHOLECSEG8K.names], np.float32)
_VESSELS = np.array([_LOOK[name][2] for name in CHOLECSEG8K.names], np.float32)
_WET = np.array([_LOOK[name][3] for name in CHOLECSEG8K.names], np.float32)
_VESSEL_DEPTH = (0.35, 0.85, 0.80)  # how much of red, green and blue a vessel takes away
_SMOKE_COLOUR = (0.66, 0.65, 0.67)


def render(
    seed: int, number: int, frame: int, areas: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one phantom frame.

    Args:
        seed: seed of the set.
        number: number of the video.
        frame: number of the frame within the video.
        areas: `(13,)` planned share of the frame of every class, 0 where absent.
        size: height and width in pixels.

    Returns:
        Image uint8 `(H, W, 3)` and mask uint8 `(H, W)` of class ids.
    """
    video = PhantomVideo.of(seed, number)
    height, width = size
    unit = math.sqrt(height * width) / 2
    present = {identity: float(area) for identity, area in enumerate(areas) if area > 0}
    now = moment(video, frame, float(areas[5]), float(areas[9]), height / 2 / unit, width / 2 / unit)
    anatomy = Anatomy(video, now, present, (seed, number), size)
    anatomy.lay_out()
    image = np.zeros((height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[anatomy.crop] = anatomy.label
    _shade(image[anatomy.crop], video, anatomy, now.smoke, (seed, number, frame))
    return image, mask


def _shade(
    image: np.ndarray, video: PhantomVideo, anatomy: Anatomy, smoke: float, names: tuple[int, int, int]
) -> None:
    """Fill `image` with the light that the anatomy sends back."""
    label, relief = anatomy.label.astype(np.intp), video.strength[0]
    field_x, field_y = anatomy.fx[None], anatomy.fy[:, None]
    fine = anatomy.unit > 150  # texels are larger than pixels: their edges must not show
    height = _soften(anatomy.height, 0.25) if fine else anatomy.height
    slope_x, slope_y = _slopes(height, anatomy.unit * relief, 2 if fine else 1)
    steep = slope_x * slope_x
    steep += slope_y * slope_y
    np.minimum(steep, 3.0, out=steep)

    # The light sits at the camera: tissue that faces it is bright, and it falls off towards the rim.
    lx, ly, falloff, exposure = video.light
    away = anatomy.distance - (2 * lx) * field_x
    away -= (2 * ly) * field_y
    away += lx * lx + ly * ly
    lamp = exposure / (1 + falloff * away)
    light = lamp * anatomy.gain
    light /= 1 + 0.45 * steep
    deep = light * np.minimum(0.62 + 0.38 * light, 1.15)  # what is dark is also redder

    # Wet tissue mirrors the lamp where its slope leads from the pixel to the lamp.
    slope_x += 0.35 * (field_x - lx)
    slope_y += 0.35 * (field_y - ly) + 0.12
    slope_x *= slope_x
    slope_y *= slope_y
    slope_x += slope_y
    slope_x *= 20.0
    slope_x += 1
    slope_x *= slope_x
    slope_x *= slope_x
    shine = (_WET * 1.05).take(label)
    shine *= video.strength[2]
    shine /= slope_x
    shine *= lamp

    vessels = _VESSELS.take(label)
    vessels *= anatomy.vessels
    vessels *= video.strength[1]
    rim = np.clip((video.radius - np.sqrt(anatomy.distance)) * anatomy.unit + 0.5, 0, 1)
    veil = smoke * np.clip(0.6 + 0.3 * anatomy.smooth, 0, 1) * lamp if smoke > 0 else None
    grain = _grain(names, image.shape[:2], video.noise)
    colour = _COLOUR * video.jitter * 255.0
    for channel in range(3):
        plane = colour[:, channel].take(label)
        change = (_CHANGE[:, channel] * 255.0).take(label)
        change *= anatomy.mix
        plane += change
        np.multiply(vessels, -_VESSEL_DEPTH[channel], out=change)
        change += 1
        plane *= change
        plane *= light if channel == 0 else deep
        np.multiply(shine, 255.0, out=change)
        plane += change
        if veil is not None:
            plane *= 1 - veil
            plane += veil * (_SMOKE_COLOUR[channel] * 255.0)
        plane *= 1.3 * video.tint[channel]
        plane /= 1 + plane * (0.3 / 255)  # the camera's shoulder: 255 stays, what lies below gains
        plane *= rim
        plane = _soften(plane, 0.14)
        plane += grain
        np.clip(plane, 0, 255, out=plane)
        image[..., channel] = plane


def _slopes(height: np.ndarray, unit: float, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of the relief, which do not depend on the size of the pixels."""
    x, y = np.zeros_like(height), np.zeros_like(height)
    np.subtract(height[:, 2 * step :], height[:, : -2 * step], out=x[:, step:-step])
    np.subtract(height[2 * step :], height[: -2 * step], out=y[step:-step])
    x *= unit / (2 * step)
    y *= unit / (2 * step)
    np.clip(x, -2, 2, out=x)
    np.clip(y, -2, 2, out=y)
    return x, y


def _soften(plane: np.ndarray, share: float) -> np.ndarray:
    """Blur by giving each of the four neighbours a share, as the optics do."""
    rows = (1 - 2 * share) * plane
    rows[1:] += share * plane[:-1]
    rows[:-1] += share * plane[1:]
    rows[[0, -1]] += share * plane[[0, -1]]
    both = (1 - 2 * share) * rows
    both[:, 1:] += share * rows[:, :-1]
    both[:, :-1] += share * rows[:, 1:]
    both[:, [0, -1]] += share * rows[:, [0, -1]]
    return both


def _grain(names: tuple[int, int, int], shape: tuple[int, int], strength: float) -> np.ndarray:
    """Return the sensor's noise, the same for all channels."""
    rng = np.random.default_rng(derive_seed(names[0], "phantom noise", *names[1:]))
    noise = rng.standard_normal(shape, np.float32)
    noise *= strength
    return noise
