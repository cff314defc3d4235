"""A class table proposed from the masks of a folder, for a user who has none yet."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import Colour
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K, WATERSHED_CODES
from rarescene.scenes.rasters import MASK_FOLDERS, read_raster, walk_files

_MOST_CLASSES = 64
_MOST_FILES = (
    200  # evenly spread over the folder; reading all of a large one would make an error message slow
)


def propose_class_table(folder: Path) -> dict[str, Any]:
    """Return a class table, as `classes.json` holds it, from the ids or colours of the masks under `folder`.

    Classes are called `class 0`, `class 1`, … from the most to the least frequent colour, or in the order of
    their ids; the codes and colours of CholecSeg8k get their names. Raises `DataError` when the files are no
    label masks.
    """
    inside = [
        path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.casefold() in MASK_FOLDERS
    ]
    return propose_from(walk_files(inside[0] if inside else folder), folder.resolve().name)


def propose_from(masks: Sequence[Path], name: str) -> dict[str, Any]:
    """Return a class table from these mask files; `name` is what the data set is called."""
    if not masks:
        raise DataError(
            "there are no masks to propose a class table from", "Put label masks into a folder `masks`."
        )
    values, colours = Counter[int](), Counter[Colour]()
    for path in masks[:: max(1, len(masks) // _MOST_FILES)]:
        raster = read_raster(path).values
        gray = raster.ndim == 2 or bool(np.ptp(raster, axis=-1).max() == 0)
        if gray:
            flat = raster if raster.ndim == 2 else raster[..., 0]
            found = np.bincount(flat.ravel(), minlength=256)
            values.update({int(value): int(found[value]) for value in np.flatnonzero(found)})
        else:
            pixels, counts = np.unique(raster.reshape(-1, 3), axis=0, return_counts=True)
            colours.update(
                {(int(r), int(g), int(b)): int(n) for (r, g, b), n in zip(pixels, counts, strict=True)}
            )
        if len(values) > _MOST_CLASSES or len(colours) > _MOST_CLASSES:
            remedy = "Export the masks without smoothing or lossy compression: one value or colour a class."
            what = f"has more than {_MOST_CLASSES} different values or colours, so it is no label mask"
            raise DataError(what, remedy, path)
    if colours:
        return _from_colours(colours + Counter({(v, v, v): n for v, n in values.items()}), name)
    return _from_values(sorted(values), name)


def _from_values(values: list[int], name: str) -> dict[str, Any]:
    chosen = [value for value in values if value != 255] or values
    if set(chosen) <= {0, *WATERSHED_CODES} and len(set(chosen) & set(WATERSHED_CODES)) > 1 and 50 in chosen:
        return _cholecseg8k(name)
    classes: list[dict[str, Any]] = []
    for class_id, value in enumerate(chosen):
        entry = {"id": class_id, "name": f"class {value}", "colour": list(_distinct(class_id))}
        classes.append(entry if chosen[-1] < len(chosen) else entry | {"values": [value]})
    return {"name": name, "ignore_index": 255, "classes": classes}


def _from_colours(colours: Counter[Colour], name: str) -> dict[str, Any]:
    known = {entry.colour: entry.name for entry in CHOLECSEG8K.classes}
    chosen = [colour for colour, _ in colours.most_common() if colour != (255, 255, 255)]
    classes = [
        {"id": class_id, "name": known.get(colour, f"class {class_id}"), "colour": list(colour)}
        for class_id, colour in enumerate(chosen)
    ]
    return {"name": name, "ignore_index": 255, "classes": classes}


def _cholecseg8k(name: str) -> dict[str, Any]:
    table = CHOLECSEG8K.to_dict() | {"name": name}
    for entry, code in zip(table["classes"], WATERSHED_CODES, strict=True):
        entry["values"] = [code]
    return table | {"ignore_values": [0]}


def _distinct(index: int) -> Colour:
    """Return a colour unlike those before it: hues a golden angle apart, class 0 gray."""
    if index == 0:
        return 127, 127, 127
    red, green, blue = colorsys.hsv_to_rgb(
        index * 0.618 % 1, 0.75 - 0.25 * (index % 2), 0.95 - 0.2 * (index // 8 % 3)
    )
    return round(255 * red), round(255 * green), round(255 * blue)
