"""The table of requests: how many maps show the classes asked for, in the number and at the place asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.reports.tables import class_name, plain_table
from rarescene.reports.wording import percent

if TYPE_CHECKING:
    from rarescene.evaluation import KeptShares
    from rarescene.scenes import ClassTable


def kept_table(
    first: Mapping[int, KeptShares], final: Mapping[int, KeptShares], classes: ClassTable
) -> RenderableType:
    """Return what is kept of the requests, class by class: at first draw → after redraws, in per cent.

    Args:
        first: by class id, at the first draw.
        final: the same of the maps that were kept in the end.
        classes: gives colours and names.
    """
    table = plain_table("requests kept, in per cent: at first draw → after redraws")
    table.add_column("class", overflow="fold", ratio=1)
    for head in ("asked", "shown", "quantity", "place", "all"):
        table.add_column(head, justify="right", no_wrap=True)
    for class_id, before in first.items():
        after = final[class_id]
        shares = [
            f"{percent(getattr(before, name), 0, '–')} → {percent(getattr(after, name), 0, '–')}"
            for name in ("present", "quantity", "place", "kept")
        ]
        table.add_row(class_name(classes.names[class_id], classes), str(before.asked), *shares)
    if first:
        table.add_section()
        means = [
            f"{percent(_mean(first, name), 0, '–')} → {percent(_mean(final, name), 0, '–')}"
            for name in ("present", "quantity", "place", "kept")
        ]
        asked = sum(shares.asked for shares in first.values())
        table.add_row("mean of the classes", str(asked), *means, style="bold")
    note = "quantity and place count where they were asked; a class that is not shown has neither"
    return Group(table, Text(note, style="dim"))


def _mean(shares: Mapping[int, KeptShares], name: str) -> float | None:
    known = [value for one in shares.values() if (value := getattr(one, name)) is not None]
    return sum(known) / len(known) if known else None
