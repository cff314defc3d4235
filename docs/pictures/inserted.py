"""Draw docs/pictures/inserted.png: frames, maps with a rare class put there, the class pasted, and drawn.

Seeds 0 to 7 and the classes in turn: nothing is chosen.

Run: python docs/pictures/inserted.py [OUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from rarescene.diffusion import SamplingConfig
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import WEIGHTS
from rarescene.reports import contact_sheet, enlarge
from rarescene.scenes.data import open_as_in
from rarescene.sources.insertion import compose, open_insertions
from rarescene.training import to_pixels

RARE = "blood,cystic duct,hepatic vein,liver ligament"
COLUMNS, SIDE = 8, 128


def sheet() -> Image.Image:
    """Return the picture: one column a frame."""
    source = open_as_in(read_record(WEIGHTS, "casdm").provenance)
    insertions = open_insertions(
        WEIGHTS, source, classes=RARE, sampling=SamplingConfig(steps=20, block=COLUMNS)
    )
    composer, table = insertions.composer, insertions.table
    made = [compose(composer, insertions.class_of(seed, seed), seed) for seed in range(COLUMNS)]
    pairs, _ = insertions.sample(range(COLUMNS), range(COLUMNS))
    sources = [composer.scenes.take([one.placement.source.scene])[0][0] for one in made]
    rows = [
        [one.image for one in made],
        [enlarge(table.colourise(one.mask), SIDE, flat=True) for one in made],
        [one.placement.pasted(one.image, image) for one, image in zip(made, sources, strict=True)],
        list(to_pixels(pairs.images)),
    ]
    titles = (
        "phantom frame of a training recording",
        "its map, with a region of another recording put there",
        "that region's own pixels, pasted",
        "that region, drawn into the frame",
    )
    labels = [table.names[one.placement.source.class_id] for one in made]
    return contact_sheet(rows, labels, titles=titles, side=SIDE)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "inserted.png"
    sheet().save(out, optimize=True)
    print(f"written to {out}")
