"""Phantom scenes: procedural laparoscopic views, the embedded default data.

There are two operations (`operation`): a cholecystectomy with the classes of CholecSeg8k and a gastrectomy
with those of SISVSE. A video is planned (`schedule`), laid out (`video`, `anatomy`; `gastric_video`,
`gastric_anatomy`) and lit (`render`). Phantom figures say nothing about surgery; they are called phantom
wherever they are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.scenes.datasets.phantom.config import PhantomConfig
    from rarescene.scenes.datasets.phantom.dataset import phantom_scenes
    from rarescene.scenes.datasets.phantom.schedule import PhantomPlan, plan
    from rarescene.scenes.datasets.phantom.writing import write_phantom

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
