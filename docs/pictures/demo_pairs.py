"""Draw docs/pictures/demo_pairs.png: eight maps with rare classes, their frames, and synthetic images.

The maps come from the demo's test recordings, which the shipped weights have never seen. They are chosen by a
rule and not by eye: for each rare class in turn, those of median area.

Run: python docs/pictures/demo_pairs.py [RUN [OUT.png]]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rarescene.foundation.run_record import read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import Casdm
from rarescene.recipes.demo import WEIGHTS
from rarescene.reports import contact_sheet, enlarge, representative
from rarescene.scenes import SceneCache, class_statistics
from rarescene.training import to_masks, to_pixels
from rarescene.workflows.prepared import open_data

COLUMNS, SIDE = 8, 128


def sheet(run: Path) -> Image.Image:
    """Return the picture: one column a map, with the frame and the synthetic image below it."""
    record, generator = read_record(run, "casdm"), Casdm.load(run / "model")
    settings = record.config
    source = open_data(record.data["spec"], settings["split"], settings["split_seed"], settings["fractions"])
    size = (generator.config.height, generator.config.width)
    rare = [
        entry.id
        for entry in class_statistics(SceneCache.build(source.scenes.subset(source.split.train), *size)).rare
    ]

    test = SceneCache.build(source.scenes.subset(source.split.test), *size)
    chosen = representative(test.class_pixels, rare, COLUMNS)
    frames, masks = test.take(chosen)
    seeds = [derive_seed(0, "picture", place) for place in range(len(chosen))]
    drawn = to_pixels(generator.generate(to_masks(masks), seeds=seeds, steps=30))

    labels = [
        " + ".join(test.classes.names[c] for c in rare if test.class_pixels[index, c]) for index in chosen
    ]
    rows: list[list[np.ndarray]] = [
        [enlarge(test.classes.colourise(mask), SIDE, flat=True) for mask in masks],
        list(frames),
        list(drawn),
    ]
    titles = (
        "map, from a recording that the generator has never seen",
        "phantom frame of that map",
        "synthetic image, drawn for that map",
    )
    return contact_sheet(rows, labels, titles=titles, side=SIDE)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_suffix(".png")
    sheet(folder).save(out, optimize=True)
