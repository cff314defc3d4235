"""A small report with invented figures, to be shown in every way there is."""

from __future__ import annotations

import numpy as np
import pytest

from rarescene.reports import (
    PHANTOM_WARNING,
    ClassScore,
    Comparison,
    Curve,
    CurvePlot,
    Difference,
    Estimate,
    GalleryScene,
    MeanScore,
    Measure,
    Provenance,
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
    classes = (
        ClassScore("liver", Estimate(0.80 + shift, 0.7, 0.9), Estimate(0.9, 0.8, 0.95), 9000, 30, 6),
        ClassScore("cystic duct", Estimate(0.10 + shift, 0.05, 0.3), Estimate(0.2, 0.1, 0.3), 64, 4, 2),
        ClassScore(NASTY, Estimate(None), Estimate(None), 0, 0, 0, false_pixels=12),
    )
    mean = MeanScore(Estimate(0.45 + shift, 0.4, 0.6), Estimate(0.55, 0.5, 0.7))
    confusion = ((8000, 900, 100), (48, 16, 0), (0, 0, 0))
    return RunScores(name, classes, mean, mean, mean, (0, 1, 2), 4, confusion, ("A note on recordings.",))


@pytest.fixture
def report(table: ClassTable) -> Report:
    gain = Difference("rare mean", 0.05, 0.01, 0.09, 1.1, 0.03, before=0.1, after=0.15)
    lines = (
        gain,
        Difference("label mean", -0.01, -0.04, 0.02, -0.2, 0.6),
        Difference(NASTY, None, reason="no labels"),
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
        comparisons=(Comparison("none", "offline", gain, lines, seeds=3, recordings=6),),
        realism={"set": (Measure("FD-EffNetLite0", 12.5, "lower", 3.0, "500 images"),)},
        gallery=gallery_rows([scene], table),
        curves=(CurvePlot("loss", (Curve(NASTY, (0.0, 1.0, 2.0), (1.0, 0.5, 0.25)),)),),
        provenance=Provenance(
            ("rarescene report A B",), "phantom", "Apache-2.0", "by recording", ("video01",)
        ),
    )
