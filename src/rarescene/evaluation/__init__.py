"""Floor 2: how good a segmenter is, how real an image looks, and whether a difference is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.evaluation.bootstrap import Interval as Interval
    from rarescene.evaluation.config import BootstrapConfig as BootstrapConfig
    from rarescene.evaluation.config import RealismConfig as RealismConfig
    from rarescene.evaluation.distances import Distance as Distance
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
        "Distance": "distances",
        "Interval": "bootstrap",
        "MeanOverlap": "overlap",
        "OverlapMeter": "overlap",
        "OverlapScores": "overlap",
        "PairedScore": "similarity",
        "RealismConfig": "config",
        "RealismScores": "realism",
        "RecordingOverlap": "overlap",
        "compare": "significance",
        "overlap_scores": "overlap",
        "realism_scores": "realism",
    },
)
