from __future__ import annotations

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import DataError
from rarescene.reports import Report, render, write_report
from rarescene.reports.report_page import picture_uri

from .conftest import comparison, row

NASTY = '<b>"duct" & [red]vein[/red]</b>'
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, and fails where they do not close as they opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_asks_nobody_for_anything(report: Report) -> None:
    text = render(report)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.named("meta"))


def test_a_class_of_any_name_is_shown_as_text(report: Report) -> None:
    page = Page(render(report))
    assert not page.named("b")
    assert any(NASTY in words for words in page.words)


def test_every_picture_and_plot_has_words(report: Report) -> None:
    page = Page(render(report))
    assert len(page.named("img")) == 5
    assert all(image["alt"] for image in page.named("img"))
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in page.named("svg"))


def test_every_table_has_a_caption_and_headed_rows(report: Report) -> None:
    page = Page(render(report))
    assert len(page.named("caption")) == len(page.named("table"))
    assert {head.get("scope") for head in page.named("th")} == {"row", "col"}


def test_every_link_of_the_page_leads_somewhere(report: Report) -> None:
    for one in (report, replace(report, gallery=(), comparison=None, realism={}, curves=())):
        page = Page(render(one))
        places = {attributes.get("id") for _, attributes in page.tags}
        links = {(link["href"] or "").removeprefix("#") for link in page.named("a")}
        assert links <= places


def test_rare_classes_come_first_and_the_warning_before_all(report: Report) -> None:
    text = render(report)
    scores = text[text.index('id="scores"') :]
    assert scores.index("cystic duct") < scores.index("liver")
    assert text.index("No number here is a surgical one") < text.index('id="verdict"')


@pytest.mark.parametrize(("low", "word"), [(0.01, "measured gain"), (-0.01, "not told apart")])
def test_the_verdict_follows_the_interval(report: Report, low: float, word: str) -> None:
    changed = comparison(row("rare mean", 0.05, low, 0.09))
    assert word in render(replace(report, comparison=changed))


def test_an_absent_class_is_called_absent(report: Report) -> None:
    text = render(report)
    assert "not in the test recordings" in text
    assert ">absent<" in text
    assert not {"nan", "NaN", "None"} & {word for words in Page(text).words for word in words.split()}


def test_the_size_of_a_target_is_given_in_output_cells(report: Report) -> None:
    assert "4 frames, 2 recordings, 1 output cells a frame" in render(report)


def test_mistakes_of_rare_classes_are_told(report: Report) -> None:
    assert "25.0 % right, 75.0 % called liver" in render(report)


def test_an_almost_empty_report_is_still_a_page(report: Report) -> None:
    page = Page(render(Report("Nothing yet", "No run was scored.", report.classes)))
    assert not page.named("table")


def test_pictures_survive_the_page(report: Report) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    head, code = picture_uri(picture).split(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))), picture)


def test_the_report_is_written_whole_or_not_at_all(report: Report, tmp_path: Path) -> None:
    path = write_report(report, tmp_path / "runs" / "report.html")
    assert path.read_text(encoding="utf-8") == render(report)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be written"):
        write_report(report, tmp_path / "file" / "report.html")
