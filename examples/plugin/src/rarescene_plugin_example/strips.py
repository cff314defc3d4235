"""A data set of strips: in each PNG the frame stands at the left, and its mask, in colours, at the right."""

from __future__ import annotations

from pathlib import Path

from rarescene import scenes
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.rasters import Raster

NAMES = {"tissue": (200, 90, 90), "vessel": (80, 0, 120), "clip": (0, 255, 0)}
CLASSES = tuple(scenes.SceneClass(i, name, NAMES[name]) for i, name in enumerate(NAMES))
TABLE = scenes.ClassTable("strips", CLASSES)


def read_strip(record: scenes.SceneRecord) -> scenes.Scene:
    """Return both halves of a strip; white is not labelled."""
    strip = scenes.read_image(record.mask)
    half = strip.shape[1] // 2
    mask = scenes.MaskCode.plain(TABLE).decode(Raster(strip[:, -half:]), record.mask)
    return scenes.Scene(None if record.image is None else strip[:, :half], mask, record)


def list_strips(root: Path) -> scenes.Listing:
    """List `RECORDING/0001.png`; the names say all."""
    files = [(path.parent.name, path) for path in sorted(root.glob("*/*.png"))]
    if not files:
        fault = scenes.Fault(root, "holds no strips", "Give the folder of RECORDING/0001.png.")
        return scenes.Listing(None, (fault,))
    found = (scenes.SceneRecord(f"{op}/{one.stem}", op, int(one.stem), one, one) for op, one in files)
    strips = scenes.SceneSet("strips", TABLE, tuple(found), read_strip, "CC0-1.0")
    return scenes.Listing(strips, sorted=True)


SPLIT = scenes.named_recordings("the strips", validation=["op4"], test=["op5", "op6"])
STRIPS = DatasetMethod(
    name="strips", summary="frames beside their masks, in one PNG each", list=list_strips,
    splits={"strips": SPLIT},
)  # fmt: skip
