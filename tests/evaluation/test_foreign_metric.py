"""Somebody's metric, in a package of their own: it is measured, shown, and missed once it is gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rarescene.cli import main
from rarescene.foundation import plugins
from rarescene.reports import metric_columns

from ..conftest import PHANTOM

METRIC = '''
from types import SimpleNamespace

from rarescene.foundation.methods import Column, MetricMethod


class Meter:
    """Counts the labelled pixels whose class is not the likeliest one."""

    def __init__(self, table):
        self.table, self.wrong = table, 0

    def update(self, predicted):
        labelled = predicted.masks != self.table.ignore_index
        self.wrong += int((predicted.probabilities.argmax(1).cpu() != predicted.masks)[labelled].sum())

    def result(self):
        return SimpleNamespace(to_dict=lambda: {"wrong": self.wrong, "classes": len(self.table)})


WRONG = MetricMethod(
    name="wrong_pixels",
    summary="Pixels that are wrong",
    build=lambda table, segmenter: Meter(table),
    columns=lambda found: [Column("wrong", ["–"] * found["classes"], {"all pixels": str(found["wrong"])})],
)
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a distribution that brings one metric."""
    folder = tmp_path / "site"
    told = folder / "theirs-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[rarescene.metrics]\nwrong-pixels = their_metric:WRONG\n")
    (folder / "their_metric.py").write_text(METRIC)
    monkeypatch.syspath_prepend(str(folder))
    plugins.methods.cache_clear()
    yield folder
    plugins.methods.cache_clear()
    sys.modules.pop("their_metric", None)


def test_a_foreign_metric_is_measured_and_shown(
    installed: Path, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert list(plugins.methods("metrics")) == [
        "average_precision", "calibration", "uncertainty", "wrong_pixels"
    ]  # fmt: skip
    out = tmp_path / "metrics.json"
    words = ["evaluate", str(segmenter_run), "--data", PHANTOM]
    before = (segmenter_run / "metrics.json").read_bytes()
    assert main([*words, "--at", "run", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    wrong = found["wrong_pixels"]["wrong"]
    confusion = [one["confusion"] for one in found["recordings"].values()]
    expected = sum(
        pixels for one in confusion for y, row in enumerate(one) for x, pixels in enumerate(row) if x != y
    )
    assert wrong == expected > 0
    assert str(wrong) in capfd.readouterr().out

    try:
        (segmenter_run / "metrics.json").write_bytes(out.read_bytes())
        page = tmp_path / "report.html"
        assert main(["report", str(segmenter_run), "--out", str(page), "--rows", "0"]) == 0
        assert f'data-head="wrong">{wrong}</td>' in page.read_text()

        monkeypatch.undo()  # the package is gone; what it measured stays in the file
        plugins.methods.cache_clear()
        capfd.readouterr()
        names = ("average_precision", "calibration", "wrong_pixels")
        for _ in range(2):
            columns = metric_columns({name: found[name] for name in names})
            assert [column.heading for column in columns] == ["average precision", "calibration error"]
        assert capfd.readouterr().out.count("wrong_pixels") == 1
    finally:
        (segmenter_run / "metrics.json").write_bytes(before)


def test_a_metric_may_not_bear_the_name_of_a_field(
    installed: Path, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metric = installed / "their_metric.py"
    metric.write_text(METRIC.replace('"wrong_pixels"', '"scores"'))
    words = ["evaluate", str(segmenter_run), "--data", PHANTOM, "--out", str(tmp_path / "m.json")]
    assert main(words) == 2
    assert "uninstall theirs" in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "m.json").exists()
