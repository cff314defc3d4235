"""Export: scenes as nnU-Net v2, COCO and Hugging Face `datasets` lay them out, synthetic ones marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.scenes.export.cases import Export as Export
    from rarescene.scenes.export.cases import ExportSource as ExportSource
    from rarescene.scenes.export.coco import write_coco as write_coco
    from rarescene.scenes.export.huggingface import write_huggingface as write_huggingface
    from rarescene.scenes.export.nnunet import write_nnunet as write_nnunet
    from rarescene.scenes.export.writing import need_empty_folder as need_empty_folder

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "Export": "cases",
        "ExportSource": "cases",
        "need_empty_folder": "writing",
        "write_coco": "coco",
        "write_huggingface": "huggingface",
        "write_nnunet": "nnunet",
    },
)
