"""The papers' tables and figures at one scale, kept for the documentation.

command:       python benchmarks/paper_tables.py --paper casdm --out reproduced
               python benchmarks/paper_tables.py --paper gauda --out reproduced
               python benchmarks/paper_tables.py gauda-table1 --strategies none,gauda --out reproduced
machine:       2 cores, no GPU; on a GPU add --scale small
running time:  CASDM about two hours at scale tiny; GAUDA an hour for the generators of each data set, then about two
               minutes a cell, 27 cells a table; a stopped run goes on when the command is repeated

Calls `rarescene reproduce` for each recipe, and copies what it wrote: the figures' numbers to benchmarks/results, the
pictures to docs/pictures. An option is passed on to the recipes that take it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from harness import RESULTS

from rarescene.foundation.errors import RareSceneError
from rarescene.recipes.reproduce import RECIPES, reproduce

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
PAPERS = {
    "casdm": ("casdm-table1", "casdm-table5", "casdm-table2", "casdm-fig4", "casdm-fig5", "casdm-fig6"),
    "gauda": (
        "gauda-fig3", "gauda-fig10", "gauda-fig11", "gauda-fig4", "gauda-table1", "gauda-table2", "gauda-fig5",
        "gauda-table5", "gauda-table6", "gauda-fig6", "gauda-fig8", "gauda-fig12", "gauda-fig13",
    ),
}  # fmt: skip
"""Of each paper those that the page of results shows, what others build upon first."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", help="names of recipes; by default those of --paper")
    parser.add_argument("--paper", choices=tuple(PAPERS), default="casdm")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", default="tiny", choices=("smoke", "tiny", "small", "paper"))
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        help="for all recipes; of two, each goes to the recipes on its data",
    )
    for option in ("segmenters", "strategies", "datasets"):
        parser.add_argument(f"--{option}", default="", help="passed on to the recipes that take it")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    options = parser.parse_args()
    try:
        for recipe in options.recipes or PAPERS[options.paper]:
            takes = RECIPES.get(recipe)  # reproduce refuses an unknown one, and names the others
            given = {name: getattr(options, name) for name in takes.grows} if takes else {}
            data = [
                spec
                for spec in options.data
                if takes and takes.data and (len(options.data) == 1 or spec.partition(":")[0] in takes.data)
            ]
            reproduce(recipe, scale=options.scale, data=data, out=options.out, **given)
            made = options.out / options.scale
            shutil.copyfile(made / f"{recipe}.json", options.results / f"{recipe}.json")
            if (made / f"{recipe}.png").is_file():
                shutil.copyfile(made / f"{recipe}.png", options.pictures / f"{recipe}.png")
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
