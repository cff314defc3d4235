"""Draw docs/pictures/demo_pairs.png: eight maps with rare classes, their frames, and two draws each.

The maps come from the demo's test recordings, which the shipped weights have never seen. They are chosen by a
rule and not by eye: the rare classes take turns, and each turn takes the frame of median area from the next
recording that shows the class.

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
from rarescene.scenes.data import open_as_in
from rarescene.training import to_masks, to_pixels

COLUMNS, SIDE = 8, 128


def sheet(run: Path) -> Image.Image:
    """Return the picture: one column a map, with the frame and two synthetic images below it."""
    record, generator = read_record(run, "casdm"), Casdm.load(run / "model")
    source = open_as_in(record.provenance)
    size = (generator.config.height, generator.config.width)
    train = SceneCache.build(source.scenes.subset(source.split.train), *size)
    test = SceneCache.build(source.scenes.subset(source.split.test), *size)
    rare = [entry.id for entry in class_statistics(train).rare]

    chosen = in_turns(test, rare)
    frames, masks = test.take([index for _, index in chosen])
    draws = []
    for draw in range(2):
        seeds = [derive_seed(draw, "picture", place) for place in range(len(chosen))]
        draws.append(list(to_pixels(generator.generate(to_masks(masks), seeds=seeds, steps=30))))

    rows: list[list[np.ndarray]] = [
        [enlarge(test.classes.colourise(mask), SIDE, flat=True) for mask in masks],
        list(frames),
        *draws,
    ]
    titles = (
        "map, from a recording that the generator has never seen",
        "phantom frame of that map",
        "synthetic image, drawn for that map",
        "another draw for that map, with another seed",
    )
    labels = [test.classes.names[class_id] for class_id, _ in chosen]
    return contact_sheet(rows, labels, titles=titles, side=SIDE)


def in_turns(scenes: SceneCache, rare: list[int]) -> list[tuple[int, int]]:
    """Return at most `COLUMNS` pairs (class, scene): the classes take turns, one recording a turn."""
    queues = []
    for class_id in rare:
        found = []
        for group in scenes.groups:
            of_group = [index for index, other in enumerate(scenes.recordings) if other == group]
            median = representative(scenes.class_pixels[of_group], [class_id], 1)
            found += [(class_id, of_group[place]) for place in median]
        queues.append(found)
    turns = [queue[turn] for turn in range(COLUMNS) for queue in queues if turn < len(queue)]
    return turns[:COLUMNS]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_suffix(".png")
    sheet(folder).save(out, optimize=True)
