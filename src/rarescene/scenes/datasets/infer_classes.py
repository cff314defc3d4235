"""A class table proposed from the masks of a folder, for a user who has none yet."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import Colour
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K, WATERSHED_CODES
from rarescene.scenes.mask_code import count_colours, soft_edges
from rarescene.scenes.pairs import one_palette
from rarescene.scenes.rasters import IMAGE_FOLDERS, MASK_FOLDERS, plain_folder, read_raster, walk_files

_MOST_CLASSES = 64
_MOST_COLOURS = 4096  # of masks that may still turn out to be smoothed ones; a photograph has more
_MOST_ID = 64  # ids are small numbers; 128 beside 0 and 255 is a gray that was chosen to be seen
_ENOUGH = 3  # colours, or codes, by which CholecSeg8k is known; one or two may be anybody's
_WHITE: Colour = (255, 255, 255)


def propose_class_table(folder: Path) -> dict[str, Any]:
    """Return a class table, as `classes.json` holds it, from the ids or colours of the masks under `folder`.

    Classes are called `class 0`, `class 1`, … from the most to the least frequent colour, or in the order of
    their ids. The codes and colours of CholecSeg8k get their names where at least three of them occur that
    nobody chooses by chance. A binary mask whose edges were smoothed gets two classes and a note. Raises
    `DataError` when the files are no label masks.
    """
    inside = {plain_folder(path.name): path for path in sorted(folder.iterdir()) if path.is_dir()}
    masks = next((inside[name] for name in MASK_FOLDERS if name in inside), folder)
    if masks is folder and set(inside) & set(IMAGE_FOLDERS):
        raise DataError("has no folder of masks", "Call it `masks`, or name it in a YAML file.", folder)
    return propose_from(walk_files(masks), folder.resolve().name)


def propose_from(
    masks: Sequence[Path],
    name: str,
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return a class table from these mask files.

    Args:
        masks: the files.
        name: what the data set is called.
        most: how many of them are looked at, evenly spread; by default all. A note says if some are not.
        progress: called with the number of masks looked at and the number of all.

    Raises:
        DataError: there are none, or they are no label masks.
    """
    if not masks:
        raise DataError(
            "there are no masks to propose a class table from", "Put label masks into a folder `masks`."
        )
    chosen = masks[:: -(-len(masks) // most)] if most else masks
    values, colours = np.zeros(256, np.int64), Counter[Colour]()
    palettes: dict[Colour, tuple[int, Path]] = {}
    flat = 0  # pixels of values between the ends whose neighbours are all alike: a class, and no edge
    for number, path in enumerate(chosen, start=1):
        raster = read_raster(path)
        one_palette(palettes, raster, path)
        ids = raster.values * raster.step
        if ids.ndim == 2 or np.array_equal(ids[..., :2], ids[..., 1:]):
            first = ids if ids.ndim == 2 else ids[..., 0]
            values += np.bincount(first.ravel(), minlength=256)
            flat += _flat(first)
        else:
            shown, counts = count_colours(ids)
            if len(shown) <= _MOST_COLOURS:
                colours.update(
                    {(r, g, b): n for (r, g, b), n in zip(shown.tolist(), counts.tolist(), strict=True)}
                )
            if max(len(shown), len(colours)) > _MOST_COLOURS:
                raise _no_label_mask(path)
        if np.count_nonzero(values) > _MOST_CLASSES and soft_edges(values) is None:
            raise _no_label_mask(path)
        if progress:
            progress(number, len(chosen))
    if colours:
        if len(colours) > _MOST_CLASSES or _blended(colours):
            raise _no_label_mask(chosen[-1])
        found = colours + Counter({(v, v, v): int(values[v]) for v in np.flatnonzero(values).tolist()})
        table = _from_colours(found, name)
    else:
        ends = soft_edges(values)
        soft = ends is not None and flat <= values.sum() // 1000
        if not soft and np.count_nonzero(values) > _MOST_CLASSES:
            raise _no_label_mask(chosen[-1])
        table = (
            _smoothed(*ends, name) if soft and ends else _from_values(np.flatnonzero(values).tolist(), name)
        )
    if len(chosen) < len(masks):
        told = (
            f"It rests on {len(chosen)} of {len(masks)} masks; a class that the others alone show is missing."
        )
        table["note"] = f"{table.get('note', '')} {told}".strip()
    return table


def _no_label_mask(path: Path) -> DataError:
    remedy = "Export the masks without smoothing or lossy compression: one value or colour a class."
    what = f"has more than {_MOST_CLASSES} different values, or colours that blend, so it is no label mask"
    return DataError(what, remedy, path)


def _flat(values: np.ndarray) -> int:
    """Return how many pixels lie between black and white and have eight neighbours of their own value."""
    centre = values[1:-1, 1:-1]
    if not centre.size:
        return 0
    alike = (centre > centre.min()) & (centre < centre.max())
    for y in range(3):
        for x in range(3):
            alike &= values[y : y + centre.shape[0], x : x + centre.shape[1]] == centre
    return int(alike.sum())


def _blended(colours: Counter[Colour]) -> bool:
    """Say whether most colours are mixtures of the two most frequent ones: a mask that was smoothed."""
    (first, most), (second, more), *rest = [*colours.most_common(), ((0, 0, 0), 0), ((0, 0, 0), 0)]
    others = np.array([colour for colour, count in rest if count], float)
    if len(others) < 5 or most + more < 0.8 * colours.total():
        return False
    ends = np.array([first, second], float)
    along = ends[1] - ends[0]
    share = (others - ends[0]) @ along / max(along @ along, 1.0)
    off = np.abs(others - ends[0] - share[:, None] * along).max(axis=1)
    return bool(((off < 4) & (share > 0) & (share < 1)).mean() > 0.8)


def _smoothed(low: int, high: int, name: str) -> dict[str, Any]:
    cut = (low + high + 1) // 2
    spans = {low: f"0-{cut - 1}", high: f"{cut}-255"}
    classes = [
        {"id": class_id, "name": f"class {value}", "colour": list(_distinct(class_id)), "values": [span]}
        for class_id, (value, span) in enumerate(spans.items())
    ]
    note = f"The masks have soft edges; they were taken for two classes, cut at {cut}."
    return {"name": name, "ignore_index": 255, "note": note, "classes": classes}


def _from_values(values: list[int], name: str) -> dict[str, Any]:
    others = [value for value in values if value != 255]
    codes = set(others) & set(WATERSHED_CODES)
    if set(others) <= {0, *WATERSHED_CODES} and len(codes) >= _ENOUGH and 50 in others:
        return _cholecseg8k(name)
    # Beside ids, 255 is what is not labelled; beside black alone, or beside grays, it is a class like them.
    unlabelled = 255 in values and len(others) > 1 and max(others) < _MOST_ID
    chosen = others if unlabelled else values
    classes: list[dict[str, Any]] = []
    for class_id, value in enumerate(chosen):
        entry = {"id": class_id, "name": f"class {value}", "colour": list(_distinct(class_id))}
        classes.append(entry if chosen[-1] < len(chosen) else entry | {"values": [value]})
    table = {"name": name, "ignore_index": 255, "classes": classes}
    return table | ({"ignore_values": [255]} if unlabelled else {})


def _from_colours(colours: Counter[Colour], name: str) -> dict[str, Any]:
    known = {entry.colour: entry.name for entry in CHOLECSEG8K.classes}
    if sum(not _anybodys(colour) for colour in colours.keys() & known.keys()) < _ENOUGH:
        known = {}
    chosen = [colour for colour, _ in colours.most_common()]
    if known and set(chosen) <= {_WHITE, *known}:  # CholecSeg8k, whose white is a border
        chosen = [colour for colour in chosen if colour != _WHITE]
    classes = [
        {"id": class_id, "name": known.get(colour, f"class {class_id}"), "colour": list(colour)}
        for class_id, colour in enumerate(chosen)
    ]
    return {"name": name, "ignore_index": 255, "classes": classes}


def _anybodys(colour: Colour) -> bool:
    """Say whether a colour may be anybody's: a gray, or one of full and empty channels, such as red."""
    return len(set(colour)) == 1 or set(colour) <= {0, 255}


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
