"""A data set of strips: in each PNG the frame stands at the left, and its mask, in colours, at the right."""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes import (
    ClassTable,
    Fault,
    Listing,
    MaskCode,
    Scene,
    SceneClass,
    SceneRecord,
    SceneSet,
    read_image,
)
from rarescene.scenes import named_recordings as recordings
from rarescene.scenes.rasters import Raster

NAMES = {"tissue": (200, 90, 90), "vessel": (80, 0, 120), "clip": (0, 255, 0)}
TABLE = ClassTable("strips", tuple(SceneClass(i, name, NAMES[name]) for i, name in enumerate(NAMES)))


def read_strip(record: SceneRecord) -> Scene:
    """Return both halves of a strip; white is not labelled."""
    strip = read_image(record.mask)
    half = strip.shape[1] // 2
    mask = MaskCode.plain(TABLE).decode(Raster(strip[:, -half:]), record.mask)
    return Scene(None if record.image is None else strip[:, :half], mask, record)


def list_strips(root: Path) -> Listing:
    """List `RECORDING/0001.png`; the names say all."""
    files = [(path.parent.name, path) for path in sorted(root.glob("*/*.png"))]
    if not files:
        return Listing(None, (Fault(root, "holds no strips", "Give the folder of RECORDING/0001.png."),))
    records = (SceneRecord(f"{op}/{path.stem}", op, int(path.stem), path, path) for op, path in files)
    return Listing(SceneSet("strips", TABLE, tuple(records), read_strip, "CC0-1.0"), sorted=True)


STRIPS = DatasetMethod(
    name="strips",
    summary="frames beside their masks, in one PNG each",
    list=list_strips,
    splits={"strips": recordings("the strips", validation=["op4"], test=["op5", "op6"])},
)
