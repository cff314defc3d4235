"""What a recipe ends with: tables beside the paper's scores, as Markdown, as JSON and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_json, write_json, write_text
from rarescene.foundation.outputs import alone_in
from rarescene.foundation.run_record import describe_machine, installed_versions, source_commit
from rarescene.reports import formatting
from rarescene.reports.gallery import write_picture
from rarescene.reports.tables import WIDTH, markdown_table, plain_table

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from rarescene.evaluation import Comparison, Interval

MISSING = "–"
NOT_TRAINED = "not trained"


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
        return f"**{self.title}**\n\n{markdown_table(self.columns, self.rows)}"

    def for_terminal(self) -> Table:
        """Return the table for a terminal of 80 columns; a wider one leaves its intervals to the page."""
        from rich.text import Text

        rows = self.rows
        widths = [max(map(len, column)) + 2 for column in zip(self.columns, *rows, strict=True)]
        if sum(widths) > WIDTH:
            rows = tuple(tuple(entry.partition(" [")[0] for entry in row) for row in rows)
        table = plain_table(self.title)
        table.add_column(Text(self.columns[0]), overflow="fold", min_width=16)
        for head in self.columns[1:]:
            table.add_column(Text(head), justify="right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(entry) for entry in row))
        return table


@dataclass
class Outcome:
    """The outcome of a recipe, which fills it step by step.

    Attributes:
        title: what it repeats of the paper.
        notes: what must be known to read them: phantom, steps, seeds, sizes.
        values: the numbers behind the tables, JSON values.
        runs: name → folder of each run that went in.
        pictures: name → uint8 `(H, W, 3)`, written as PNG.
        options: what else the command was called with, as on the command line.
    """

    recipe: str
    scale: str
    title: str
    sheets: list[Sheet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    options: str = ""

    def say(self, *notes: str) -> None:
        """Add notes, each once."""
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]

    def used(self, runs: Mapping[str, Path]) -> None:
        """Name the runs that went in, by their folders."""
        self.runs |= {name: folder.name for name, folder in runs.items()}

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
        """Write `RECIPE.md`, `RECIPE.json` and the pictures.

        Raises:
            ConfigError: a picture is there that no earlier outcome names.
        """
        with alone_in(folder, wait=True):
            told = folder / f"{self.recipe}.json"
            known = read_json(told)["pictures"] if told.is_file() else ()
            for name in self.pictures:
                if (path := folder / f"{name}.png").exists() and path.name not in known:
                    raise ConfigError("is a file of somebody else", "Choose another --out, or move it.", path)
            write_json(told, self.to_dict())  # first of all, since it tells whose the pictures are
            for name, picture in self.pictures.items():
                write_picture(folder / f"{name}.png", picture)
            write_text(folder / f"{self.recipe}.md", self.markdown())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: where the numbers come from, then the numbers."""
        return {
            "command": self.command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "versions": installed_versions(),
            "commit": source_commit(),
            **{name: getattr(self, name) for name in ("recipe", "scale", "title")},
            "sheets": [asdict(sheet) for sheet in self.sheets],
            **{name: getattr(self, name) for name in ("notes", "values", "runs")},
            "pictures": [f"{name}.png" for name in self.pictures],
        }


def percent(value: float | None, interval: Interval | None = None) -> str:
    """Return a share as per cent with one digit, with its interval where there is one, or a dash."""
    return formatting.with_interval(value, interval, MISSING)


def points(value: float | None, interval: Interval | None = None) -> str:
    """Return a change in points with its interval: "+1.6 [−1.0, +7.2]"."""
    if value is None:
        return MISSING
    text = f"{100 * value:+.1f}"
    if interval is not None:
        text += f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    return text.replace("-", "−")


def gained(one: Comparison | None) -> str:
    """Return a comparison's difference in points with its interval, or a dash."""
    return MISSING if one is None else points(one.difference, one.difference_interval)


def tested(one: Comparison | None) -> tuple[str, str]:
    """Return a comparison's Cohen's d and p-value after Holm, or dashes."""
    effect, p_value = (None, None) if one is None else (one.effect_size, one.p_holm)
    return (
        MISSING if effect is None else f"{effect:+.1f}".replace("-", "−"),
        MISSING if p_value is None else f"{p_value:.2f}",
    )
