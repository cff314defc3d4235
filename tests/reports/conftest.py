"""A small report with invented figures, to be shown in every way there is."""

from __future__ import annotations

import numpy as np
import pytest

from rarescene.evaluation import (
    BootstrapConfig,
    ClassOverlap,
    Comparison,
    ComparisonTable,
    Interval,
    MeanOverlap,
    OverlapScores,
)
from rarescene.reports import (
    PHANTOM_WARNING,
    Chart,
    GalleryScene,
    Line,
    Measure,
    Origins,
    Report,
    RunScores,
    gallery_rows,
)
from rarescene.scenes import ClassStatistics, SceneStatistics
from rarescene.scenes.class_table import ClassTable, SceneClass

NASTY = '<b>"duct" & [red]vein[/red]</b>'


@pytest.fixture
def table() -> ClassTable:
    classes = (
        SceneClass(0, "liver", (255, 114, 114)),
        SceneClass(1, "cystic duct", (255, 255, 0)),
        SceneClass(2, NASTY, (0, 50, 128)),
    )
    return ClassTable("three classes", classes)


def run(name: str, shift: float) -> RunScores:
    def entry(name: str, iou: Interval, dice: Interval, pixels: int, frames: int, shown: int) -> ClassOverlap:
        values = (0.80 + shift, 0.9) if name == "liver" else (0.10 + shift, 0.2)
        return ClassOverlap(name, *values, iou, dice, pixels, 0, frames, shown)

    classes = (
        entry("liver", Interval(0.7, 0.9), Interval(0.8, 0.95), 9000, 30, 6),
        entry("cystic duct", Interval(0.05, 0.3), Interval(0.1, 0.3), 64, 4, 2),
        ClassOverlap(NASTY, None, None, None, None, 0, 12, 0, 0),
    )
    mean = MeanOverlap(0.45 + shift, 0.55, Interval(0.4, 0.6), Interval(0.5, 0.7))
    recordings = tuple(f"video{index}" for index in range(6))
    notes = ("A note on recordings.",)
    scores = OverlapScores(classes, mean, mean, mean, 30, recordings, notes, BootstrapConfig())
    confusion = np.array([[8000, 900, 100], [48, 16, 0], [0, 0, 0]])
    return RunScores(name, scores, (0, 1, 2), 4, confusion)


def row(
    measure: str,
    difference: float | None = None,
    low: float | None = None,
    high: float | None = None,
    effect: float | None = None,
    p: float | None = None,
    note: str = "",
    strategy: str = "offline",
    mean: float | None = None,
) -> Comparison:
    """One measure of a strategy against the baseline."""
    bounds = None if low is None or high is None else Interval(low, high)
    return Comparison(strategy, measure, mean, (), None, difference, bounds, effect, p, p, 6, note)


def comparison(*rows: Comparison, seeds: int = 3, recordings: int = 6) -> ComparisonTable:
    """The strategy "offline" against "none"."""
    known = {one.measure for one in rows if one.strategy == "none"}
    baseline = [row(one.measure, strategy="none") for one in rows if one.measure not in known]
    return ComparisonTable(
        "iou", "none", ("none", "offline"), tuple(range(seeds)), tuple(map(str, range(recordings))),
        (*baseline, *rows), ("Concluded.",), ("A note on seeds.",), BootstrapConfig(),
    )  # fmt: skip


@pytest.fixture
def report(table: ClassTable) -> Report:
    table_of_differences = comparison(
        row("rare mean", mean=0.1, strategy="none"),
        row("label mean", -0.01, -0.04, 0.02, -0.2, 0.6),
        row(NASTY, note="no labels"),
        row("rare mean", 0.05, 0.01, 0.09, 1.1, 0.03, mean=0.15),
    )
    duct = ClassStatistics(1, "cystic duct", 30, 0.031, 0.012, 4, 1.0, True, "in 3.1 % of frames")
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (16, 20)).astype(np.uint8)
    image = rng.integers(0, 256, (16, 20, 3)).astype(np.uint8)
    scene = GalleryScene("scene 1", "video01", mask, image, {"synthetic": image}, {"offline": mask}, (1,))
    return Report(
        title="Does it help?",
        summary=f"Invented figures about {NASTY}.",
        classes=table,
        rare=("cystic duct", NASTY),
        warnings=(PHANTOM_WARNING,),
        phantom=True,
        compared={"none": "real frames alone"},
        statistics=SceneStatistics("phantom", 960, 1, 0.0, (duct,)),
        runs=(run("none", 0.0), run("offline", 0.05)),
        comparison=table_of_differences,
        realism={"set": (Measure("FD-EffNetLite0", 12.5, "lower", 3.0, "500 images"),)},
        gallery=gallery_rows([scene], table),
        curves=(Chart("loss", (Line(NASTY, (0.0, 1.0, 2.0), (1.0, 0.5, 0.25)),)),),
        provenance=Origins(("rarescene report A B",), "phantom", "Apache-2.0", "by recording", ("video01",)),
    )
