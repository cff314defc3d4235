"""The page and the table about a curated set."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from rarescene.evaluation import CopyScores, Nearest
from rarescene.reports import (
    PHANTOM_WARNING,
    CuratedClass,
    CurationReport,
    GalleryScene,
    Histogram,
    Origins,
    curation_table,
    gallery_rows,
    render_curation,
)
from rarescene.reports.svg import histogram
from rarescene.scenes import ClassTable

from .conftest import NASTY
from .test_report_page import Page

SVG = "{http://www.w3.org/2000/svg}"


def copies(measure: str, threshold: float | None) -> CopyScores:
    """Of 1,200 images, 100 lie at 11.5 or nearer."""
    distances = np.array([9.0] * 99 + [11.5] + [15.0] * 1100)
    nearest = Nearest(distances, np.zeros(1200, np.int64))
    other = np.array([12.0, np.inf])
    return CopyScores(measure, nearest, np.full(2, np.inf), other, np.empty(0), threshold)


@pytest.fixture
def page(table: ClassTable) -> CurationReport:
    mask = np.random.default_rng(0).integers(0, 3, (16, 20)).astype(np.uint8)
    image = np.zeros((16, 20, 3), np.uint8)
    row = GalleryScene(
        "pair 7", "video01", mask, None, {"synthetic": image}, {"segmenter": mask}, (1,), NASTY
    )
    return CurationReport(
        title="What was kept",
        summary=f"The best of {NASTY}.",
        classes=table,
        pairs=1200,
        reasons={"kept": 900, "copy of a training frame": 100, "ranked too low": 200},
        by_class=(
            CuratedClass("cystic duct", True, 400, 320, 0.05, 0.0),
            CuratedClass("liver", False, 1200, 900, 0.91, 0.88),
            CuratedClass(NASTY, False, 0, 0),
        ),
        copies=(copies("features", 11.5), copies("pixels", None)),
        histograms=(Histogram("agreement", (0.8, 0.9), (0.1,), {NASTY: 0.75}, "A mean."),),
        dropped=gallery_rows([row], table),
        borderline=gallery_rows([row], table),
        warnings=(PHANTOM_WARNING,),
        notes=("A note.",),
        phantom=True,
        provenance=Origins(("rarescene curate A",), "phantom"),
    )


def test_the_page_says_it_all_and_asks_nobody(page: CurationReport) -> None:
    text = render_curation(page)
    shown = Page(text)
    words = " ".join(" ".join(shown.words).split())
    for expected in (
        "900 of 1,200 pairs",
        "100 pairs",
        "8.3 %",
        "80.0 %",
        "11.5",
        "A note.",
        PHANTOM_WARNING,
    ):
        assert expected in words
    assert NASTY not in text
    assert len(shown.named("img")) == 8
    for tag, attributes in shown.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert all(
            (attributes.get(name) or "#").startswith(("data:image/png;base64,", "#"))
            for name in ("src", "href")
        )
    assert not {"nan", "None"} & {word for part in shown.words for word in part.split()}


def test_an_almost_empty_curation_is_still_a_page(table: ClassTable) -> None:
    bare = CurationReport("t", "s", table, 3, {"kept": 3})
    assert not Page(render_curation(bare)).named("table")
    assert "chosen at random" in render_curation(bare)


def test_the_table_fits_a_terminal(page: CurationReport) -> None:
    console = Console(width=80, record=True, file=None)
    with console.capture() as capture:
        console.print(curation_table(page))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "900 of 1,200 pairs kept" in text
    assert "ranked too low: 200" in text
    duct = next(line for line in lines if "cystic duct" in line)
    assert duct.split()[-6:] == ["320", "80.0", "%", "5.0", "0.0", "rare"]
    assert "[red]vein[/red]" in "".join(text.split())


def bars(text: str, kind: str) -> list[float]:
    found = [rect for rect in ElementTree.fromstring(text).iter(f"{SVG}rect") if rect.get("class") == kind]
    return [float(rect.get("height") or 0) for rect in found]


def test_a_histogram_holds_every_value_once() -> None:
    rng = np.random.default_rng(0)
    kept, dropped = rng.random(80).tolist(), rng.random(40).tolist()
    drawn = histogram(kept, [*dropped, float("nan")], (0.5,), label="agreement", bins=10)
    assert sum(bars(drawn, "kept")) == pytest.approx(2 * sum(bars(drawn, "gone")), rel=0.01)
    limit = [
        line for line in ElementTree.fromstring(drawn).iter(f"{SVG}line") if line.get("class") == "limit"
    ]
    ends = (44, 460 - 12)  # 0.5 lies in the middle of an axis from 0 to 1
    assert float(limit[0].get("x1") or 0) == pytest.approx(sum(ends) / 2)
    assert "80 kept, 40 dropped" in drawn


def test_a_histogram_of_one_value_or_of_none() -> None:
    assert len(bars(histogram([1.0, 1.0], [], label="x"), "kept")) == 1
    assert "no values" in histogram([], [], label="x")


def test_classes_that_are_not_shown_have_no_share(page: CurationReport) -> None:
    only = replace(page, by_class=page.by_class[2:])
    assert "–" in " ".join(Page(render_curation(only)).words)
