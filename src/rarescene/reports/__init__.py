"""Reports: tables for the terminal, a self-contained page, galleries and cards, all made from plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.reports.bars import Bars, bars_picture
    from rarescene.reports.cards import DataCard, ModelCard, data_card, model_card
    from rarescene.reports.charts import Chart, Cloud, Line, charts_picture
    from rarescene.reports.coherence import (
        CoherenceReport,
        SetCoherence,
        coherence_chart,
        coherence_markdown,
        coherence_table,
    )
    from rarescene.reports.content import (
        PHANTOM_WARNING,
        Cell,
        ClassScore,
        Comparison,
        Confidence,
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
    from rarescene.reports.curation import (
        BLIND,
        Copies,
        CuratedClass,
        CurationReport,
        DistanceRow,
        Histogram,
        curation_table,
    )
    from rarescene.reports.curation_page import render_curation, write_curation
    from rarescene.reports.formatting import figure
    from rarescene.reports.from_json import (
        comparisons,
        curve_plot,
        provenance,
        realism_measures,
        run_scores,
        strategy_scores,
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
    from rarescene.reports.maps import kept_table
    from rarescene.reports.refreshes import DrawnPair, Refresh, RefreshesReport, read_refreshes
    from rarescene.reports.refreshes_page import render_refreshes, write_refreshes
    from rarescene.reports.report_page import render, write_report
    from rarescene.reports.tables import (
        comparison_table,
        confidence_table,
        faults_table,
        overlap_table,
        read_confidence,
        realism_table,
        statistics_table,
        verdict_text,
    )
    from rarescene.reports.verdict import Verdict, verdict_on

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
