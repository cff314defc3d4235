"""Export: scenes as nnU-Net v2, COCO and Hugging Face `datasets` lay them out, synthetic ones marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.scenes.export.cases import Export, ExportSource
    from rarescene.scenes.export.coco import write_coco
    from rarescene.scenes.export.huggingface import write_huggingface
    from rarescene.scenes.export.nnunet import write_nnunet
    from rarescene.scenes.export.writing import need_empty_folder

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
