"""Where every class of a phantom gastrectomy lies. Classes claim pixels from front to back, as in `anatomy`.

The needle, the suction tube and the port, the organs and the objects claim their planned number of visible
pixels; the robotic instruments have their own size and may cover each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rarescene.scenes.datasets.class_tables import SISVSE
from rarescene.scenes.datasets.phantom.canvas import Box, Canvas
from rarescene.scenes.datasets.phantom.gastric_video import GastricVideo
from rarescene.scenes.datasets.phantom.instruments import (
    HEADS,
    draw_endotip,
    draw_other,
    draw_robot,
    draw_suction,
)
from rarescene.scenes.datasets.phantom.video import Moment, Shaft, frame_box, half_sides, swing, to_rim

BACKGROUND = SISVSE.id_of("background")
TISSUES = SISVSE.id_of("other tissues")

# organ: length to width, how far its axis bends, how uneven its outline is, how high it stands
_ORGANS: dict[str, tuple[float, float, float, float]] = {
    "gallbladder": (1.7, -0.2, 0.06, 0.8),
    "spleen": (1.5, 0.35, 0.06, 0.75),
    "pancreas": (3.0, 0.3, 0.16, 0.45),
    "stomach": (1.75, 0.55, 0.05, 0.6),
    "liver": (1.7, -0.25, 0.06, 0.45),
}


class GastricAnatomy(Canvas):
    """A canvas on which the organs and instruments of one frame of a gastrectomy can be laid out.

    Args:
        operated: the video, whose `shared` part is the canvas's.
        now: where the camera stands.
        frame: number of the frame.
        areas: planned share of the frame of every class present, by id.
        texture: seed and number of the video.
        size: height and width of the frame in pixels.
    """

    def __init__(
        self,
        operated: GastricVideo,
        now: Moment,
        frame: int,
        areas: Mapping[int, float],
        texture: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        super().__init__(operated.shared, now, areas, texture, size)
        self.operated, self.frame, self.size = operated, frame, size

    def lay_out(self) -> None:
        """Let the classes claim their pixels, front to back."""
        self._ground()
        if self._planned("needle"):
            self._needle()
        self._assistant()
        self._robot()
        if area := self._planned("gauze"):
            self._gauze(area)
        if self._planned("drain tube"):
            self._drain()
        if area := self._planned("specimen bag"):
            self._bag(area)
        for name in _ORGANS:
            if area := self._planned(name):
                self._organ(name, area)
        np.copyto(self.label, self.ground, where=self.free)

    def _planned(self, name: str) -> float:
        return self.areas.get(SISVSE.id_of(name), 0.0)

    def _place(self, name: str) -> tuple[float, float, float]:
        x, y, angle = self.operated.places[name]
        return x, y + self.now.breath, angle

    def _ground(self) -> None:
        """Lay out the cavern above and the fat of the omentum below, which share what the others leave."""
        top, slope = self.operated.horizon
        below = self.y - top - slope * self.x + 0.05 * self.smooth + 0.006 * self.fractal
        tissue = below > 0
        self.ground = np.where(tissue, np.uint8(TISSUES), np.uint8(BACKGROUND))
        puffy = 0.030 * self.lobules + 0.005 * self.fractal + 0.12 * np.minimum(below, 0.6)
        fibres = self.fibres(0.3, 4.0, 0.7)
        self.height[...] = np.where(tissue, puffy, 0.006 * self.smooth + 0.003 * fibres)
        self.gain[...] = np.where(
            tissue, np.clip(below * 1.3 + 0.62, 0.62, 1.08), np.clip(0.55 + 0.7 * below, 0.2, 0.6)
        )
        self.mix[...] = np.where(
            tissue, self.lobules * 1.2 - 0.9 + 0.5 * self.smooth, 0.5 * fibres + 0.5 * self.smooth
        )

    def _shaft(self, name: str, area: float, half: float | None = None) -> Shaft:
        """Return where an instrument stands; without `half` it is as thick as its planned area asks for."""
        arm = self.operated.arms[name]
        way = arm.way + swing(arm.reach[2], self.frame)
        x, y = (place + swing(waves, self.frame) for place, waves in zip(arm.tip, arm.reach, strict=False))
        length = to_rim((x, y), way, self.video.radius, frame_box(self.video, *half_sides(self.size)))
        if half is None:
            half = min(max(1.15 * area * 4 / (2 * length), 0.7 * arm.half_width), 1.35 * arm.half_width)
        opening = 0.5 + 0.5 * max(-1.0, min(1.0, swing(arm.jaws, self.frame)))
        return Shaft((x, y), (math.cos(way), math.sin(way)), length, half, opening)

    def _assistant(self) -> None:
        """Draw what the assistant's hands hold."""
        for name, draw in (
            ("suction irrigation", draw_suction),
            ("endotip", draw_endotip),
            ("other instruments", draw_other),
        ):
            if area := self._planned(name):
                draw(self, self._shaft(name, area))

    def _robot(self) -> None:
        """Draw the robot's instruments."""
        for name, head in HEADS.items():
            pieces = ("head", "wrist", "body") if head.wrist else ("head", "body")
            if area := sum(self._planned(f"{name} {piece}") for piece in pieces):
                draw_robot(self, name, self._shaft(name, area))

    def _organ(self, name: str, area: float) -> None:
        """Draw an organ: an uneven, bent oval of the planned size that stands out of the ground."""
        ratio, bend, uneven, rise = _ORGANS[name]
        x, y, angle = self._place(name)
        width = math.sqrt(4 * area / (math.pi * ratio))
        box = self.box(x, y, 2.2 * ratio * width + 0.3)
        along, across = self.local(box, x, y, angle)
        across = across - bend * along * along / (ratio * width)
        far = (along / (ratio * width)) ** 2 + (across / width) ** 2
        far -= uneven * (self.smooth[box] + (2.2 * self.lobules[box] if name == "pancreas" else 0.0))
        self._shadow(box, far)
        chosen = self.claim_planned(box, -far, SISVSE.id_of(name))
        rim = max(float(far[chosen].max(initial=0.0)), 1.0)  # farther out the more of the organ is covered
        dome = rise * width * np.sqrt(np.clip(1.05 - far / rim, 0, None)) + 0.02 + 0.008 * self.smooth[box]
        mix = 0.65 * self.smooth[box] + 0.35 * self.fractal[box]
        if name == "pancreas":
            dome += 0.03 * self.lobules[box]
            mix = self.lobules[box] - 0.6
        self.paint(
            box, chosen, dome + 0.002 * self.fractal[box], mix, np.clip(1.22 - 0.25 * far / rim, 0.7, 1.15)
        )

    def _shadow(self, box: Box, far: np.ndarray) -> None:
        self.gain[box] *= 1 - 0.35 * np.clip(1.7 - far, 0, 1)

    def _gauze(self, area: float) -> None:
        """Lay a woven swab, a crumpled square."""
        x, y, angle = self._place("gauze")
        half = math.sqrt(area)
        box = self.box(x, y, 2.6 * half + 0.2)
        along, across = self.local(box, x, y, angle)
        far = (
            np.maximum(np.abs(along + 0.12 * across) / 1.15, np.abs(across)) / half + 0.07 * self.smooth[box]
        )
        self._shadow(box, far * far)
        chosen = self.claim_planned(box, -far, SISVSE.id_of("gauze"))
        weave = np.sin(along * 85) * np.sin(across * 85)
        folds = self.fibres(angle + 0.5, 3.0, 0.8, box)
        self.paint(box, chosen, 0.05 + 0.012 * folds + 0.002 * weave, 0.5 * weave + 0.35 * folds, 1.05)

    def _bag(self, area: float) -> None:
        """Draw a specimen bag: thin foil in folds."""
        x, y, angle = self._place("specimen bag")
        half = math.sqrt(4 * area / math.pi)
        box = self.box(x, y, 2.6 * half + 0.2)
        along, across = self.local(box, x, y, angle)
        far = (np.abs(along / half / 1.2) ** 3 + np.abs(across * 1.2 / half) ** 3) + 0.12 * self.smooth[box]
        self._shadow(box, far)
        chosen = self.claim_planned(box, -far, SISVSE.id_of("specimen bag"))
        folds = self.fibres(angle + 1.2, 5.0, 0.8, box)
        sheet = 0.05 + 0.03 * np.abs(folds) + 0.05 * np.clip(1 - far, 0, 1)
        self.paint(box, chosen, sheet, np.abs(folds) - 0.7, 1.08)

    def _drain(self) -> None:
        """Draw a drain tube: a winding silicone tube with a marking line along it."""
        x, y, angle = self._place("drain tube")
        box = self.box(x, y, 1.1)
        along, across = self.local(box, x, y, angle)
        across = across - 0.45 * along * along + 0.12 + 0.05 * np.sin(5 * along)
        beyond = np.maximum(np.abs(along) - 0.8, 0)
        far = np.hypot(across, 3 * beyond)
        self._shadow(box, 0.7 + 8 * far)
        chosen = self.claim_planned(box, -far, SISVSE.id_of("drain tube"))
        half = max(float(far[chosen].max(initial=0.0)), 1e-3)
        line = np.where(np.abs(across + 0.2 * half) < 0.18 * half, -1.5, 0.2)
        tube = 0.05 + np.sqrt(np.maximum(half * half - far * far, 0))
        self.paint(box, chosen, tube, line + 0.2 * self.fractal[box], 1.05)

    def _needle(self) -> None:
        """Draw a curved needle: two fifths of a thin ring."""
        x, y, angle = self._place("needle")
        box, radius = self.box(x, y, 0.4), 0.16
        along, across = self.local(box, x, y, angle + 0.02 * self.frame)
        turned = np.arctan2(across, along)
        far = np.abs(np.hypot(along, across) - radius) + radius * np.maximum(np.abs(turned) - 1.4, 0)
        chosen = self.claim_planned(box, -far, SISVSE.id_of("needle"))
        self.paint(box, chosen, 0.08 - far, 0.6 * np.cos(8 * turned), 1.2)
