"""Reports: tables for the terminal, a self-contained page, galleries and cards, all made from plain data."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.reports.bars import Bars as Bars
    from rarescene.reports.bars import bars_picture as bars_picture
    from rarescene.reports.cards import DataCard as DataCard
    from rarescene.reports.cards import ModelCard as ModelCard
    from rarescene.reports.cards import data_card as data_card
    from rarescene.reports.cards import model_card as model_card
    from rarescene.reports.charts import Chart as Chart
    from rarescene.reports.charts import Cloud as Cloud
    from rarescene.reports.charts import Line as Line
    from rarescene.reports.charts import charts_picture as charts_picture
    from rarescene.reports.coherence import CoherenceReport as CoherenceReport
    from rarescene.reports.coherence import SetCoherence as SetCoherence
    from rarescene.reports.coherence import coherence_chart as coherence_chart
    from rarescene.reports.coherence import coherence_markdown as coherence_markdown
    from rarescene.reports.coherence import coherence_table as coherence_table
    from rarescene.reports.confidence import confidence_table as confidence_table
    from rarescene.reports.confidence import read_confidence as read_confidence
    from rarescene.reports.content import PHANTOM_WARNING as PHANTOM_WARNING
    from rarescene.reports.content import Cell as Cell
    from rarescene.reports.content import ClassScore as ClassScore
    from rarescene.reports.content import Comparison as Comparison
    from rarescene.reports.content import Confidence as Confidence
    from rarescene.reports.content import Curve as Curve
    from rarescene.reports.content import CurvePlot as CurvePlot
    from rarescene.reports.content import Difference as Difference
    from rarescene.reports.content import Estimate as Estimate
    from rarescene.reports.content import GalleryRow as GalleryRow
    from rarescene.reports.content import MeanScore as MeanScore
    from rarescene.reports.content import Measure as Measure
    from rarescene.reports.content import Provenance as Provenance
    from rarescene.reports.content import Report as Report
    from rarescene.reports.content import RunScores as RunScores
    from rarescene.reports.curation import BLIND as BLIND
    from rarescene.reports.curation import Copies as Copies
    from rarescene.reports.curation import CuratedClass as CuratedClass
    from rarescene.reports.curation import CurationReport as CurationReport
    from rarescene.reports.curation import DistanceRow as DistanceRow
    from rarescene.reports.curation import Histogram as Histogram
    from rarescene.reports.curation import curation_table as curation_table
    from rarescene.reports.curation_page import render_curation as render_curation
    from rarescene.reports.curation_page import write_curation as write_curation
    from rarescene.reports.gallery import GalleryScene as GalleryScene
    from rarescene.reports.gallery import contact_sheet as contact_sheet
    from rarescene.reports.gallery import enlarge as enlarge
    from rarescene.reports.gallery import error_map as error_map
    from rarescene.reports.gallery import gallery_rows as gallery_rows
    from rarescene.reports.gallery import overlay as overlay
    from rarescene.reports.gallery import representative as representative
    from rarescene.reports.html import render as render
    from rarescene.reports.html import write_report as write_report
    from rarescene.reports.judgement import Verdict as Verdict
    from rarescene.reports.judgement import verdict as verdict
    from rarescene.reports.reading import comparisons as comparisons
    from rarescene.reports.reading import curve_plot as curve_plot
    from rarescene.reports.reading import provenance as provenance
    from rarescene.reports.reading import realism_measures as realism_measures
    from rarescene.reports.reading import run_scores as run_scores
    from rarescene.reports.reading import strategy_scores as strategy_scores
    from rarescene.reports.refreshes import DrawnPair as DrawnPair
    from rarescene.reports.refreshes import Refresh as Refresh
    from rarescene.reports.refreshes import RefreshesReport as RefreshesReport
    from rarescene.reports.refreshes import read_refreshes as read_refreshes
    from rarescene.reports.refreshes_page import render_refreshes as render_refreshes
    from rarescene.reports.refreshes_page import write_refreshes as write_refreshes
    from rarescene.reports.requests import kept_table as kept_table
    from rarescene.reports.tables import comparison_table as comparison_table
    from rarescene.reports.tables import faults_table as faults_table
    from rarescene.reports.tables import overlap_table as overlap_table
    from rarescene.reports.tables import realism_table as realism_table
    from rarescene.reports.tables import statistics_table as statistics_table
    from rarescene.reports.tables import verdict_text as verdict_text
    from rarescene.reports.wording import figure as figure

_CONTENT = (
    "PHANTOM_WARNING",
    "Cell",
    "ClassScore",
    "Comparison",
    "Confidence",
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
_CARDS = ("DataCard", "ModelCard", "data_card", "model_card")
_CHARTS = ("Chart", "Cloud", "Line", "charts_picture")
_COHERENCE = (
    "CoherenceReport",
    "SetCoherence",
    "coherence_chart",
    "coherence_markdown",
    "coherence_table",
)
_CURATION = (
    "BLIND",
    "Copies",
    "CuratedClass",
    "CurationReport",
    "DistanceRow",
    "Histogram",
    "curation_table",
)
_GALLERY = (
    "GalleryScene",
    "contact_sheet",
    "enlarge",
    "error_map",
    "gallery_rows",
    "overlay",
    "representative",
)
_READING = ("comparisons", "curve_plot", "provenance", "realism_measures", "run_scores", "strategy_scores")
_REFRESHES = ("DrawnPair", "Refresh", "RefreshesReport", "read_refreshes")
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
    | {"Bars": "bars", "bars_picture": "bars"}
    | dict.fromkeys(_CARDS, "cards")
    | dict.fromkeys(_CHARTS, "charts")
    | dict.fromkeys(_COHERENCE, "coherence")
    | dict.fromkeys(_CURATION, "curation")
    | {"render_curation": "curation_page", "write_curation": "curation_page"}
    | dict.fromkeys(_GALLERY, "gallery")
    | dict.fromkeys(_READING, "reading")
    | dict.fromkeys(_REFRESHES, "refreshes")
    | {"render_refreshes": "refreshes_page", "write_refreshes": "refreshes_page"}
    | dict.fromkeys(_TABLES, "tables")
    | {
        "confidence_table": "confidence",
        "read_confidence": "confidence",
        "figure": "wording",
        "kept_table": "requests",
        "render": "html",
        "write_report": "html",
        "Verdict": "judgement",
        "verdict": "judgement",
    },
)
