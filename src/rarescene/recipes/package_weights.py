"""Puts a trained generator into the package: `python -m rarescene.recipes.package_weights RUN`.

The weights that ship are those of `rarescene train casdm --config demo --out RUN`, in half precision.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import WEIGHTS


def ship(run: Path, folder: Path = WEIGHTS) -> None:
    """Copy what a generator's run needs to generate, with its log and a model card, to `folder`."""
    from rarescene.generators import Casdm
    from rarescene.reports.cards import write_generator_card

    record = read_record(run, "casdm")
    generator = Casdm.load(run / "model")
    generator.network.half()
    generator.save(folder / "model")
    for name in ("run.json", "log.jsonl"):
        shutil.copyfile(run / name, folder / name)
    size = sum(weight.numel() for weight in generator.network.parameters())
    summary = "Generates 64² phantom scenes for masks of the 13 CholecSeg8k classes. It ships for the demo."
    write_generator_card(folder, record, size, name="phantom_casdm", summary=summary)


if __name__ == "__main__":
    ship(Path(sys.argv[1]))
