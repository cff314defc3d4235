"""Floor 2: how good a segmenter is, how real an image looks, and whether a difference is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.evaluation.average_precision import AveragePrecisionMeter, PrecisionScores
    from rarescene.evaluation.bootstrap import Interval, percentile_interval, resample_counts
    from rarescene.evaluation.calibration import CalibrationMeter, CalibrationScores
    from rarescene.evaluation.coherence import (
        CoherenceLine,
        CoherenceScores,
        CopyRate,
        Share,
        coherence_scores,
        copy_rate,
    )
    from rarescene.evaluation.config import BootstrapConfig, CopyConfig, RealismConfig
    from rarescene.evaluation.copies import CopyScores, Nearest, copy_scores, image_vectors, nearest
    from rarescene.evaluation.distances import Distance
    from rarescene.evaluation.maps import KeptShares, MapCopies, diversity, kept_shares, map_copies, map_ious
    from rarescene.evaluation.overlap import (
        ClassOverlap,
        MeanOverlap,
        OverlapMeter,
        OverlapScores,
        RecordingOverlap,
        overlap_scores,
    )
    from rarescene.evaluation.pair_scores import class_agreement, pair_agreement, pair_iou
    from rarescene.evaluation.realism import PairedScore, RealismScores, realism_scores
    from rarescene.evaluation.reconstruction import MapReconstruction, ReconstructionMeter
    from rarescene.evaluation.run_metrics import METRICS, RunMetrics, ScoredRuns, read_metrics, read_scored
    from rarescene.evaluation.significance import Comparison, ComparisonTable, cohens_d, compare
    from rarescene.evaluation.uncertainty import (
        MEASURES,
        ClassUncertainty,
        UncertaintyMeter,
        generalised_energy_distance,
        mutual_information,
        variance,
    )

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
