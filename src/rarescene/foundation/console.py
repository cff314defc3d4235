"""What commands print: plain lines, and bars while they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable


CONSOLE = Console(highlight=False, emoji=False)

_UNFOLDED = 10_000  # columns, more than any line needs


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yields a function of (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=CONSOLE)
    task = bar.add_task(label, total=None)

    def advance(done: int, total: int) -> None:
        bar.start()  # once; nothing is shown where nothing is to be done
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def show(content: RenderableType) -> None:
    """Print a table or text; where it goes to a file, nothing is folded, so that names can be searched."""
    if CONSOLE.is_terminal:
        CONSOLE.print(content)
        return
    for part in content.renderables if isinstance(content, Group) else ():
        show(part)
    if isinstance(content, Table):
        content.min_width, content.width = content.width, None
    if not isinstance(content, Group):
        Console(highlight=False, emoji=False, width=_UNFOLDED).print(content)


def say(text: str) -> None:
    """Print a line as it is: brackets in it are no markup, and a path is not broken over lines."""
    CONSOLE.print(text, markup=False, soft_wrap=True)


@cache
def say_once(text: str) -> None:
    """Print a line unless this command has printed it before: it may open its data several times."""
    say(text)
