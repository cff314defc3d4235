"""The instruments of phantom scenes: those of the cholecystectomy, the robot's, and its assistant's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rarescene.scenes.datasets.class_tables import CHOLECSEG8K, SISVSE
from rarescene.scenes.datasets.phantom.canvas import Box, Canvas
from rarescene.scenes.datasets.phantom.video import Shaft

GRASPER = CHOLECSEG8K.id_of("grasper")
HOOK = CHOLECSEG8K.id_of("L-hook electrocautery")


@dataclass(frozen=True)
class Head:
    """The working end of an instrument; lengths in half widths of its shaft.

    Attributes:
        length: from the tip to the wrist, or to the body where there is no wrist.
        jaws: width of each of the two jaws; 0 for a solid head.
        spread: how far the jaws open.
        curve: how far the tip bends aside.
        window: share of a jaw's width that is an opening in it.
        wrist: length of the wrist.
    """

    length: float
    jaws: float
    spread: float
    curve: float
    window: float = 0.0
    wrist: float = 0.0


HEADS: dict[str, Head] = {
    "HarmonicAce": Head(4.2, 0.30, 0.5, 0.9),
    "MarylandBipolar": Head(2.6, 0.26, 0.9, 1.1, wrist=1.7),
    "Cadiere": Head(2.8, 0.52, 0.9, 0.0, window=0.45, wrist=1.7),
    "curved atraumatic grasper": Head(4.6, 0.34, 0.8, 1.3),
    "stapler": Head(3.2, 0.62, 0.3, 0.0),
    "medium-large clip applier": Head(2.6, 0.34, 1.2, -1.0, wrist=1.7),
    "small clip applier": Head(2.1, 0.24, 1.0, -0.9, wrist=1.5),
}
"""The instruments in parts, by the name before "head", "wrist" and "body"."""


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


def draw_robot(canvas: Canvas, name: str, shaft: Shaft) -> None:
    """Draw an instrument of `HEADS`: two jaws, a jointed wrist where it has one, and its shaft."""
    head, half = HEADS[name], shaft.half_width
    box, along, across = along_shaft(canvas, shaft)
    length, wrist_end = head.length * half, (head.length + head.wrist) * half
    part = np.clip(along / length, 0, 1)
    across_head = across - head.curve * half * (1 - part) ** 2
    off = np.abs(across_head)
    middle = (1 - part) * np.sqrt(part + 0.3) * head.spread * half * (0.5 + shaft.opening) + 0.30 * half
    width = head.jaws * half * (0.45 + 0.55 * np.sqrt(part))
    jaws = (np.abs(off - middle) < width) & (along > 0) & (along < length)
    if head.window:
        hole = (np.abs(off - middle) < head.window * width) & (part > 0.2) & (part < 0.75)
        jaws &= ~hole
    # The jaws join at their hinge.
    jaws |= (off < 0.75 * half) & (part > 0.8) & (along < length)
    waist = half * (0.86 + 0.1 * np.cos((along - length) * (2 * math.pi / max(wrist_end - length, half))))
    wrist = (along >= length) & (along < wrist_end) & (np.abs(across) < waist)
    body = (along >= wrist_end) & (np.abs(across) < half)
    round_ = np.sqrt(np.maximum(half * half - across * across, 0))
    edge = np.sqrt(np.maximum(width * width - (off - middle) ** 2, 0))
    teeth = 0.25 * np.sin(along * (9 / half))
    rings = np.where(np.abs(along - wrist_end - 0.35 * half) < 0.15 * half, 1.0, 0.0)
    joint = np.where(np.abs(along - 0.5 * (length + wrist_end)) < 0.22 * half, -1.0, 0.35)
    for piece, chosen, height, mix in (
        ("head", jaws, 0.06 + edge, teeth),
        ("wrist", wrist, 0.06 + round_, joint),
        ("body", body, 0.05 + round_, rings),
    ):
        if piece == "wrist" and not head.wrist:
            continue
        chosen = chosen & canvas.free[box]
        canvas.claim(box, chosen, SISVSE.id_of(f"{name} {piece}"))
        canvas.paint(box, chosen, height, mix, 1.05)


def draw_suction(canvas: Canvas, shaft: Shaft) -> None:
    """Draw the suction tube: slender metal, with holes near its rounded tip."""
    box, along, across = along_shaft(canvas, shaft)
    off = np.abs(across)
    far = np.hypot(off, np.minimum(along, 0))
    chosen = canvas.claim_planned(box, -far, SISVSE.id_of("suction irrigation"))
    half = max(float(far[chosen].max(initial=0.0)), 1e-3)
    holes = (
        (np.abs(np.mod(along, 0.9 * half) - 0.45 * half) < 0.2 * half)
        & (off < 0.3 * half)
        & (along < 3 * half)
    )
    round_ = np.sqrt(np.maximum(half * half - far * far, 0))
    canvas.paint(box, chosen, 0.05 + round_, np.where(holes, -1.3, 0.1), 1.08)


def draw_endotip(canvas: Canvas, shaft: Shaft) -> None:
    """Draw the end of a threaded port: a thick tube that reaches in from the rim, cut off straight."""
    box, along, across = along_shaft(canvas, shaft)
    off = np.abs(across)
    thread = 0.02 * np.sin(along * 42)
    chosen = canvas.claim_planned(box, -off - thread - 8 * np.maximum(-along, 0), SISVSE.id_of("endotip"))
    half = max(float(off[chosen].max(initial=0.0)), 1e-3)
    round_ = np.sqrt(np.maximum(half * half - across * across, 0))
    mouth = (along < 0.10) & (off < 0.75 * half)
    mix = np.where(mouth, -1.6, np.sin(along * 42 + 3 * across))
    canvas.paint(box, chosen, 0.05 + round_ + thread, mix, 1.05)


def draw_other(canvas: Canvas, shaft: Shaft) -> None:
    """Draw an instrument of no class of its own: a plain dark rod with a blunt light tip."""
    box, along, across = along_shaft(canvas, shaft)
    half = shaft.half_width
    chosen = (np.hypot(across, np.minimum(along - half, 0)) < half) & (along > 0) & canvas.free[box]
    canvas.claim(box, chosen, SISVSE.id_of("other instruments"))
    round_ = np.sqrt(np.maximum(half * half - across * across, 0))
    canvas.paint(box, chosen, 0.05 + round_, np.where(along < 2.2 * half, 1.2, 0.0), 1.05)
