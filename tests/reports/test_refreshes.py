"""The page of an online strategy: what its figures are made of, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from rarescene.reports import (
    PHANTOM_WARNING,
    GeneratedPair,
    Origins,
    RefreshesReport,
    read_refreshes,
    render_refreshes,
)
from rarescene.reports.refreshes_page import SHOWN, refresh_charts, shown_in_full
from rarescene.reports.svg import sparkline, value_bar
from rarescene.scenes import ClassTable

from .conftest import NASTY
from .test_report_page import Page

SVG = "{http://www.w3.org/2000/svg}"


def line(step: int, **more: Any) -> dict[str, Any]:
    iou = {"liver": 0.5 + step / 1000, "cystic duct": 0.1, NASTY: None}
    return {"step": step, "validation": 0.3 + step / 1000, "iou": iou, "stood": 0.5} | more


def decided(step: int, **more: Any) -> dict[str, Any]:
    lead = {"liver": 0.01, "cystic duct": 0.04, NASTY: None}
    return line(
        step, by="uncertainty", lead=lead, classes=["cystic duct", NASTY],
        why={"cystic duct": "uncertain", NASTY: "waited"}, staleness={"cystic duct": 0, NASTY: 3},
        requests={"cystic duct: one": 3, f"{NASTY}: two": 1}, drawn=4, kept=3, dropped={"agreement": 1},
        seconds=0.25, pause=0.0,
    ) | more  # fmt: skip


@pytest.fixture
def report(table: ClassTable) -> RefreshesReport:
    image = np.zeros((8, 8, 3), np.uint8)
    pairs = {100: (GeneratedPair(image, image, NASTY), GeneratedPair(image, image, "liver"))}
    return RefreshesReport(
        title=f"gauda: {NASTY}",
        summary="Every 100 steps.",
        classes=table,
        refreshes=read_refreshes([decided(100), decided(200), line(300)], pairs),
        rare=("cystic duct",),
        training_seconds=10.0,
        warnings=(PHANTOM_WARNING,),
        phantom=True,
        provenance=Origins(("rarescene segment phiseg",), "phantom"),
    )


def test_a_refresh_is_followed_by_the_next_validation() -> None:
    first, second = read_refreshes([decided(100), decided(200), line(300)])
    assert (first.mean, first.after_mean, first.next_step) == (0.4, 0.5, 200)
    assert second.change("liver") == pytest.approx(0.1)
    assert second.change("cystic duct") == 0
    assert second.change(NASTY) is None
    assert first.by_lead(["liver", NASTY, "cystic duct"]) == ["cystic duct", "liver", NASTY]
    assert (first.drawn, first.kept, first.seconds) == (4, 3, 0.25)
    assert first.asks("cystic duct")
    assert not first.asks("liver")
    alone = read_refreshes([decided(100)])[0]
    assert (alone.after_mean, alone.change("liver")) == (None, None)


def test_pairs_drawn_in_the_background_are_counted_by_the_line_after() -> None:
    lines = [decided(100, drawn=0, kept=0), decided(200, drawn=7, kept=6, pause=0.1), line(300)]
    first, second = read_refreshes(lines, later=True)
    assert (first.drawn, first.kept, first.pause) == (7, 6, 0.1)
    assert second.drawn == 0


def test_pairs_that_outlast_an_interval_stand_where_they_were_asked_for(report: RefreshesReport) -> None:
    none, nobody = {"drawn": 0, "kept": 0, "dropped": {}}, {"classes": [], "requests": {}, "waiting": True}
    lines = [
        decided(100, **none), decided(200, **none, **nobody, pause=0.3),
        decided(300, drawn=8, kept=7, seconds=3.0, pause=0.1), decided(400, **none, **nobody),
        {"step": 450, "drawn": 5, "kept": 5, "dropped": {}, "seconds": 2.0, "pause": 0.2},
    ]  # fmt: skip
    found = read_refreshes(lines, later=True)
    assert [(one.step, one.drawn, one.kept, one.waiting) for one in found] == [
        (100, 8, 7, False), (200, 0, 0, True), (300, 5, 5, False), (400, 0, 0, True),
    ]  # fmt: skip
    assert [(one.pause, one.dropped) for one in found[::2]] == [(0.3, {"agreement": 1}), (0.2, {})]
    assert found[0].seconds == 3.25
    assert (found[-1].next_step, found[-1].after_mean) == (None, None)  # the last line is no validation
    text = render_refreshes(replace(report, refreshes=found))
    assert text.count("still generating what was asked for before") == 2


def test_of_many_refreshes_some_are_shown_with_both_ends() -> None:
    many = read_refreshes([decided(step) for step in range(100, 5100, 100)])
    shown = [one.step for one in shown_in_full(many)]
    assert len(shown) == len(set(shown)) == SHOWN
    assert (shown[0], shown[-1]) == (100, 5000)
    gaps = np.diff(shown)
    assert gaps.max() - gaps.min() <= 100
    assert shown_in_full(many[:3]) == list(many[:3])


def test_curves_have_the_colours_of_their_classes_and_end_with_the_last_validation(
    report: RefreshesReport,
) -> None:
    lead, mean = refresh_charts(report, {"liver": "#ff7272", "cystic duct": "#ffff00", NASTY: "#003280"})
    assert [(curve.name, curve.colour) for curve in lead.lines] == [
        ("liver", "#ff7272"),
        ("cystic duct", "#ffff00"),
    ]
    assert mean.lines[0].x == [100, 200, 300]
    assert mean.lines[0].y == pytest.approx([40, 50, 60])


def test_the_page_says_it_all_and_asks_nobody(report: RefreshesReport) -> None:
    text = render_refreshes(report)
    shown = Page(text)
    words = " ".join(" ".join(shown.words).split())
    for expected in (
        "2 refreshes",
        "8 pairs generated, 6 pairs kept",
        "1 s for validations and refreshes, 10.0 % of the whole run",
        "Step 100 label mean 40.0 %, at the next validation 50.0 %;",
        "4 pairs generated, 3 kept (1 dropped for their agreement)",
        "4 scenes, for cystic duct and",
        "its turn waited 3 refreshes",
        "not asked for",
        "2 of 2",
        "+10.0",
        "Uncertainty is not error",
        PHANTOM_WARNING,
    ):
        assert expected in words, expected
    assert NASTY not in text
    assert len(shown.named("img")) == 4
    for tag, attributes in shown.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert all(
            (attributes.get(name) or "#").startswith(("data:image/png;base64,", "#"))
            for name in ("src", "href")
        )
    assert not {"nan", "None"} & {word for part in shown.words for word in part.split()}


def test_weights_of_adaptive_sampling_are_shown(report: RefreshesReport) -> None:
    weighed = {"classes": [], "requests": {}, "drawn": 0, "staleness": {}, "why": {}}
    lines = [
        decided(step, by="score", weights={"liver": 0.8, "cystic duct": 1.5}, **weighed)
        for step in (100, 200)
    ]
    text = render_refreshes(replace(report, refreshes=read_refreshes(lines), lead="1 − IoU"))
    words = " ".join(" ".join(Page(text).words).split())
    assert "×1.5" in words
    assert "not asked for" not in words
    assert "Uncertainty is not error" not in words


def test_a_run_without_a_refresh_is_still_a_page(report: RefreshesReport) -> None:
    text = render_refreshes(replace(report, refreshes=()))
    assert "There was none" in text
    assert not Page(text).named("table")


def rows(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}{tag}"))


def test_a_bar_is_as_long_as_its_value() -> None:
    half, whole = (rows(value_bar(value, 0.5, "#123456", label="x"), "rect")[0] for value in (0.25, 0.5))
    lengths = [float((one.get("width") or "").rstrip("%")) for one in (half, whole)]
    assert lengths[1] == pytest.approx(2 * lengths[0])
    assert whole.get("style") == "fill:#123456"
    assert "absent" in value_bar(None, 0.5, "#123456", label="x")
    assert rows(value_bar(0.0, 0.0, "#123456", label="x"), "rect")[0].get("width") == "0%"


def test_a_sparkline_marks_what_was_chosen_and_leaves_gaps() -> None:
    drawn = sparkline([1.0, None, 0.5, 0.0], 1.0, "#123456", [True, True, False, True], label="liver")
    dots = rows(drawn, "circle")
    assert [dot.get("cx") for dot in dots] == ["0%", "100%"]
    assert float(dots[0].get("cy") or 0) < float(dots[1].get("cy") or 0)  # upwards is more
    path = next(one for one in rows(drawn, "path") if one.get("class") == "line").get("d") or ""
    assert path.count("M") == 2
    assert len(rows(sparkline([0.3], 1.0, "#123456", [False], label="x"), "circle")) == 1
