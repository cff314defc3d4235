"""COCO: images by part, annotations/ with instances_PART.json, panoptic_PART.json and panoptic_PART/*.png.

A class is a *thing* if its pieces are counted as objects of their own (instruments), and else *stuff*
(tissue). Panoptic annotations have one segment for each piece of a thing and one for each stuff class, and 0,
COCO's void, where a mask is not labelled. Instances hold the pieces of things or, where no thing is named, of
every class; what is not labelled belongs to none of them, and its share is told with the image.

Pieces are connected over edges and corners, as `Request` counts them. Category ids are class ids + 1, since 0
is taken for background by many loaders.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import write_text
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.export.cases import Case, Export
from rarescene.scenes.export.writing import Progress, each_case, whole_folder, write_card, write_told
from rarescene.scenes.rasters import write_image
from rarescene.scenes.request import TOUCHING
from rarescene.scenes.scene import Scene

FOLDERS = {"train": "train", "validation": "val", "test": "test"}


class Segment(NamedTuple):
    """A region of one class: bool `(h, w)` within its box, which begins at row `top` and column `left`."""

    class_id: int
    region: np.ndarray
    top: int
    left: int

    @property
    def area(self) -> int:
        """Its pixels."""
        return int(np.count_nonzero(self.region))

    @property
    def box(self) -> list[int]:
        """COCO's box: x, y, width, height."""
        return [self.left, self.top, self.region.shape[1], self.region.shape[0]]


def write_coco(
    export: Export, folder: Path, things: Collection[int] = (), progress: Progress | None = None
) -> Path:
    """Write an export in the format of COCO; the folder appears whole or not at all.

    Args:
        export: the scenes.
        folder: to write; missing or empty.
        things: ids of the classes whose pieces are objects of their own.
        progress: called with the number of scenes written and the number of all.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder is not empty, or a thing is no class.
        DataError: a scene is unusable, or the disk is full.
    """
    classes = export.classes
    if not set(things) <= set(range(len(classes))):
        raise ConfigError(f"{sorted(things)} are no class ids", f"Ids run from 0 to {len(classes) - 1}.")
    counted = frozenset(things) or frozenset(range(len(classes)))
    with whole_folder(folder) as out:
        marks = out / "annotations"

        def work(
            case: Case, scene: Scene
        ) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
            file, part = f"{case.name}.png", FOLDERS[case.part]
            write_image(out / part / file, scene.image)
            segments = list(panoptic_segments(scene.mask, classes, frozenset(things)))
            write_image(marks / f"panoptic_{part}" / file, _painted(segments, scene.mask.shape))
            pieces = [_instance(piece, scene.mask.shape) for piece in class_pieces(scene.mask, counted)]
            listed = [{"id": number, **_described(one)} for number, one in enumerate(segments, start=1)]
            return _image(case, scene, file, classes.ignore_index), pieces, listed

        told: dict[str, list[Any]] = {part: [] for part in FOLDERS}
        for case, result in each_case(export, work, progress):
            told[case.part].append(result)
        for part, results in told.items():
            if results:
                for kind, content in _annotations(export, results, frozenset(things), counted):
                    write_text(marks / f"{kind}_{FOLDERS[part]}.json", _json(content))
        write_told(out, export, "COCO", {"things": [classes.names[index] for index in sorted(things)]})
        write_card(out, export, "COCO instances and COCO panoptic", _opened(export, things))
    return Path(folder)


def class_pieces(mask: np.ndarray, class_ids: Collection[int]) -> Iterator[Segment]:
    """Yield the connected pieces of these classes in a mask uint8 `(H, W)`, by class, then from the top."""
    for class_id in sorted(set(np.unique(mask).tolist()) & set(class_ids)):
        labels, _ = ndimage.label(mask == class_id, TOUCHING)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            yield Segment(class_id, labels[box] == label, box[0].start, box[1].start)


def panoptic_segments(mask: np.ndarray, classes: ClassTable, things: Collection[int]) -> Iterator[Segment]:
    """Yield the segments of a mask uint8 `(H, W)`: each stuff class whole, then each piece of a thing."""
    for class_id in sorted(set(np.unique(mask).tolist()) - set(things) - {classes.ignore_index}):
        region = mask == class_id
        (box,) = ndimage.find_objects(region.astype(np.int8))
        yield Segment(class_id, region[box], box[0].start, box[1].start)
    yield from class_pieces(mask, things)


def run_lengths(segment: Segment, height: int, width: int) -> dict[str, Any]:
    """Return COCO's compressed run lengths of a segment: `size` and the text `counts`.

    Runs of 0 and 1 alternate, column by column, beginning with 0; each is written as its difference to the
    run before the last (from the fourth on), five bits a letter, the lowest first.
    """
    columns, rows = np.nonzero(segment.region.T)
    places = (columns + segment.left) * height + rows + segment.top
    breaks = np.flatnonzero(np.diff(places) > 1)
    starts = places[np.concatenate(([0], breaks + 1))]
    ends = places[np.concatenate((breaks, [len(places) - 1]))] + 1
    edges = np.stack([starts, ends], axis=1).ravel()
    runs = np.diff(np.concatenate(([0], edges, [height * width]))).tolist()
    if runs[-1] == 0:
        runs.pop()
    letters = []
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if bits & 0x10 else 0)
            letters.append(chr(48 + (bits | (0x20 if more else 0))))
    return {"size": [height, width], "counts": "".join(letters)}


def _painted(segments: list[Segment], shape: tuple[int, ...]) -> np.ndarray:
    """Return the panoptic picture, uint8 `(H, W, 3)`: segment id = R + 256 G + 256² B, and 0 for void."""
    ids = np.zeros(shape, np.uint32)
    for number, segment in enumerate(segments, start=1):
        height, width = segment.region.shape
        within = ids[segment.top : segment.top + height, segment.left : segment.left + width]
        within[segment.region] = number
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)


def _described(segment: Segment) -> dict[str, Any]:
    return {"category_id": segment.class_id + 1, "area": segment.area, "bbox": segment.box, "iscrowd": 0}


def _instance(segment: Segment, shape: tuple[int, ...]) -> dict[str, Any]:
    return _described(segment) | {"segmentation": run_lengths(segment, shape[0], shape[1])}


def _image(case: Case, scene: Scene, file: str, ignore_index: int) -> dict[str, Any]:
    height, width = scene.mask.shape
    return {
        "file_name": file, "height": height, "width": width, "license": 1,
        "synthetic": case.source.synthetic, "phantom": case.source.phantom, "recording": case.record.group,
        "unlabelled": round(float((scene.mask == ignore_index).mean()), 6),
    }  # fmt: skip


def _annotations(
    export: Export, results: list[Any], things: frozenset[int], counted: frozenset[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the content of a part's two files, by kind."""
    images = [{"id": number, **image} for number, (image, _, _) in enumerate(results, start=1)]
    shared = {
        "info": {
            "description": export.title, "version": "1.0", "contributor": "exported by rarescene",
            "synthetic": sum(image["synthetic"] for image in images),
        },
        "licenses": [{"id": 1, "name": export.licence, "url": ""}],
        "images": images,
    }  # fmt: skip
    categories: list[dict[str, Any]] = [
        {
            "id": entry.id + 1,
            "name": entry.name,
            "supercategory": export.classes.name,
            "color": list(entry.colour),
        }
        for entry in export.classes.classes
    ]
    pieces = [
        {"image_id": number, **piece}
        for number, (_, pieces, _) in enumerate(results, start=1)
        for piece in pieces
    ]
    yield (
        "instances",
        shared
        | {
            "annotations": [{"id": number, **piece} for number, piece in enumerate(pieces, start=1)],
            "categories": [category for category in categories if category["id"] - 1 in counted],
        },
    )
    yield (
        "panoptic",
        shared
        | {
            "annotations": [
                {"image_id": number, "file_name": image["file_name"], "segments_info": segments}
                for number, (image, _, segments) in enumerate(results, start=1)
            ],
            "categories": [
                category | {"isthing": int(category["id"] - 1 in things)} for category in categories
            ],
        },
    )


def _json(content: dict[str, Any]) -> str:
    # In ASCII and on one line: pycocotools opens it in the encoding of the machine, and it may be long.
    return json.dumps(content, allow_nan=False) + "\n"


def _opened(export: Export, things: Collection[int]) -> str:
    named = ", ".join(export.classes.names[index] for index in sorted(things))
    what = (
        f"Things, whose pieces are objects: {named}."
        if named
        else "No class is a thing: panoptic is all stuff."
    )
    return (
        "```python\nfrom pycocotools.coco import COCO\n\n"
        'coco = COCO("annotations/instances_train.json")\n```\n\n'
        f"{what} Instances hold the connected pieces of {'these' if named else 'every class'}. Where a mask "
        "is not labelled, panoptic is void (0) and instances have nothing; `unlabelled` of an image tells "
        "its share. `synthetic` of an image marks the synthetic ones. A part without scenes has no files."
    )
