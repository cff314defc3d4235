"""The columns of Tables 1 to 4: ways to train a segmenter, those of the paper first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rarescene.foundation.errors import ConfigError


@dataclass(frozen=True)
class Column:
    """One way to train a segmenter.

    Attributes:
        name: as `--strategies` takes it.
        head: as it stands over a column.
        strategies: those of `rarescene segment`, joined in this order.
        by: what adaptive sampling goes by, where that is among them.
    """

    name: str
    head: str
    strategies: tuple[str, ...]
    by: Literal["score", "uncertainty"] = "score"


PAPER = (
    Column("none", "none", ("none",)),
    Column("classic", "aug", ("classic",)),
    Column("adaptive", "AS", ("adaptive",)),
    Column("adaptive+classic", "AS + aug", ("adaptive", "classic")),
    Column("gauda", "GAUDA", ("gauda",)),
    Column("gauda+classic", "GAUDA + aug", ("gauda", "classic")),
)
"""Those of the paper, in its order (`published.COLUMNS`).

Its adaptive sampling is read as that of its section 2.1, by validation scores.
"""

OURS = (
    Column("duplicate", "duplicates", ("duplicate",)),
    Column("offline", "offline", ("offline",)),
    Column("adaptive-uncertainty", "AS, uncertainty", ("adaptive",), "uncertainty"),
)
"""What the paper does not compare with: copies of rare frames, pairs drawn before, another adaptive one."""

COLUMNS = PAPER + OURS


def columns_of(names: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of these names, `none` always among them, since all others are compared with it.

    Raises:
        ConfigError: there is none of such a name.
    """
    wanted = {name.strip() for name in names} | {"none"}
    if unknown := sorted(wanted - {column.name for column in COLUMNS}):
        known = ", ".join(column.name for column in COLUMNS)
        raise ConfigError(f"no column is called {unknown[0]!r}", f"Choose from {known}.")
    return tuple(column for column in COLUMNS if column.name in wanted)
