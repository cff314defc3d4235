"""What a recipe ends with: tables beside the paper's figures, as Markdown, as JSON and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.foundation.files import atomic, write_json, write_text
from rarescene.foundation.run_record import describe_machine, installed_versions, source_commit

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from rarescene.evaluation import Interval

MISSING = "–"
WIDTH = 80


@dataclass(frozen=True)
class Sheet:
    """One table of text.

    Attributes:
        title: what it shows, with the unit.
        columns: heads; the first is that of the rows' names.
        rows: as many texts a row as there are columns.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} of {self.title!r} does not have {len(self.columns)} entries")

    def markdown(self) -> str:
        """Return the table as Markdown, under its title."""
        lines = [self.columns, ("---", *["---:"] * (len(self.columns) - 1)), *self.rows]
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def for_terminal(self) -> Table:
        """Return the table for a terminal of 80 columns; a wider one leaves its intervals to the page."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        rows = self.rows
        widths = [max(map(len, column)) + 2 for column in zip(self.columns, *rows, strict=True)]
        if sum(widths) > WIDTH:
            rows = tuple(tuple(entry.partition(" [")[0] for entry in row) for row in rows)
        table = Table(
            title=Text(self.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, width=WIDTH,
            padding=(0, 1), pad_edge=False,
        )  # fmt: skip
        table.add_column(Text(self.columns[0]), overflow="fold", min_width=16)
        for head in self.columns[1:]:
            table.add_column(Text(head), justify="right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(entry) for entry in row))
        return table


@dataclass(frozen=True)
class Outcome:
    """The outcome of a recipe.

    Attributes:
        recipe: its name, "casdm-table2".
        scale: smoke, tiny, small or paper.
        title: what it repeats of the paper.
        sheets: our tables and the paper's.
        notes: what must be known to read them: phantom, steps, seeds, sizes.
        values: the figures behind the tables, JSON values.
        runs: name → folder of each run that went in.
        options: what else the command was called with, as on the command line.
        pictures: name → uint8 `(H, W, 3)`, written as PNG.
    """

    recipe: str
    scale: str
    title: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    options: str = ""

    @property
    def command(self) -> str:
        """The command that makes it again."""
        return f"rarescene reproduce {self.recipe} --scale {self.scale}{self.options}"

    def markdown(self) -> str:
        """Return the page."""
        parts = [f"# {self.title}", f"`{self.command}`"]
        parts += [f"![{name}]({name}.png)" for name in self.pictures]
        parts += [sheet.markdown() for sheet in self.sheets]
        parts += ["\n".join(f"- {note}" for note in self.notes)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write `RECIPE.md`, `RECIPE.json` and the pictures."""
        from PIL import Image

        for name, pixels in self.pictures.items():
            with atomic(folder / f"{name}.png") as temporary:
                Image.fromarray(pixels).save(temporary, format="PNG")
        write_json(folder / f"{self.recipe}.json", self.to_dict())
        write_text(folder / f"{self.recipe}.md", self.markdown())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: where the figures come from, then the figures."""
        return {
            "command": self.command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "versions": installed_versions(),
            "commit": source_commit(),
            "recipe": self.recipe,
            "scale": self.scale,
            "title": self.title,
            "sheets": [asdict(sheet) for sheet in self.sheets],
            "notes": list(self.notes),
            "values": self.values,
            "runs": self.runs,
            "pictures": [f"{name}.png" for name in self.pictures],
        }


def percent(value: float | None) -> str:
    """Return a share as per cent with one digit, or a dash."""
    return MISSING if value is None else f"{100 * value:.1f}"


def points(value: float | None, interval: Interval | None = None) -> str:
    """Return a change in points with its interval: "+1.6 [−1.0, +7.2]"."""
    if value is None:
        return MISSING
    text = f"{100 * value:+.1f}"
    if interval is not None:
        text += f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    return text.replace("-", "−")
