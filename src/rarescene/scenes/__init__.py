"""Scenes: what they are, where they come from, how they are split, resized, cached, asked for and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.scenes.augmenting import augment
    from rarescene.scenes.cache import SceneCache, alone, cache_root, data_digest, pixel_digest
    from rarescene.scenes.class_table import ClassTable, Colour, SceneClass
    from rarescene.scenes.config import NO_AUGMENTATION, AugmentConfig
    from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
    from rarescene.scenes.datasets.infer_classes import propose_class_table
    from rarescene.scenes.datasets.open import open_scenes
    from rarescene.scenes.datasets.phantom.config import PhantomConfig
    from rarescene.scenes.datasets.phantom.dataset import phantom_scenes
    from rarescene.scenes.datasets.phantom.writing import write_phantom
    from rarescene.scenes.datasets.scan import Scan, scan_scenes
    from rarescene.scenes.export.cases import Export, ExportSource
    from rarescene.scenes.export.coco import write_coco
    from rarescene.scenes.export.huggingface import write_huggingface
    from rarescene.scenes.export.nnunet import write_nnunet
    from rarescene.scenes.export.writing import need_empty_folder
    from rarescene.scenes.faults import Fault, Listing
    from rarescene.scenes.mask_code import MaskCode
    from rarescene.scenes.padding import cut_back, pad_images, pad_masks
    from rarescene.scenes.pairs import list_pairs
    from rarescene.scenes.rasters import (
        IMAGE_SUFFIXES,
        read_image,
        walk_files,
        what_is_not_read,
        write_image,
        write_mask,
    )
    from rarescene.scenes.request import PLACES, ClassRequest, KeptReport, Request
    from rarescene.scenes.request_pool import RequestPool, read_requests
    from rarescene.scenes.scene import Recording, Scene, SceneRecord, SceneSet
    from rarescene.scenes.split import (
        Split,
        SplitRule,
        draw_recordings,
        looks_at_classes,
        named_recordings,
        split_rules,
        split_scenes,
    )
    from rarescene.scenes.statistics import ClassStatistics, SceneStatistics, class_statistics
    from rarescene.scenes.store import MANIFEST, SceneSetWriter, merge, open_set, read_confidence
    from rarescene.scenes.transforms import pad_to_aspect, resize_image, resize_mask

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
