"""`rarescene report`: one self-contained page about several runs."""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import CountOrNone
from rarescene.foundation.console import say, show
from rarescene.foundation.outputs import alone_at, need_own_file

MADE_BY = '<meta name="generator" content="rarescene">'
"""Stands in every page."""


@takes_text_for_paths
def report(
    runs: list[Path],
    *,
    out: Path,
    title: str = "rarescene report",
    classes: str = "",
    rows: CountOrNone = 6,
    realism: bool = True,
) -> None:
    """Write one HTML file: tables, bars per class, a gallery, training curves, and their provenance.

    Args:
        runs: folders of `train`, `synthesize` and `segment` runs, in any order and number.
        out: the HTML file.
        title: heading of the page.
        classes: comma-separated rare classes, which come first; by default those that the data's statistics
            call rare.
        rows: gallery rows for scored scenes, and as many for synthetic pairs.
        realism: whether the synthetic images are compared with the real ones of the same maps.
    """
    from rarescene.reports import build_report, verdict_text, write_report

    need_own_file(out, MADE_BY)
    page = build_report(runs, title=title, classes=classes, rows=rows, realism=realism)
    with alone_at(out):
        write_report(page, out)
    for verdict in page.verdicts().values():
        show(verdict_text(verdict))
    say(f"written to {out}")
