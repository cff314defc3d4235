"""The data sets: how each lies on disk, and one way to open any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.scenes.datasets.checking import Scan, scan
    from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K
    from rarescene.scenes.datasets.opening import open_scenes
    from rarescene.scenes.datasets.propose import propose_class_table

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
