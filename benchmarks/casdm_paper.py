"""The CASDM paper's tables and figures at one scale, kept for the documentation.

command:       python benchmarks/casdm_paper.py --out reproduced
machine:       2 cores, no GPU; on a GPU add --scale small
running time:  about two hours at scale tiny; a stopped run goes on when the command is repeated

Calls `rarescene reproduce` for each recipe, and copies what it wrote: the figures' numbers to benchmarks/results, the
pictures to docs/pictures.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from harness import RESULTS

from rarescene.foundation.errors import RareSceneError
from rarescene.recipes.reproduce import GROWING, reproduce

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
DEFAULT = ("casdm-table1", "casdm-table5", "casdm-table2", "casdm-fig4", "casdm-fig5", "casdm-fig6")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=DEFAULT)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", default="tiny", choices=("smoke", "tiny", "small", "paper"))
    parser.add_argument("--data")
    parser.add_argument("--segmenters", default="")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    options = parser.parse_args()
    try:
        for recipe in options.recipes:
            segmenters = options.segmenters if recipe in GROWING else ""
            reproduce(recipe, scale=options.scale, data=options.data, segmenters=segmenters, out=options.out)
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
