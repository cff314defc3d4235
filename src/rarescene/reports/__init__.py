"""Reports: tables for the terminal, self-contained pages, galleries, charts and cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.reports.cards import PHANTOM_WARNING, Origins, data_card, model_card, origins_of
    from rarescene.reports.charts import (
        Bars,
        Chart,
        Cloud,
        Line,
        bars_picture,
        charts_picture,
        training_chart,
    )
    from rarescene.reports.coherence import (
        CoherenceReport,
        SetCoherence,
        coherence_chart,
        coherence_markdown,
        coherence_table,
    )
    from rarescene.reports.curation import (
        CuratedClass,
        CurationReport,
        Histogram,
        curation_table,
        render_curation,
    )
    from rarescene.reports.gallery import (
        GalleryScene,
        class_areas,
        contact_sheet,
        enlarge,
        error_map,
        gallery_rows,
        overlay,
        representative,
    )
    from rarescene.reports.realism import Measure, realism_measures
    from rarescene.reports.refreshes_page import (
        GeneratedPair,
        Refresh,
        RefreshesReport,
        read_refreshes,
        render_refreshes,
    )
    from rarescene.reports.report_of_runs import build_report
    from rarescene.reports.report_page import Report, render, write_report
    from rarescene.reports.tables import (
        RunScores,
        comparison_table,
        faults_table,
        metric_columns,
        metric_table,
        overlap_table,
        realism_table,
        recordings_table,
        statistics_table,
        verdict_text,
    )
    from rarescene.reports.verdict import Verdict, verdict_on

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
