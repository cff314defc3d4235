"""The instruments of phantom scenes: the L-hook electrocautery and the grasper."""

from __future__ import annotations

import numpy as np

from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.canvas import Box, Canvas
from rarescene.scenes.datasets.phantom.video import Shaft

GRASPER = CHOLECSEG8K.id_of("grasper")
HOOK = CHOLECSEG8K.id_of("L-hook electrocautery")


def draw_hook(canvas: Canvas, shaft: Shaft) -> None:
    """Draw the L-hook: an insulated shaft, a thin metal rod, and its end bent by a right angle."""
    box, along, across = along_shaft(canvas, shaft)
    rod, rod_end = 0.017, 0.13
    half = shaft.half_width * (1 + 0.1 * np.minimum(along, 1.5))
    bent = across * shaft.opening
    metal = (np.abs(across) < rod) & (along > 0) & (along <= rod_end)
    metal |= (np.abs(along - rod) < rod) & (bent > -rod) & (bent < 0.075)
    collar = (along > rod_end) & (along < rod_end + 0.035) & (np.abs(across) < half * 0.8)
    chosen = (along >= rod_end + 0.035) & (np.abs(across) < half)
    chosen |= metal
    chosen |= collar
    chosen &= canvas.free[box]
    canvas.claim(box, chosen, HOOK)
    round_ = np.sqrt(np.maximum(half * half - across * across, 0))
    canvas.paint(box, chosen, 0.06 + round_, np.where(metal, 1.0, np.where(collar, 0.55, 0.0)), 1.05)


def draw_grasper(canvas: Canvas, shaft: Shaft) -> None:
    """Draw the grasper: a steel shaft with two tapered jaws, open or closed."""
    box, along, across = along_shaft(canvas, shaft)
    half, jaw = shaft.half_width, 0.2
    part = np.clip(along / jaw, 0, 1)
    middle = (1 - part) * (0.6 * half + 0.06 * shaft.opening) * np.sqrt(part + 0.3) + 0.32 * half
    width = half * (0.22 + 0.34 * part)
    off = np.abs(across)
    jaws = (np.abs(off - middle) < width) & (along > 0) & (along < jaw)
    chosen = (along >= jaw) & (off < half)
    chosen |= jaws
    chosen &= canvas.free[box]
    canvas.claim(box, chosen, GRASPER)
    bulge = np.where(along < jaw, width * width - (off - middle) ** 2, half * half - across * across)
    ring = np.abs(along - jaw - 0.03) < 0.018
    teeth = np.where(along < jaw, np.sin(along * 160) * 0.18, 0.0)
    dark = np.where(along > jaw + 0.3, -0.45, teeth) - 0.7 * ring
    canvas.paint(box, chosen, 0.05 + np.sqrt(np.maximum(bulge, 0)), dark, 1.05)


def along_shaft(canvas: Canvas, shaft: Shaft) -> tuple[Box, np.ndarray, np.ndarray]:
    """Return the box of an instrument and its coordinates: outwards from the tip, and across."""
    (x, y), (dx, dy), pad = shaft.tip, shaft.out, 3.2 * shaft.half_width + 0.1
    ex, ey = x + dx * (shaft.length + 0.4), y + dy * (shaft.length + 0.4)
    box = canvas.field_box(min(x, ex) - pad, max(x, ex) + pad, min(y, ey) - pad, max(y, ey) + pad)
    fy, fx = canvas.fy[box[0]], canvas.fx[box[1]]
    along = np.add.outer(fy * dy - (x * dx + y * dy), fx * dx)
    across = np.add.outer(fy * dx - (y * dx - x * dy), fx * -dy)
    shadow = np.clip(1 - np.abs(across - 0.8 * shaft.half_width) / (1.7 * shaft.half_width), 0, 1)
    shadow *= along > -0.02
    canvas.gain[box] *= 1 - 0.6 * shadow
    return box, along, across
