"""Floor 2: how good a segmenter is, how real an image looks, and whether a difference is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.evaluation.agreement import class_agreement as class_agreement
    from rarescene.evaluation.agreement import pair_agreement as pair_agreement
    from rarescene.evaluation.agreement import pair_iou as pair_iou
    from rarescene.evaluation.average_precision import AveragePrecisionMeter as AveragePrecisionMeter
    from rarescene.evaluation.average_precision import PrecisionScores as PrecisionScores
    from rarescene.evaluation.bootstrap import Interval as Interval
    from rarescene.evaluation.bootstrap import percentile_interval as percentile_interval
    from rarescene.evaluation.bootstrap import resample_counts as resample_counts
    from rarescene.evaluation.calibration import CalibrationMeter as CalibrationMeter
    from rarescene.evaluation.calibration import CalibrationScores as CalibrationScores
    from rarescene.evaluation.coherence import CoherenceLine as CoherenceLine
    from rarescene.evaluation.coherence import CoherenceScores as CoherenceScores
    from rarescene.evaluation.coherence import CopyRate as CopyRate
    from rarescene.evaluation.coherence import Share as Share
    from rarescene.evaluation.coherence import coherence_scores as coherence_scores
    from rarescene.evaluation.coherence import copy_rate as copy_rate
    from rarescene.evaluation.config import BootstrapConfig as BootstrapConfig
    from rarescene.evaluation.config import CopyConfig as CopyConfig
    from rarescene.evaluation.config import RealismConfig as RealismConfig
    from rarescene.evaluation.copies import CopyScores as CopyScores
    from rarescene.evaluation.copies import Nearest as Nearest
    from rarescene.evaluation.copies import copy_scores as copy_scores
    from rarescene.evaluation.copies import image_vectors as image_vectors
    from rarescene.evaluation.copies import nearest as nearest
    from rarescene.evaluation.distances import Distance as Distance
    from rarescene.evaluation.energy_distance import (
        generalised_energy_distance as generalised_energy_distance,
    )
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
    from rarescene.evaluation.reconstruction import MapReconstruction as MapReconstruction
    from rarescene.evaluation.reconstruction import ReconstructionMeter as ReconstructionMeter
    from rarescene.evaluation.significance import Comparison as Comparison
    from rarescene.evaluation.significance import ComparisonTable as ComparisonTable
    from rarescene.evaluation.significance import cohens_d as cohens_d
    from rarescene.evaluation.significance import compare as compare
    from rarescene.evaluation.similarity import PairedScore as PairedScore
    from rarescene.evaluation.uncertainty import MEASURES as MEASURES
    from rarescene.evaluation.uncertainty import ClassUncertainty as ClassUncertainty
    from rarescene.evaluation.uncertainty import UncertaintyMeter as UncertaintyMeter
    from rarescene.evaluation.uncertainty import mutual_information as mutual_information
    from rarescene.evaluation.uncertainty import variance as variance

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "AveragePrecisionMeter": "average_precision",
        "BootstrapConfig": "config",
        "CalibrationMeter": "calibration",
        "CalibrationScores": "calibration",
        "ClassOverlap": "overlap",
        "ClassUncertainty": "uncertainty",
        "CoherenceLine": "coherence",
        "CoherenceScores": "coherence",
        "Comparison": "significance",
        "ComparisonTable": "significance",
        "CopyConfig": "config",
        "CopyRate": "coherence",
        "CopyScores": "copies",
        "Distance": "distances",
        "Interval": "bootstrap",
        "KeptShares": "maps",
        "MEASURES": "uncertainty",
        "MapCopies": "maps",
        "MapReconstruction": "reconstruction",
        "MeanOverlap": "overlap",
        "Nearest": "copies",
        "OverlapMeter": "overlap",
        "OverlapScores": "overlap",
        "PairedScore": "similarity",
        "PrecisionScores": "average_precision",
        "RealismConfig": "config",
        "RealismScores": "realism",
        "ReconstructionMeter": "reconstruction",
        "RecordingOverlap": "overlap",
        "Share": "coherence",
        "UncertaintyMeter": "uncertainty",
        "class_agreement": "agreement",
        "cohens_d": "significance",
        "coherence_scores": "coherence",
        "compare": "significance",
        "copy_rate": "coherence",
        "copy_scores": "copies",
        "diversity": "maps",
        "generalised_energy_distance": "energy_distance",
        "image_vectors": "copies",
        "kept_shares": "maps",
        "map_copies": "maps",
        "map_ious": "maps",
        "mutual_information": "uncertainty",
        "nearest": "copies",
        "overlap_scores": "overlap",
        "pair_agreement": "agreement",
        "pair_iou": "agreement",
        "percentile_interval": "bootstrap",
        "realism_scores": "realism",
        "resample_counts": "bootstrap",
        "variance": "uncertainty",
    },
)
