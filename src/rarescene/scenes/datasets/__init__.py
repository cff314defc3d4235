"""The data sets: how each lies on disk, and one way to open any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
    from rarescene.scenes.datasets.infer_classes import propose_class_table
    from rarescene.scenes.datasets.open import open_scenes
    from rarescene.scenes.datasets.scan import Scan, scan_scenes

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
