"""`rarescene reproduce`: a table or a figure of a paper, on its data or on phantom scenes."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.outputs import need_own_file
from rarescene.recipes.run_store import RunStore
from rarescene.recipes.scale import DataScale, ScaleName

if TYPE_CHECKING:
    from rarescene.recipes.outcome import Outcome


class Recipe(NamedTuple):
    """A recipe: where its function is, on which data, and which of its columns may be trained one by one."""

    paper: Literal["casdm", "gauda"]
    module: str
    function: str
    data: tuple[str, ...] = ("cholecseg8k",)
    grows: tuple[str, ...] = ()


BOTH = ("cholecseg8k", "cadis")
RECIPES: Mapping[str, Recipe] = {
    "casdm-table1": Recipe("casdm", "image_quality", "table1"),
    "casdm-table2": Recipe("casdm", "expansion", "table2", grows=("segmenters",)),
    "casdm-table3": Recipe("casdm", "expansion", "table3", grows=("segmenters",)),
    "casdm-table4": Recipe("casdm", "expansion", "table4", ("sisvse",), ("segmenters",)),
    "casdm-table5": Recipe("casdm", "image_quality", "table5"),
    "casdm-fig4": Recipe("casdm", "image_quality", "fig4"),
    "casdm-fig5": Recipe("casdm", "expansion", "fig5"),
    "casdm-fig6": Recipe("casdm", "expansion", "fig6"),
    "gauda-table1": Recipe("gauda", "tables", "table1", grows=("strategies",)),
    "gauda-table2": Recipe("gauda", "tables", "table2", grows=("strategies",)),
    "gauda-table3": Recipe("gauda", "tables", "table3", ("cadis",), ("strategies",)),
    "gauda-table4": Recipe("gauda", "tables", "table4", ("cadis",), ("strategies",)),
    "gauda-table5": Recipe("gauda", "quality", "table5", BOTH, ("datasets", "segmenters")),
    "gauda-table6": Recipe("gauda", "cost", "table6", BOTH, ("datasets", "segmenters", "strategies")),
    "gauda-fig3": Recipe("gauda", "figures", "fig3", ()),
    "gauda-fig4": Recipe("gauda", "pictures", "fig4", BOTH, ("datasets",)),
    "gauda-fig5": Recipe("gauda", "quality", "fig5", BOTH, ("datasets",)),
    "gauda-fig6": Recipe("gauda", "figures", "fig6", grows=("segmenters", "strategies")),
    "gauda-fig7": Recipe("gauda", "figures", "fig7", ("cadis",), ("segmenters", "strategies")),
    "gauda-fig8": Recipe("gauda", "pictures", "fig8", BOTH, ("datasets",)),
    "gauda-fig10": Recipe("gauda", "simulated", "fig10", ()),
    "gauda-fig11": Recipe("gauda", "simulated", "fig11", ()),
    "gauda-fig12": Recipe("gauda", "figures", "fig12", BOTH, ("datasets", "segmenters", "strategies")),
    "gauda-fig13": Recipe("gauda", "failures", "fig13", BOTH, ("datasets",)),
}


@takes_text_for_paths
def reproduce(
    recipe: str,
    *,
    scale: ScaleName = "tiny",
    data: list[str] | str | None = None,
    split: str = "",
    datasets: str = "",
    segmenters: str = "",
    strategies: str = "",
    out: Path = Path("reproduced"),
) -> None:
    """Repeat a table or a figure of a paper: train what it needs, and write it beside the paper's scores.

    Recipes share their trainings, which lie in OUT/SCALE/runs under addresses made of configuration and data.
    What is finished is taken; a recipe that was stopped goes on when the command is repeated. Large tables
    grow over several calls: what one leaves out is shown if an earlier one trained it, or said to be missing.

    Args:
        recipe: casdm-table1 to -table5, casdm-fig4 to -fig6; gauda-table1 to -table6, gauda-fig3 to -fig8 and
            gauda-fig10 to -fig13.
        scale: smoke (seconds, scores mean nothing), tiny (phantom scenes of 64² on a processor), small (128²
            on one GPU), paper (the published sizes, on the published data).
        data: NAME:PATH of the data; by default phantom scenes at all scales but paper. Recipes of two data
            sets take both as '[cholecseg8k:PATH, "cadis:PATH,setting=2"]', or one of them.
        split: how the data are split, such as cadis for the official split of CaDIS; by default as the scale
            says, which at paper is the paper's own.
        datasets: comma-separated, cholecseg8k and cadis: those that a GAUDA recipe of both trains on now.
        segmenters: comma-separated, those that are trained now; by default all of the scale.
        strategies: comma-separated, the columns of GAUDA's tables that are trained now: classic, adaptive,
            adaptive+classic, gauda, gauda+classic, duplicate, offline, adaptive-uncertainty; none always is.
        out: folder of the tables; OUT/SCALE/RECIPE.md and .json are written, and .png for pictures.
    """
    if recipe not in RECIPES:
        raise ConfigError(f"there is no recipe {recipe!r}", f"Choose from {', '.join(RECIPES)}.")
    chosen = RECIPES[recipe]
    given = {"datasets": datasets, "segmenters": segmenters, "strategies": strategies}
    for option, value in given.items():
        if value and option not in chosen.grows:
            others = ", ".join(name for name, one in RECIPES.items() if option in one.grows)
            what = f"{recipe} has nothing to choose by --{option}"
            raise ConfigError(what, f"Leave it out; it is for {others}.")
    for suffix in ("md", "json"):
        need_own_file(out / scale / f"{recipe}.{suffix}", f"rarescene reproduce {recipe}")
    specs = [data] if isinstance(data, str) else list(data or ())
    store = RunStore(out / scale / "runs")
    make = _casdm if chosen.paper == "casdm" else _gauda
    words = {"data": _listed(specs), "split": split, **given}
    options = "".join(f" --{option} {shlex.quote(value)}" for option, value in words.items() if value)
    outcome = replace(make(recipe, chosen, scale, specs, store, given | {"split": split}), options=options)
    outcome.write(out / scale)
    for sheet in outcome.sheets:
        show(sheet.for_terminal())
    for note in outcome.notes:
        say(f"· {note}")
    say(f"written to {out / scale / recipe}.md")


def _casdm(
    recipe: str, chosen: Recipe, scale: str, specs: Sequence[str], store: RunStore, given: Mapping[str, str]
) -> Outcome:
    from rarescene.recipes.casdm.scale import read_scale
    from rarescene.recipes.casdm.study import Study

    sizes = read_scale(scale)
    if given["segmenters"]:
        sizes = replace(sizes, segmenters=sizes.segmenters.only(given["segmenters"].split(",")))
    sources = _sources(sizes, chosen, given["split"])
    ((name, spec),) = _specs(recipe, scale, sources, specs).items()
    return _function(chosen)(Study(sizes, sources[name], spec, store), scale)


def _gauda(
    recipe: str, chosen: Recipe, scale: str, specs: Sequence[str], store: RunStore, given: Mapping[str, str]
) -> Outcome:
    from rarescene.recipes.gauda.scale import COLUMNS, SEGMENTERS, columns_of, read_scale, segmenters_of
    from rarescene.recipes.gauda.study import GaudaStudy, Sitting

    if not chosen.data:
        if specs:
            raise ConfigError(f"{recipe} needs no data", "Leave --data out.")
        return _function(chosen)({}, scale)
    sizes = read_scale(scale)
    sources = _sources(sizes, chosen, given["split"])
    sizes = replace(sizes, **sources)  # type: ignore[arg-type]
    known = _specs(recipe, scale, sources, specs)
    here = [name.strip() for name in given["datasets"].split(",")] if given["datasets"] else list(known)
    if unknown := [name for name in here if name not in known]:
        raise ConfigError(f"{recipe} has no data set {unknown[0]!r} now", f"Choose from {', '.join(known)}.")
    segmenters, strategies = given["segmenters"], given["strategies"]
    now = Sitting(
        segmenters=segmenters_of(segmenters.split(",")) if segmenters else SEGMENTERS,
        columns=columns_of(strategies.split(",")) if strategies else COLUMNS,
    )
    studies = {
        name: GaudaStudy(sizes, name, spec, store, replace(now, here=name in here))  # type: ignore[arg-type]
        for name, spec in known.items()
    }
    return _function(chosen)(studies, scale)


def _sources(sizes: Any, chosen: Recipe, split: str) -> dict[str, DataScale]:
    """Return the data sets of a recipe, split as asked, or else as the scale says."""
    sources: dict[str, DataScale] = {name: getattr(sizes, name) for name in chosen.data}
    if not split:
        return sources
    return {name: replace(source, split=split, fractions=None) for name, source in sources.items()}


def _specs(recipe: str, scale: str, sources: Mapping[str, DataScale], specs: Sequence[str]) -> dict[str, str]:
    """Return the specification of each data set that a recipe is made on now.

    What is given goes to the data set of its name, or else to the first that has none yet. Without any, all
    are those of the scale.

    Raises:
        ConfigError: there are too many, or none where the scale has none of its own.
    """
    if not specs:
        known = {name: source.spec for name, source in sources.items() if source.spec is not None}
        if not known:
            wanted = " Or: ".join(source.wanted for source in sources.values())
            raise ConfigError(f"{recipe} at scale {scale} needs its data", wanted)
        return known
    if len(specs) > len(sources):
        remedy = f"Give one for each of: {', '.join(sources)}."
        raise ConfigError(f"{recipe} was given {len(specs)} data sets", remedy)
    found: dict[str, str] = {}
    named = {name: spec for spec in specs if (name := spec.partition(":")[0]) in sources}
    for spec in specs:
        name = spec.partition(":")[0]
        if named.get(name) != spec:
            name = next(one for one in sources if one not in named and one not in found)
        found[name] = spec
    return {name: found[name] for name in sources if name in found}


def _function(chosen: Recipe) -> Callable[..., Outcome]:
    module = importlib.import_module(f"rarescene.recipes.{chosen.paper}.{chosen.module}")
    function: Callable[..., Outcome] = getattr(module, chosen.function)
    return function


def _listed(specs: Sequence[str]) -> str:
    return "".join(specs) if len(specs) < 2 else "[" + ", ".join(f'"{spec}"' for spec in specs) + "]"
