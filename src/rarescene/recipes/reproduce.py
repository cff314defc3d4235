"""`rarescene reproduce`: a table or a figure of a paper, on its data or on phantom scenes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from rarescene.foundation.errors import ConfigError
from rarescene.recipes.casdm import expansion, image_quality
from rarescene.recipes.casdm.scale import ScaleName, read_scale
from rarescene.recipes.casdm.study import Study
from rarescene.recipes.run_store import RunStore
from rarescene.workflows.prepared import CONSOLE, say

if TYPE_CHECKING:
    from rarescene.recipes.outcome import Outcome


class Recipe(NamedTuple):
    """A recipe: how its outcome is made, and on which data."""

    make: Callable[[Study, str], Outcome]
    data: Literal["cholecseg8k", "sisvse"] = "cholecseg8k"


RECIPES: Mapping[str, Recipe] = {
    "casdm-table1": Recipe(image_quality.table1),
    "casdm-table2": Recipe(expansion.table2),
    "casdm-table3": Recipe(expansion.table3),
    "casdm-table4": Recipe(expansion.table4, "sisvse"),
    "casdm-table5": Recipe(image_quality.table5),
    "casdm-fig4": Recipe(image_quality.fig4),
    "casdm-fig5": Recipe(expansion.fig5),
    "casdm-fig6": Recipe(expansion.fig6),
}


GROWING = ("casdm-table2", "casdm-table3", "casdm-table4")
"""Tables of several segmenters, which may be made one by one."""


def reproduce(
    recipe: str,
    *,
    scale: ScaleName = "tiny",
    data: str | None = None,
    segmenters: str = "",
    out: Path = Path("reproduced"),
) -> None:
    """Repeat a table or a figure of a paper: train what it needs, and write it beside the paper's figures.

    Recipes share their trainings, which lie in OUT/SCALE/runs under addresses made of configuration and data.
    What is finished is taken; a recipe that was stopped goes on when the command is repeated.

    Args:
        recipe: casdm-table1 to casdm-table5, casdm-fig4, casdm-fig5 or casdm-fig6.
        scale: smoke (seconds, figures mean nothing), tiny (phantom scenes of 64² on a processor), small (128²
            on one GPU), paper (the published sizes, on the published data).
        data: NAME:PATH of the data; by default phantom scenes at all scales but paper.
        segmenters: comma-separated, those that tables 2 to 4 train; by default all of the scale. A table
            grows with the next call, since what is trained is kept.
        out: folder of the tables; OUT/SCALE/RECIPE.md and .json are written, and .png for figures.
    """
    if recipe not in RECIPES:
        raise ConfigError(f"there is no recipe {recipe!r}", f"Choose from {', '.join(RECIPES)}.")
    chosen, sizes = RECIPES[recipe], read_scale(scale)
    if segmenters:
        if recipe not in GROWING:
            remedy = f"Leave --segmenters out; it is for {', '.join(GROWING)}."
            raise ConfigError(f"{recipe} has no columns of segmenters", remedy)
        sizes = replace(sizes, segmenters=sizes.segmenters.only(segmenters.split(",")))
    source = getattr(sizes, chosen.data)
    given = data or source.spec
    if given is None:
        raise ConfigError(f"{recipe} at scale {scale} needs its data", source.wanted)
    study = Study(sizes, source, given, RunStore(out / scale / "runs"))
    options = (f" --data {shlex.quote(data)}" if data else "") + (
        f" --segmenters {segmenters}" if segmenters else ""
    )
    outcome = replace(chosen.make(study, scale), options=options)
    outcome.write(out / scale)
    for sheet in outcome.sheets:
        CONSOLE.print(sheet.for_terminal())
    for note in outcome.notes:
        say(f"· {note}")
    say(f"written to {out / scale / recipe}.md")
