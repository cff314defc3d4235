"""What the probabilities behind the masks are worth: how they rank, whether they hold, what is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from rarescene.reports.content import Confidence
from rarescene.reports.tables import class_name, plain_table
from rarescene.reports.wording import percent

if TYPE_CHECKING:
    from rarescene.scenes import ClassTable

TITLE = "Probabilities in per cent, uncertainty in thousandths"

_MEANS = ("label mean", "sample mean", "sample median", "all pixels")


def read_confidence(metrics: Mapping[str, Any], names: Sequence[str]) -> Confidence | None:
    """Return average precision and calibration error of each class, and a Bayesian segmenter's uncertainty.

    Args:
        metrics: what `rarescene evaluate` wrote; what it lacks is left out.
        names: the classes, in the order of their ids.

    Returns:
        None where the file holds nothing of it, as one of an earlier version.
    """
    columns: list[
        tuple[str, list[str], Mapping[str, str]]
    ] = []  # heading, a cell a class, cells of the means
    if precision := metrics.get("average_precision"):
        means = {name: percent(precision[name.replace(" ", "_")], missing="–") for name in _MEANS[:3]}
        columns.append(
            ("average precision", [percent(one, missing="–") for one in precision["classes"]], means)
        )
    if calibration := metrics.get("calibration"):
        cells = [percent(one, missing="–") for one in calibration["classes"]]
        columns.append(("calibration error", cells, {_MEANS[3]: percent(calibration["error"], missing="–")}))
    for measure, found in metrics.get("uncertainty", {}).items():
        cells = ["–" if value is None else f"{1000 * value:.1f}" for value in found["values"]]
        columns.append((measure.replace("_", " "), cells, {}))
    if not columns:
        return None
    return Confidence(
        headings=tuple(heading for heading, _, _ in columns),
        classes={name: tuple(cells[i] for _, cells, _ in columns) for i, name in enumerate(names)},
        means={name: tuple(means.get(name, "") for _, _, means in columns) for name in _MEANS},
    )


def confidence_table(found: Confidence, classes: ClassTable) -> RenderableType:
    """Return the table of a run for a terminal of 80 columns."""
    table = plain_table(TITLE)
    table.add_column("class", overflow="fold", ratio=1)
    for heading in found.headings:
        table.add_column(Text(heading), justify="right", max_width=11)
    for name, cells in found.classes.items():
        table.add_row(class_name(name, classes), *cells)
    table.add_section()
    for name, cells in found.means.items():
        table.add_row(name, *cells)
    return table
