"""Reports: tables for the terminal, a self-contained page, galleries and cards, all made from plain data."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.reports.content import (
        PHANTOM_WARNING,
        Cell,
        ClassScore,
        ClassStatistics,
        Comparison,
        Curve,
        CurvePlot,
        Difference,
        Estimate,
        GalleryRow,
        MeanScore,
        Measure,
        Provenance,
        Report,
        RunScores,
    )
    from rarescene.reports.gallery import (
        GalleryScene,
        contact_sheet,
        enlarge,
        error_map,
        gallery_rows,
        overlay,
        representative,
    )
    from rarescene.reports.html import render, write_report
    from rarescene.reports.reading import run_scores
    from rarescene.reports.tables import (
        comparison_table,
        faults_table,
        overlap_table,
        realism_table,
        statistics_table,
        verdict_text,
    )
    from rarescene.reports.judgement import Verdict, verdict

_CONTENT = (
    "PHANTOM_WARNING",
    "Cell",
    "ClassScore",
    "ClassStatistics",
    "Comparison",
    "Curve",
    "CurvePlot",
    "Difference",
    "Estimate",
    "GalleryRow",
    "MeanScore",
    "Measure",
    "Provenance",
    "Report",
    "RunScores",
)
_GALLERY = ("GalleryScene", "contact_sheet", "enlarge", "error_map", "gallery_rows", "overlay", "representative")
_TABLES = (
    "comparison_table",
    "faults_table",
    "overlap_table",
    "realism_table",
    "statistics_table",
    "verdict_text",
)

__all__, __getattr__, __dir__ = open_door(
    __name__,
    dict.fromkeys(_CONTENT, "content")
    | dict.fromkeys(_GALLERY, "gallery")
    | dict.fromkeys(_TABLES, "tables")
    | {"render": "html", "write_report": "html", "run_scores": "reading", "Verdict": "judgement", "verdict": "judgement"},
)
