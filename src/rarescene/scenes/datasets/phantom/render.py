"""The light on a phantom frame: tissue colours, headlight, wet highlights, smoke and the sensor's noise."""

from __future__ import annotations

import numpy as np

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.datasets.phantom.canvas import Canvas
from rarescene.scenes.datasets.phantom.operation import Operation

_VESSEL_DEPTH = (0.35, 0.85, 0.80)  # how much of red, green and blue a vessel takes away
_SMOKE_COLOUR = (0.66, 0.65, 0.67)


def render(
    operation: Operation, seed: int, number: int, frame: int, areas: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one phantom frame.

    Args:
        operation: what is shown.
        seed: seed of the set.
        number: number of the video.
        frame: number of the frame within the video.
        areas: `(C,)` planned share of the frame of every class, 0 where absent.
        size: height and width in pixels.

    Returns:
        Image uint8 `(H, W, 3)` and mask uint8 `(H, W)` of class ids.
    """
    height, width = size
    present = {identity: float(area) for identity, area in enumerate(areas) if area > 0}
    canvas = operation.draw(seed, number, frame, present, size)
    image = np.zeros((height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[canvas.crop] = canvas.label
    _shade(image[canvas.crop], operation, canvas, (seed, number, frame))
    return image, mask


def _shade(image: np.ndarray, operation: Operation, canvas: Canvas, names: tuple[int, int, int]) -> None:
    """Fill `image` with the light that the scene sends back."""
    video, smoke = canvas.video, canvas.now.smoke
    looks = [operation.looks[name] for name in operation.table.names]
    wet, vesselled = (
        np.array([getattr(look, key) for look in looks], np.float32) for key in ("wet", "vessels")
    )
    tints, changes = (
        np.array([getattr(look, key) for look in looks], np.float32) for key in ("colour", "change")
    )
    label, relief = canvas.label.astype(np.intp), video.strength[0]
    field_x, field_y = canvas.fx[None], canvas.fy[:, None]
    fine = canvas.unit > 150  # texels are larger than pixels: their edges must not show
    height = _soften(canvas.height, 0.25) if fine else canvas.height
    slope_x, slope_y = _slopes(height, canvas.unit * relief, 2 if fine else 1)
    steep = slope_x * slope_x
    steep += slope_y * slope_y
    np.minimum(steep, 3.0, out=steep)

    # The light sits at the camera: tissue that faces it is bright, and it falls off towards the rim.
    lx, ly, falloff, exposure = video.light
    away = canvas.distance - (2 * lx) * field_x
    away -= (2 * ly) * field_y
    away += lx * lx + ly * ly
    lamp = exposure / (1 + falloff * away)
    light = lamp * canvas.gain
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
    shine = (wet * 1.05).take(label)
    shine *= video.strength[2]
    shine /= slope_x
    shine *= lamp

    vessels = vesselled.take(label)
    vessels *= canvas.vessels
    vessels *= video.strength[1]
    rim = np.clip((video.radius - np.sqrt(canvas.distance)) * canvas.unit + 0.5, 0, 1)
    veil = smoke * np.clip(0.6 + 0.3 * canvas.smooth, 0, 1) * lamp if smoke > 0 else None
    grain = _grain(names, image.shape[:2], video.noise)
    colour = tints * video.jitter * 255.0
    for channel in range(3):
        plane = colour[:, channel].take(label)
        change = (changes[:, channel] * 255.0).take(label)
        change *= canvas.mix
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
