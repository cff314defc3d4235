"""Where every class of a phantom frame lies: the mask, the relief and the fine structure of the tissue.

Classes claim pixels from front to back, and a pixel once claimed is taken. Instruments claim first, then the
small structures, so nothing later hides them; each of the five planned tissue classes takes the planned
number of *visible* pixels, those where its shape function is largest. So an instrument may pass over a pool
of blood or a duct, yet the planned presence and area hold in the drawn mask at any size, and a hepatic vein
cannot vanish.
"""

from __future__ import annotations

import math

import numpy as np

from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.canvas import Canvas
from rarescene.scenes.datasets.phantom.instruments import draw_grasper, draw_hook

WALL = CHOLECSEG8K.id_of("abdominal wall")
LIVER = CHOLECSEG8K.id_of("liver")
TRACT = CHOLECSEG8K.id_of("gastrointestinal tract")
FAT = CHOLECSEG8K.id_of("fat")
TISSUE = CHOLECSEG8K.id_of("connective tissue")
BLOOD = CHOLECSEG8K.id_of("blood")
DUCT = CHOLECSEG8K.id_of("cystic duct")
GALLBLADDER = CHOLECSEG8K.id_of("gallbladder")
VEIN = CHOLECSEG8K.id_of("hepatic vein")
LIGAMENT = CHOLECSEG8K.id_of("liver ligament")


class Anatomy(Canvas):
    """A canvas on which the organs and instruments of one frame can be laid out."""

    def lay_out(self) -> None:
        """Let the classes claim their pixels, front to back."""
        self._ground()
        if self.now.hook is not None:
            draw_hook(self, self.now.hook)
        if self.now.grasper is not None:
            draw_grasper(self, self.now.grasper)
        for identity, draw in (
            (DUCT, self._duct),
            (GALLBLADDER, self._gallbladder),
            (VEIN, self._vein),
            (BLOOD, self._blood),
            (TISSUE, self._tissue),
            (LIGAMENT, self._ligament),
            (TRACT, self._tract),
        ):
            if identity in self.areas:
                draw()
        np.copyto(self.label, self.ground, where=self.free)

    def _ground(self) -> None:
        """Lay out abdominal wall, liver and fat, which share what the others leave."""
        x, breath = self.x, self.now.breath
        a0, a1, a2, _ = self.video.wall
        above_wall = (x * a2 + a1) * x - self.y + (a0 - 0.5 * breath)
        above_wall += 0.022 * self.smooth
        e0, e1, e2 = self.video.edge
        below_edge = self.y - (x * e2 + e1) * x - (e0 + breath)
        below_edge += self.video.lobes[0] * np.sin(x * self.video.lobes[1] + self.video.lobes[2])
        below_edge += 0.028 * self.smooth
        below_edge += 0.004 * self.fractal
        self.below_edge = below_edge
        wall = (above_wall > 0) if WALL in self.areas else np.zeros(x.shape, bool)
        fat = (below_edge > 0) if FAT in self.areas else np.zeros(x.shape, bool)
        self.ground = ground = np.full(x.shape, LIVER, np.uint8)
        ground[wall] = WALL
        ground[fat] = FAT

        margin = np.clip(below_edge * (-1 / 0.2) if FAT in self.areas else 0.5 - self.y, 0, 1)
        rounded = np.sqrt(margin * (2 - margin))
        self.height[...] = 0.11 * rounded
        self.height += 0.007 * self.smooth
        self.height += 0.0012 * self.fractal
        self.gain[...] = np.clip(above_wall * -1.8 + 0.55, 0.5, 1.05) if WALL in self.areas else 0.95
        self.mix[...] = 0.6 * self.smooth + 0.4 * self.fractal
        if WALL in self.areas:  # the cavern between wall and liver is dark, the near side of the wall pale
            fibres = self.fibres(0.5, 4.0, 0.6)
            gain = np.clip(above_wall * 0.9 + 0.42 + self.video.wall[3] * x, 0.3, 1.3)
            np.copyto(self.height, self.height + 0.004 * self.smooth + 0.003 * fibres, where=wall)
            np.copyto(self.gain, gain, where=wall)
            np.copyto(self.mix, 0.35 * fibres + 0.45 * self.smooth + 2.2 * (gain - 0.6), where=wall)
        if FAT in self.areas:
            puffy = self.lobules * 0.032 + self.fractal * 0.005 + np.minimum(below_edge, 0.5) * 0.2
            np.copyto(self.height, puffy, where=fat)
            np.copyto(self.gain, np.clip(below_edge * 1.6 + 0.72, 0.72, 1.12), where=fat)
            np.copyto(self.mix, self.lobules * 1.3 - 1.0 + 0.45 * self.smooth, where=fat)

    def _neck(self) -> tuple[float, float, float, float, float]:
        """Return centre, half length, half width and neck distance of the gallbladder."""
        x, y, _, ratio, _ = self.video.gallbladder
        area = 8.5 * max(
            self.areas.get(GALLBLADDER, 0.0), 0.035
        )  # more than half is tucked under liver and fat
        width = math.sqrt(area / (math.pi * ratio))
        return x, y + self.now.breath, width * ratio, width, width * ratio * 0.92

    def _gallbladder(self) -> None:
        x, y, length, width, _ = self._neck()
        box = self.box(x, y, length * 1.5)
        along, across = self.local(box, x, y, self.video.gallbladder[2])
        across = across - 0.2 * along * along / length
        slim = width * (1 - 0.30 * np.clip(along / length, -1, 1))
        part = np.abs(along / length)
        inside = 1 - part * part * part - (across / slim) ** 2 + 0.07 * self.smooth[box]
        below = self.below_edge[box]
        shadow = np.clip(1 + 2.2 * inside, 0, 1) * np.clip(1 + 16 * below, 0, 1)
        self.gain[box] *= 1 - 0.35 * shadow
        tucked = (below > -0.015) & (below < self.video.gallbladder[4] + 0.03 * self.lobules[box])
        chosen = (inside > 0) & self.free[box] & tucked
        self.claim(box, chosen, GALLBLADDER)
        dome = 0.75 * width * np.sqrt(np.maximum(inside, 0)) + 0.009 * self.smooth[box] + 0.015
        self.paint(box, chosen, dome, 0.8 * self.smooth[box] + 0.2 * self.fractal[box], 1.08)

    def _duct(self) -> None:
        """Draw the cystic duct from the neck of the gallbladder towards the fat."""
        x, y, _, _, neck = self._neck()
        axis = self.video.gallbladder[2]
        turn, length, bend = self.video.duct
        nx, ny = x + neck * math.cos(axis), y + neck * math.sin(axis)
        cx, cy = nx + 0.4 * length * math.cos(turn), ny + 0.4 * length * math.sin(turn)
        box = self.box(cx, cy, 0.7 * length + 0.05)
        along, across = self.local(box, cx, cy, turn)
        across = across - bend * (along * along / length - 0.1 * length) - 0.02 * np.sin(along * 16)
        beyond = np.maximum(np.abs(along) - 0.5 * length, 0)
        far = np.sqrt(across * across + 4 * beyond * beyond)
        chosen = self.claim_planned(box, 0.006 * self.smooth[box] + 0.004 * self.fractal[box] - far, DUCT)
        radius = max(4 * self.areas[DUCT] / (2 * length), 0.02)
        self.gain[box] *= 1 - 0.45 * np.clip(2.1 - far / radius, 0, 1)
        tube = self.height[box] * 0.7 + 0.015 + 0.8 * radius / (1 + (far / radius) ** 2)
        self.paint(
            box,
            chosen,
            tube + 0.002 * self.fractal[box],
            0.5 * self.fractal[box] + 0.4 * self.smooth[box],
            1.0,
        )

    def _vein(self) -> None:
        """Draw a thin hepatic vein on the liver, winding a little."""
        x, above, angle, length = self.video.vein
        e0, e1, e2 = self.video.edge
        y = e0 + e1 * x + e2 * x * x + self.now.breath - above
        box = self.box(x, y, 0.7 * length)
        along, across = self.local(box, x, y, angle)
        across = across - 0.035 * np.sin(along * 14 + 20 * angle)
        beyond = np.maximum(np.abs(along) - 0.5 * length, 0)
        far = np.sqrt(across * across + beyond * beyond)
        far += 0.5 * (self.ground[box] != LIVER)
        chosen = self.claim_planned(box, -far, VEIN)
        np.copyto(self.mix[box], self.fractal[box], where=chosen)

    def _blood(self) -> None:
        """Spread blood from the bed of the gallbladder, with runs along the tissue."""
        x, y, _, _, _ = self._neck()
        dx, dy, angle = self.video.blood
        radius = math.sqrt(4 * self.areas[BLOOD] / math.pi)
        box = self.box(x + dx, y + dy, 2.8 * radius + 0.05)
        along, across = self.local(box, x + dx, y + dy, angle)
        far = np.sqrt(0.55 * along * along + 1.5 * across * across)
        runs = self.fibres(angle, 2.6, 0.6, box)
        shape = (
            radius * (0.42 * self.smooth[box] + 0.07 * runs + 0.08 * self.fractal[box])
            + 0.4 * (0.07 - self.height[box])
            - far
        )
        chosen = self.claim_planned(box, shape, BLOOD)
        wet = self.height[box] * 0.9 + 0.014 * self.smooth[box] + 0.005 * runs
        self.paint(box, chosen, wet, 0.7 * self.smooth[box] + 0.4 * runs, 0.95)

    def _tissue(self) -> None:
        """Spread connective tissue around the neck of the gallbladder."""
        x, y, _, _, neck = self._neck()
        axis = self.video.gallbladder[2]
        dx, dy, angle = self.video.tissue
        cx, cy = x + 0.6 * neck * math.cos(axis) + dx, y + 0.6 * neck * math.sin(axis) + dy
        radius = math.sqrt(4 * self.areas[TISSUE] / math.pi)
        box = self.box(cx, cy, 2.8 * radius)
        along, across = self.local(box, cx, cy, angle)
        far = np.sqrt(0.7 * along * along + 1.3 * across * across)
        fibres = self.fibres(angle + 0.4, 3.5, 0.6, box)
        webs = radius * (0.26 * self.smooth[box] + 0.1 * fibres + 0.12 * self.lobules[box])
        chosen = self.claim_planned(box, webs - far, TISSUE)
        sheet = (
            self.height[box] * 0.8
            + 0.015
            + 0.006 * fibres
            + 0.01 * self.smooth[box]
            + 0.02 * self.lobules[box]
        )
        self.paint(box, chosen, sheet, 0.7 * fibres + 0.5 * self.smooth[box], 1.0)

    def _ligament(self) -> None:
        """Hang the liver ligament from the abdominal wall down to the liver, as a sheet in folds."""
        x, angle = self.video.ligament
        y = self.video.wall[0] + self.video.wall[1] * x - 0.12
        box = self.box(x, y, 1.25)
        along, across = self.local(box, x, y, angle + math.pi / 2)
        across = across - 0.12 * along * along
        half = 0.30 - 0.22 * np.clip(along, -0.6, 0.7)  # a fan, wide at the wall
        far = (across / half) ** 2 + ((along / 0.68) ** 2) ** 2
        folds = self.fibres(angle + math.pi / 2, 4.0, 0.9, box)
        chosen = self.claim_planned(box, 0.20 * self.smooth[box] + 0.07 * folds - far, LIGAMENT)
        drape = 0.012 * np.sin(across * 19 + 1.3 * self.smooth[box]) + 0.004 * folds
        sheet = self.height[box] + 0.05 * np.maximum(1.2 - far, 0) + drape
        gain = np.clip(1.15 - 0.2 * far, 0.7, 1.1)
        self.paint(box, chosen, sheet, 0.5 * folds + 0.6 * self.smooth[box], gain)

    def _tract(self) -> None:
        """Lay a loop of bowel at the side, on the fat."""
        x, y, angle = self.video.tract
        width = math.sqrt(5.4 * self.areas[TRACT] / (math.pi * 1.9))  # part of it lies outside the field
        box = self.box(x, y, width * 2.9)
        along, across = self.local(box, x, y + 0.5 * self.now.breath, angle)
        across = across - 0.5 * along * along
        waist = 1 + 0.07 * np.sin(along * 13 + self.smooth[box])
        inside = 1 - ((along / (2.6 * width)) ** 2) ** 2 - (across / (width * waist)) ** 2
        inside += 0.06 * self.smooth[box]
        self.gain[box] *= 1 - 0.3 * np.clip(1 + 2 * inside, 0, 1)
        chosen = (inside > 0) & self.free[box]
        self.claim(box, chosen, TRACT)
        tube = 0.04 + 0.6 * width * np.sqrt(np.maximum(inside, 0)) + 0.012 * self.smooth[box]
        tube += 0.002 * self.fractal[box]
        self.paint(box, chosen, tube, 0.7 * self.smooth[box] + 0.3 * self.fractal[box], 1.02)
