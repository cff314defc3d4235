"""The data sets: how each lies on disk, and one way to open any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.scenes.datasets.checking import Scan as Scan
    from rarescene.scenes.datasets.checking import scan as scan
    from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K as CHOLECSEG8K
    from rarescene.scenes.datasets.opening import open_scenes as open_scenes
    from rarescene.scenes.datasets.propose import propose_class_table as propose_class_table

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "CHOLECSEG8K": "cholecseg8k_classes",
        "Scan": "checking",
        "open_scenes": "opening",
        "propose_class_table": "propose",
        "scan": "checking",
    },
)
