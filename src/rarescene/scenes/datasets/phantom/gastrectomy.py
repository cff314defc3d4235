"""The phantom gastrectomy: the 32 classes of SISVSE, seen through a robot's camera.

The figures of suction irrigation, endotip and spleen are those that CASDM publishes for SISVSE (section
"Generalisability Across Datasets"); all other numbers are ours. Instruments are planned as wholes; shares of
their parts are an outlook only.
"""

from __future__ import annotations

from collections.abc import Mapping

from rarescene.scenes.datasets.class_tables import SISVSE
from rarescene.scenes.datasets.phantom.gastric_anatomy import GastricAnatomy
from rarescene.scenes.datasets.phantom.gastric_video import phantom_gastrectomy
from rarescene.scenes.datasets.phantom.instruments import HEADS
from rarescene.scenes.datasets.phantom.operation import Figures, Light, Look, Operation
from rarescene.scenes.datasets.phantom.video import PhantomVideo, half_sides, moment

PUBLISHED: dict[str, Figures] = {
    "suction irrigation": Figures(0.0836, 0.0385, 0.45, 0.15, (0.5, 1.6), (0.8, 0.8)),
    "endotip": Figures(0.0876, 0.0457, 0.45, 0.15, (0.5, 1.6), (0.8, 0.8)),
    "spleen": Figures(0.0929, 0.0247, 0.40, 0.25, (0.4, 1.8), (0.8, 0.8)),
}
"""CASDM's six figures (`frames` and `area`); the other numbers are ours."""


def _usual(frames: float, area: float, videos: float) -> Figures:
    return Figures(frames, area, videos, 0.15, (0.5, 1.7), (0.7, 0.7))


_EPISODIC = {
    **PUBLISHED,
    "HarmonicAce": _usual(0.38, 0.075, 0.80),
    "MarylandBipolar": _usual(0.46, 0.080, 0.85),
    "Cadiere": _usual(0.50, 0.080, 0.85),
    "curved atraumatic grasper": _usual(0.22, 0.055, 0.60),
    "stapler": _usual(0.10, 0.100, 0.40),
    "medium-large clip applier": _usual(0.10, 0.070, 0.40),
    "small clip applier": _usual(0.08, 0.060, 0.40),
    "needle": _usual(0.07, 0.0035, 0.40),
    "specimen bag": _usual(0.06, 0.080, 0.35),
    "drain tube": _usual(0.07, 0.030, 0.35),
    "gauze": _usual(0.24, 0.050, 0.60),
    "other instruments": _usual(0.12, 0.050, 0.45),
}
_WHOLE_VIDEOS = {
    "liver": (0.85, 0.16),
    "stomach": (0.85, 0.17),
    "pancreas": (0.55, 0.05),
    "gallbladder": (0.40, 0.035),
}
_REMAINDER = {"other tissues": 0.70, "background": 0.30}
_PARTS = {
    name: {f"{name} head": 0.3, f"{name} wrist": 0.15, f"{name} body": 0.55}
    if head.wrist
    else {f"{name} head": 0.4, f"{name} body": 0.6}
    for name, head in HEADS.items()
}

_STEEL: Light = (0.56, 0.56, 0.59)
_BRIGHT: Light = (0.72, 0.73, 0.76)
_BLACK: Light = (0.12, 0.12, 0.14)
_SHEEN: Light = (0.30, 0.30, 0.32)


def _metal(colour: Light, change: Light = _SHEEN) -> Look:
    return Look(colour, change, 0.0, 0.9)


_LOOKS = {
    "background": Look((0.40, 0.20, 0.19), (0.07, 0.06, 0.06), 0.3, 0.10),
    "HarmonicAce head": _metal(_BRIGHT),
    "HarmonicAce body": _metal((0.20, 0.21, 0.24)),
    "MarylandBipolar head": _metal((0.60, 0.55, 0.48)),
    "MarylandBipolar wrist": _metal(_STEEL),
    "MarylandBipolar body": _metal(_BLACK),
    "Cadiere head": _metal(_STEEL),
    "Cadiere wrist": _metal((0.48, 0.49, 0.53)),
    "Cadiere body": _metal(_BLACK),
    "curved atraumatic grasper head": _metal((0.50, 0.50, 0.50)),
    "curved atraumatic grasper body": _metal((0.62, 0.62, 0.64)),
    "stapler head": _metal((0.52, 0.55, 0.62)),
    "stapler body": _metal((0.78, 0.78, 0.76), (0.12, 0.12, 0.12)),
    "medium-large clip applier head": _metal((0.66, 0.58, 0.70)),
    "medium-large clip applier wrist": _metal(_STEEL),
    "medium-large clip applier body": _metal((0.16, 0.13, 0.18)),
    "small clip applier head": _metal((0.48, 0.66, 0.58)),
    "small clip applier wrist": _metal(_STEEL),
    "small clip applier body": _metal((0.11, 0.16, 0.15)),
    "suction irrigation": _metal(_BRIGHT, (0.35, 0.35, 0.35)),
    "needle": _metal((0.80, 0.82, 0.84)),
    "endotip": _metal((0.46, 0.50, 0.52), (0.22, 0.22, 0.22)),
    "specimen bag": Look((0.72, 0.78, 0.80), (0.16, 0.14, 0.12), 0.0, 1.0),
    "drain tube": Look((0.86, 0.82, 0.72), (0.22, 0.16, 0.06), 0.0, 1.0),
    "liver": Look((0.43, 0.125, 0.11), (0.04, 0.022, 0.018), 0.12, 0.26),
    "stomach": Look((0.86, 0.49, 0.44), (0.06, 0.07, 0.06), 0.85, 0.6),
    "pancreas": Look((0.88, 0.66, 0.42), (0.08, 0.10, 0.10), 0.30, 0.45),
    "spleen": Look((0.34, 0.10, 0.20), (0.05, 0.03, 0.04), 0.15, 0.5),
    "gallbladder": Look((0.50, 0.60, 0.46), (0.08, 0.06, 0.04), 0.6, 0.9),
    "gauze": Look((0.90, 0.84, 0.80), (0.10, 0.14, 0.14), 0.0, 0.1),
    "other instruments": _metal((0.22, 0.24, 0.30)),
    "other tissues": Look((0.93, 0.66, 0.33), (0.07, 0.12, 0.11), 0.55, 0.45),
}


def _video(seed: int, number: int) -> PhantomVideo:
    return phantom_gastrectomy(seed, number).shared


def _draw(
    seed: int, number: int, frame: int, areas: Mapping[int, float], size: tuple[int, int]
) -> GastricAnatomy:
    operated = phantom_gastrectomy(seed, number)
    now = moment(operated.shared, frame, 0.0, 0.0, *half_sides(size))
    anatomy = GastricAnatomy(operated, now, frame, areas, (seed, number), size)
    anatomy.lay_out()
    return anatomy


GASTRECTOMY = Operation(SISVSE, _EPISODIC, _WHOLE_VIDEOS, _REMAINDER, _LOOKS, _video, _draw, _PARTS)
