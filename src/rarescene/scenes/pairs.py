"""From an image file and a mask file to a scene, and from pairs of files to a data set."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import Colour
from rarescene.scenes.faults import Fault, Listing, attempt
from rarescene.scenes.mask_code import MaskCode, plain_colour
from rarescene.scenes.rasters import Raster, read_image, read_raster, stored_turned
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet, in_order


@dataclass(frozen=True)
class PairReader:
    """Reads a scene from its two files.

    Attributes:
        code: what the values of its mask mean.
        palettes: what `one_palette` has seen.
    """

    code: MaskCode
    palettes: dict[Colour, tuple[int, Path]] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, record: SceneRecord) -> Scene:
        """Return the scene, without an image where the record names none.

        Raises:
            DataError: a file is unusable, or the two do not fit.
        """
        mask_path = _mask_file(record)
        image = None if record.image is None else read_image(record.image)
        mask = self._decode(read_raster(mask_path), mask_path)
        if image is not None:
            _same_size(image, mask, mask_path, record.image)
        return Scene(image, mask, record)

    def faults(self, record: SceneRecord) -> tuple[Scene | None, list[Fault]]:
        """Return the scene and all that is wrong with it, rather than stopping at the first fault."""
        found: list[Fault] = []
        image_path, mask_path = record.image, _mask_file(record)
        image = None if image_path is None else attempt(lambda: read_image(image_path), found)
        raster = attempt(lambda: read_raster(mask_path), found)
        mask = None if raster is None else attempt(lambda: self._decode(raster, mask_path), found)
        if image is not None and raster is not None:
            attempt(lambda: _same_size(image, raster.values, mask_path, image_path), found)
        return (None if found or mask is None else Scene(image, mask, record)), found

    def _decode(self, raster: Raster, path: Path) -> np.ndarray:
        ids = self.code.decode(raster, path)
        one_palette(self.palettes, raster, path, self.code.colours)
        return ids


def one_palette(
    seen: dict[Colour, tuple[int, Path]], raster: Raster, path: Path, known: Collection[Colour] = ()
) -> None:
    """Refuse a palette file that shows a colour by another index than a file before it.

    So do those of programs that put a palette in the order in which a file needs it; the indices then mean
    nothing. Colours that a palette shows twice, or that are `known`, by which files are read, are left out.

    Args:
        seen: index and file of each colour, to which those of this file are added.
        raster: the file as it was read.
        path: of the file.
        known: the colours of the class table.
    """
    if raster.palette is None:
        return
    shown = [plain_colour(colour) for colour in raster.palette]
    for value in np.flatnonzero(np.bincount(raster.values.ravel())).tolist():
        if shown[value] in known or shown.count(shown[value]) > 1:
            continue
        index, file = seen.setdefault(shown[value], (value, path))
        if index != value:
            what = (
                f"its palette shows a colour by another index than one before it: {shown[value]} by {value}, "
                f"{file.name} by {index}; that is one class by the colour, two by the index"
            )
            raise DataError(what, "Save all masks as plain ids (mode L, 8 bits) or as RGB colours.", path)


def list_pairs(
    code: MaskCode,
    records: Iterable[SceneRecord],
    licence: str,
    faults: Iterable[Fault] = (),
    notes: Iterable[str] = (),
    name: str = "",
    doubt: str = "",
) -> Listing:
    """Return what a data set of pairs of files lists, sorted by recording and position.

    Args:
        code: what the values of the masks mean, with the classes.
        records: the pairs whose files are there.
        licence: of the data, which every run folder repeats.
        faults: what is missing or contradictory.
        notes: what is worth knowing and no fault.
        name: what the data set is called; by default as its class table.
        doubt: why the recordings may be wrong, where they were guessed from names.
    """
    ordered = tuple(sorted(records, key=in_order))
    scenes = SceneSet(name or code.classes.name, code.classes, ordered, PairReader(code), licence, doubt)
    return Listing(scenes if ordered else None, tuple(faults), tuple(notes), sorted=True)


def _mask_file(record: SceneRecord) -> Path:
    if record.mask is None:
        raise DataError(f"scene {record.name!r} has no files", "Open the data set with its own reader.")
    return record.mask


def _same_size(image: np.ndarray, mask: np.ndarray, path: Path, image_path: Path | None) -> None:
    if image.shape[:2] == mask.shape[:2]:
        return
    (h, w), (mh, mw) = image.shape[:2], mask.shape[:2]
    what = f"is of another size than its image: {mw}x{mh} pixels, the image {w}x{h}"
    remedy = "Export image and mask at the same size; masks may only be resized by nearest neighbour."
    if image_path is not None and stored_turned(image_path):
        what += ", turned upright as its EXIF orientation says"
        remedy = (
            "Save the image upright, without an EXIF orientation, and draw the mask on what is then seen."
        )
    raise DataError(what, remedy, path)
