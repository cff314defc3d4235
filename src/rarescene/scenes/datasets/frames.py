"""Frames without masks: a folder of images, as scenes of which every pixel is unlabelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.groups import places_in_recordings, why_unclear
from rarescene.scenes.faults import Listing
from rarescene.scenes.rasters import (
    IMAGE_SUFFIXES,
    MASK_FOLDERS,
    plain_folder,
    plain_name,
    read_image,
    walk_files,
    what_is_not_read,
)
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet, in_order


def list_frames(root: Path, table: ClassTable) -> Listing:
    """List the images of a folder and of those in it; recordings are told apart as those of `folder:`.

    Args:
        root: the folder.
        table: the class table of the masks that they may have one day.

    Raises:
        DataError: it holds no image, a folder of masks too, or two images of one name.
    """
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and plain_folder(folder.name) in MASK_FOLDERS:
            remedy = "Give the folder of the images alone; or, of a data set, folder:PATH."
            raise DataError("is a folder of masks, which would be taken for frames", remedy, folder)
    files: dict[str, Path] = {}
    for file in walk_files(root):
        if (other := files.setdefault(plain_name(file, root), file)) != file:
            what = f"has the same name as {other.name}"
            raise DataError(what, "Rename one of them: scenes are named like images.", file)
    if not files:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError("holds no image", f"Give a folder of {endings} files.", root)
    name = root.resolve().name
    places = places_in_recordings(list(files), name)
    records = [
        SceneRecord(scene, group, order, image)
        for (scene, image), (group, order) in zip(files.items(), places, strict=True)
    ]
    doubt = why_unclear((record.name, record.group) for record in records)
    ordered = tuple(sorted(records, key=in_order))
    scenes = SceneSet(name, table, ordered, _reader(table.ignore_index), doubt=doubt)
    note = what_is_not_read(root)
    return Listing(scenes, notes=(note,) if note else (), sorted=True)


def _reader(ignore_index: int) -> Callable[[SceneRecord], Scene]:
    """Return what reads an image, and gives it a mask without a label."""

    def read(record: SceneRecord) -> Scene:
        assert record.image is not None
        image = read_image(record.image)
        return Scene(image, np.full(image.shape[:2], ignore_index, np.uint8), record)

    return read
