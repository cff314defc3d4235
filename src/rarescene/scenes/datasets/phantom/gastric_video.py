"""One phantom gastrectomy: where its organs lie, and from where its instruments come.

Camera, light, texture and breath are those of any phantom video; coordinates are those of `video`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.datasets.phantom.video import PhantomVideo, Waves, chances, phantom_video

Place = tuple[float, float, float]

# name: x, y and angle of its axis; each is moved a little in every video
_PLACES: dict[str, Place] = {
    "liver": (-0.42, -0.45, -0.15),
    "stomach": (0.28, 0.16, 0.35),
    "pancreas": (-0.12, 0.60, -0.15),
    "spleen": (0.74, -0.34, 0.9),
    "gallbladder": (-0.72, 0.02, 0.9),
    "gauze": (-0.35, 0.35, 0.3),
    "specimen bag": (0.30, -0.52, 0.2),
    "drain tube": (-0.05, 0.80, 0.1),
    "needle": (0.05, 0.28, 0.0),
}
# instrument: direction from its tip to its port, where its tip works, half thickness at the mean area
_ARMS: dict[str, tuple[float, tuple[float, float], float]] = {
    "HarmonicAce": (0.55, (0.22, 0.14), 0.105),
    "MarylandBipolar": (2.65, (-0.20, 0.12), 0.105),
    "Cadiere": (3.45, (-0.28, -0.16), 0.105),
    "curved atraumatic grasper": (-0.30, (0.34, -0.12), 0.085),
    "stapler": (1.00, (0.20, 0.26), 0.13),
    "medium-large clip applier": (0.10, (0.28, 0.04), 0.10),
    "small clip applier": (2.15, (-0.10, 0.26), 0.09),
    "other instruments": (-2.2, (-0.16, -0.34), 0.08),
    "suction irrigation": (1.55, (0.02, 0.30), 0.06),
    "endotip": (-0.85, (0.48, -0.52), 0.18),
}


@dataclass(frozen=True)
class Arm:
    """An instrument's way: from its tip to its port, where the tip works, and how both move."""

    way: float
    tip: tuple[float, float]
    half_width: float
    reach: tuple[Waves, Waves, Waves]  # tip x, tip y, direction
    jaws: Waves


@dataclass(frozen=True)
class GastricVideo:
    """What the frames of a phantom gastrectomy share; `phantom_gastrectomy` draws it.

    Attributes:
        shared: camera, light, texture and breath.
        arms: the instruments by name.
        places: x, y and angle of organs and objects, by name.
        horizon: height of the border between the cavern and the tissue, and its slope.
    """

    shared: PhantomVideo
    arms: Mapping[str, Arm]
    places: Mapping[str, Place]
    horizon: tuple[float, float]


@lru_cache(maxsize=4096)
def phantom_gastrectomy(seed: int, number: int) -> GastricVideo:
    """Return video number `number` of the set with this seed."""
    rng = np.random.default_rng(derive_seed(seed, "phantom gastrectomy", number))
    u, waves = chances(rng)
    arms = {
        name: Arm(
            way + u(-0.22, 0.22),
            (x + u(-0.10, 0.10), y + u(-0.08, 0.08)),
            half * u(0.9, 1.1),
            (waves(0.07, 120, 40), waves(0.07, 120, 40), waves(0.08, 120, 50)),
            waves(1.0, 90, 40),
        )
        for name, (way, (x, y), half) in _ARMS.items()
    }
    places = {
        name: (x + u(-0.09, 0.09), y + u(-0.07, 0.07), angle + u(-0.25, 0.25))
        for name, (x, y, angle) in _PLACES.items()
    }
    jitter = 1 + rng.uniform(-0.1, 0.1, (32, 1)) + rng.uniform(-0.05, 0.05, (32, 3))
    # The camera of a robot fills the frame; only the corners are cut off.
    shared = replace(phantom_video(seed, number), radius=u(1.2, 1.36), jitter=jitter.astype(np.float32))
    return GastricVideo(shared, arms, places, (u(-0.60, -0.40), u(-0.15, 0.15)))
