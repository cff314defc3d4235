"""Floor 2: how good a segmenter is, how real an image looks, and whether a difference is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.evaluation.agreement import class_agreement as class_agreement
    from rarescene.evaluation.agreement import pair_agreement as pair_agreement
    from rarescene.evaluation.agreement import pair_iou as pair_iou
    from rarescene.evaluation.bootstrap import Interval as Interval
    from rarescene.evaluation.config import BootstrapConfig as BootstrapConfig
    from rarescene.evaluation.config import CopyConfig as CopyConfig
    from rarescene.evaluation.config import RealismConfig as RealismConfig
    from rarescene.evaluation.copies import CopyScores as CopyScores
    from rarescene.evaluation.copies import Nearest as Nearest
    from rarescene.evaluation.copies import copy_scores as copy_scores
    from rarescene.evaluation.copies import image_vectors as image_vectors
    from rarescene.evaluation.copies import nearest as nearest
    from rarescene.evaluation.distances import Distance as Distance
    from rarescene.evaluation.maps import KeptShares as KeptShares
    from rarescene.evaluation.maps import MapCopies as MapCopies
    from rarescene.evaluation.maps import diversity as diversity
    from rarescene.evaluation.maps import kept_shares as kept_shares
    from rarescene.evaluation.maps import map_copies as map_copies
    from rarescene.evaluation.maps import map_ious as map_ious
    from rarescene.evaluation.overlap import ClassOverlap as ClassOverlap
    from rarescene.evaluation.overlap import MeanOverlap as MeanOverlap
    from rarescene.evaluation.overlap import OverlapMeter as OverlapMeter
    from rarescene.evaluation.overlap import OverlapScores as OverlapScores
    from rarescene.evaluation.overlap import RecordingOverlap as RecordingOverlap
    from rarescene.evaluation.overlap import overlap_scores as overlap_scores
    from rarescene.evaluation.realism import RealismScores as RealismScores
    from rarescene.evaluation.realism import realism_scores as realism_scores
    from rarescene.evaluation.significance import Comparison as Comparison
    from rarescene.evaluation.significance import ComparisonTable as ComparisonTable
    from rarescene.evaluation.significance import compare as compare
    from rarescene.evaluation.similarity import PairedScore as PairedScore

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "BootstrapConfig": "config",
        "ClassOverlap": "overlap",
        "Comparison": "significance",
        "ComparisonTable": "significance",
        "CopyConfig": "config",
        "CopyScores": "copies",
        "Distance": "distances",
        "Interval": "bootstrap",
        "KeptShares": "maps",
        "MapCopies": "maps",
        "MeanOverlap": "overlap",
        "Nearest": "copies",
        "OverlapMeter": "overlap",
        "OverlapScores": "overlap",
        "PairedScore": "similarity",
        "RealismConfig": "config",
        "RealismScores": "realism",
        "RecordingOverlap": "overlap",
        "class_agreement": "agreement",
        "compare": "significance",
        "copy_scores": "copies",
        "diversity": "maps",
        "image_vectors": "copies",
        "kept_shares": "maps",
        "map_copies": "maps",
        "map_ious": "maps",
        "nearest": "copies",
        "overlap_scores": "overlap",
        "pair_agreement": "agreement",
        "pair_iou": "agreement",
        "realism_scores": "realism",
    },
)
