"""The phantom cholecystectomy: the classes of CholecSeg8k.

The figures of six classes are those that CASDM publishes for CholecSeg8k (section "Dataset"): the share of
the frames that show the class, and its mean share of the area of those frames.
"""

from __future__ import annotations

from collections.abc import Mapping

from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.anatomy import Anatomy
from rarescene.scenes.datasets.phantom.instruments import GRASPER, HOOK
from rarescene.scenes.datasets.phantom.operation import Figures, Look, Operation
from rarescene.scenes.datasets.phantom.video import half_sides, moment, phantom_video

PUBLISHED: dict[str, Figures] = {
    "blood": Figures(0.0856, 0.0493, 0.45, 0.35, (0.25, 2.2), (0.35, 1.25)),
    "cystic duct": Figures(0.0307, 0.0120, 0.35, 0.25, (0.5, 1.8), (0.8, 0.8)),
    "hepatic vein": Figures(0.0392, 0.0024, 0.35, 0.20, (0.6, 1.6), (0.9, 0.9)),
    "liver ligament": Figures(0.0297, 0.1410, 0.35, 0.15, (0.6, 1.4), (0.9, 0.9)),
    "L-hook electrocautery": Figures(0.2790, 0.0470, 0.65, 0.20, (0.4, 1.7), (0.55, 0.55)),
    "connective tissue": Figures(0.1980, 0.1145, 0.55, 0.25, (0.4, 1.6), (0.8, 0.8)),
}
"""CASDM's twelve figures (`frames` and `area`); the other numbers are ours."""

_EPISODIC = {**PUBLISHED, "grasper": Figures(0.70, 0.039, 0.90, 0.20, (0.4, 1.8), (0.6, 0.6))}
_WHOLE_VIDEOS = {  # class: (share of the videos, mean area)
    "gallbladder": (0.90, 0.055),
    "gastrointestinal tract": (0.52, 0.066),
    "abdominal wall": (0.94, 0.0),
    "fat": (0.97, 0.0),
}
_REMAINDER = {
    "abdominal wall": 0.25,
    "liver": 0.42,
    "fat": 0.33,
}  # shares of what the others leave of the field
_LOOKS = {
    "black background": Look((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0.0),
    "abdominal wall": Look((0.66, 0.36, 0.36), (0.10, 0.15, 0.17), 0.75, 0.15),
    "liver": Look((0.43, 0.125, 0.11), (0.04, 0.022, 0.018), 0.12, 0.26),
    "gastrointestinal tract": Look((0.85, 0.50, 0.43), (0.06, 0.07, 0.06), 0.6, 0.7),
    "fat": Look((0.93, 0.67, 0.31), (0.07, 0.12, 0.11), 0.45, 0.45),
    "grasper": Look((0.56, 0.56, 0.58), (0.40, 0.40, 0.40), 0.0, 0.9),
    "connective tissue": Look((0.84, 0.62, 0.56), (0.08, 0.13, 0.13), 0.6, 0.7),
    "blood": Look((0.44, 0.045, 0.05), (0.10, 0.018, 0.018), 0.0, 0.8),
    "cystic duct": Look((0.80, 0.73, 0.58), (0.06, 0.07, 0.06), 0.2, 0.9),
    "L-hook electrocautery": Look((0.17, 0.17, 0.20), (0.55, 0.55, 0.55), 0.0, 0.6),
    "gallbladder": Look((0.68, 0.73, 0.67), (0.10, 0.05, 0.03), 0.75, 0.9),
    "hepatic vein": Look((0.23, 0.13, 0.31), (0.03, 0.02, 0.03), 0.0, 0.3),
    "liver ligament": Look((0.86, 0.71, 0.57), (0.05, 0.07, 0.09), 0.6, 0.3),
}


def _draw(seed: int, number: int, frame: int, areas: Mapping[int, float], size: tuple[int, int]) -> Anatomy:
    video = phantom_video(seed, number)
    now = moment(video, frame, areas.get(GRASPER, 0.0), areas.get(HOOK, 0.0), *half_sides(size))
    anatomy = Anatomy(video, now, areas, (seed, number), size)
    anatomy.lay_out()
    return anatomy


CHOLECYSTECTOMY = Operation(CHOLECSEG8K, _EPISODIC, _WHOLE_VIDEOS, _REMAINDER, _LOOKS, phantom_video, _draw)
