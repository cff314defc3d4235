"""Scenes: what they are, where they come from, how they are split, resized, cached, asked for and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.scenes.augmenting import augment as augment
    from rarescene.scenes.cache import SceneCache as SceneCache
    from rarescene.scenes.cache import alone as alone
    from rarescene.scenes.cache import cache_root as cache_root
    from rarescene.scenes.class_table import ClassTable as ClassTable
    from rarescene.scenes.class_table import Colour as Colour
    from rarescene.scenes.class_table import SceneClass as SceneClass
    from rarescene.scenes.config import NO_AUGMENTATION as NO_AUGMENTATION
    from rarescene.scenes.config import AugmentConfig as AugmentConfig
    from rarescene.scenes.datasets.checking import Scan as Scan
    from rarescene.scenes.datasets.checking import scan as scan
    from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K as CHOLECSEG8K
    from rarescene.scenes.datasets.opening import open_scenes as open_scenes
    from rarescene.scenes.datasets.phantom.config import PhantomConfig as PhantomConfig
    from rarescene.scenes.datasets.phantom.dataset import phantom_scenes as phantom_scenes
    from rarescene.scenes.datasets.phantom.writing import write_phantom as write_phantom
    from rarescene.scenes.datasets.propose import propose_class_table as propose_class_table
    from rarescene.scenes.export.cases import Export as Export
    from rarescene.scenes.export.cases import ExportSource as ExportSource
    from rarescene.scenes.export.coco import write_coco as write_coco
    from rarescene.scenes.export.huggingface import write_huggingface as write_huggingface
    from rarescene.scenes.export.nnunet import write_nnunet as write_nnunet
    from rarescene.scenes.export.writing import need_empty_folder as need_empty_folder
    from rarescene.scenes.faults import Fault as Fault
    from rarescene.scenes.padding import cut_back as cut_back
    from rarescene.scenes.padding import pad_images as pad_images
    from rarescene.scenes.padding import pad_masks as pad_masks
    from rarescene.scenes.rasters import IMAGE_SUFFIXES as IMAGE_SUFFIXES
    from rarescene.scenes.rasters import read_image as read_image
    from rarescene.scenes.rasters import walk_files as walk_files
    from rarescene.scenes.rasters import write_image as write_image
    from rarescene.scenes.rasters import write_mask as write_mask
    from rarescene.scenes.request import PLACES as PLACES
    from rarescene.scenes.request import ClassRequest as ClassRequest
    from rarescene.scenes.request import KeptReport as KeptReport
    from rarescene.scenes.request import Request as Request
    from rarescene.scenes.request_pool import RequestPool as RequestPool
    from rarescene.scenes.request_pool import read_requests as read_requests
    from rarescene.scenes.scene import Scene as Scene
    from rarescene.scenes.scene import SceneRecord as SceneRecord
    from rarescene.scenes.scene import SceneSet as SceneSet
    from rarescene.scenes.split import Split as Split
    from rarescene.scenes.split import looks_at_classes as looks_at_classes
    from rarescene.scenes.split import split_scenes as split_scenes
    from rarescene.scenes.statistics import ClassStatistics as ClassStatistics
    from rarescene.scenes.statistics import SceneStatistics as SceneStatistics
    from rarescene.scenes.statistics import class_statistics as class_statistics
    from rarescene.scenes.store import MANIFEST as MANIFEST
    from rarescene.scenes.store import SceneSetWriter as SceneSetWriter
    from rarescene.scenes.store import merge as merge
    from rarescene.scenes.store import open_set as open_set
    from rarescene.scenes.store import read_confidence as read_confidence
    from rarescene.scenes.transforms import as_image as as_image
    from rarescene.scenes.transforms import resize_image as resize_image
    from rarescene.scenes.transforms import resize_mask as resize_mask

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "CHOLECSEG8K": "datasets.cholecseg8k_classes",
        "IMAGE_SUFFIXES": "rasters",
        "NO_AUGMENTATION": "config",
        "PLACES": "request",
        "AugmentConfig": "config",
        "ClassRequest": "request",
        "ClassStatistics": "statistics",
        "ClassTable": "class_table",
        "Colour": "class_table",
        "Export": "export.cases",
        "ExportSource": "export.cases",
        "Fault": "faults",
        "KeptReport": "request",
        "PhantomConfig": "datasets.phantom.config",
        "Request": "request",
        "RequestPool": "request_pool",
        "Scan": "datasets.checking",
        "Scene": "scene",
        "SceneCache": "cache",
        "SceneClass": "class_table",
        "SceneRecord": "scene",
        "SceneSet": "scene",
        "MANIFEST": "store",
        "SceneSetWriter": "store",
        "SceneStatistics": "statistics",
        "Split": "split",
        "alone": "cache",
        "as_image": "transforms",
        "augment": "augmenting",
        "cache_root": "cache",
        "class_statistics": "statistics",
        "cut_back": "padding",
        "looks_at_classes": "split",
        "merge": "store",
        "need_empty_folder": "export.writing",
        "open_scenes": "datasets.opening",
        "open_set": "store",
        "pad_images": "padding",
        "pad_masks": "padding",
        "phantom_scenes": "datasets.phantom.dataset",
        "propose_class_table": "datasets.propose",
        "read_confidence": "store",
        "read_image": "rasters",
        "read_requests": "request_pool",
        "resize_image": "transforms",
        "resize_mask": "transforms",
        "scan": "datasets.checking",
        "split_scenes": "split",
        "write_coco": "export.coco",
        "write_huggingface": "export.huggingface",
        "walk_files": "rasters",
        "write_image": "rasters",
        "write_mask": "rasters",
        "write_nnunet": "export.nnunet",
        "write_phantom": "datasets.phantom.writing",
    },
)
