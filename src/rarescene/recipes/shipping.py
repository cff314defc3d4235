"""Puts a trained generator into the package: `python -m rarescene.recipes.shipping RUN`.

The weights that ship are those of `rarescene train casdm --config demo --out RUN`, in half precision.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import WEIGHTS


def ship(run: Path, folder: Path = WEIGHTS) -> None:
    """Copy what a generator's run needs to draw, with its log and a model card, to `folder`."""
    import torch

    from rarescene.generators import Casdm
    from rarescene.reports import ModelCard, model_card, provenance

    record = read_record(run, "casdm")
    generator = Casdm.load(run / "model")
    generator.network.to(torch.float16)
    generator.save(folder / "model")
    for name in ("run.json", "log.jsonl"):
        shutil.copyfile(run / name, folder / name)
    card = ModelCard(
        name="phantom_casdm",
        kind="CASDM image generator",
        summary="Draws 64² phantom scenes for masks of the 13 CholecSeg8k classes. It ships for the demo.",
        provenance=provenance([record]),
        phantom=True,
        config=record.config["model"]["training"],
        parameters=sum(weight.numel() for weight in generator.network.parameters()),
    )
    (folder / "README.md").write_text(model_card(card), encoding="utf-8")


if __name__ == "__main__":
    ship(Path(sys.argv[1]))
