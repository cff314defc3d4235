"""From an image file and a mask file to a scene: what the values of a mask mean, and how a pair is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import ClassTable, Colour
from rarescene.scenes.datasets.class_tables import WATERSHED_CODES
from rarescene.scenes.faults import Fault, Listing, attempt
from rarescene.scenes.rasters import Raster, read_image, read_raster
from rarescene.scenes.scene import Scene, SceneRecord, SceneSet, in_order

_UNKNOWN = -1
_NAMED = 6  # unknown values that a message names before it stops


@dataclass(frozen=True)
class MaskCode:
    """What the values and the colours of a data set's masks mean.

    Attributes:
        classes: the class table; decoded masks hold its ids and its ignore index.
        values: class id (or ignore index) of each raw value.
        colours: class id (or ignore index) of each colour.
        refuse_strokes: a mask whose value 0 fills most of the frame is taken for annotation strokes
            (CholecSeg8k).
        first_channel: a file with three channels holds values in the first one, and no colours (CaDIS).
    """

    classes: ClassTable
    values: Mapping[int, int]
    colours: Mapping[Colour, int]
    refuse_strokes: bool = False
    first_channel: bool = False

    @classmethod
    def plain(cls, classes: ClassTable) -> MaskCode:
        """Return the code of masks with the table's own ids or colours; white is a class or unlabelled."""
        ignore = {classes.ignore_index: classes.ignore_index}
        colours: dict[Colour, int] = {(255, 255, 255): classes.ignore_index}
        colours |= {entry.colour: entry.id for entry in classes.classes}
        return cls(classes, {entry.id: entry.id for entry in classes.classes} | ignore, colours)

    @cached_property
    def lookup(self) -> np.ndarray:
        """int16 `(256,)`: the class id of each raw value, -1 where unknown."""
        table = np.full(256, _UNKNOWN, np.int16)
        table[list(self.values)] = list(self.values.values())
        return table

    def decode(self, raster: Raster, path: Path) -> np.ndarray:
        """Return uint8 `(H, W)` of class ids.

        A file with three channels is read by its colours, and by its values where the channels are equal and
        the colours are not the table's. Raises `DataError` for values or colours that the table does not
        know.
        """
        if raster.values.ndim == 2:
            self._compare_palette(raster, path)
            return self._by_value(raster.values, path)
        if self.first_channel:
            return self._by_value(raster.values[..., 0], path)
        ids = self._by_colour(raster.values)
        if ids is not None:
            return ids
        first = raster.values[..., 0]
        if np.array_equal(first, raster.values[..., 1]) and np.array_equal(first, raster.values[..., 2]):
            return self._by_value(first, path)
        raise self._unknown_colours(raster.values, path)

    def _by_value(self, values: np.ndarray, path: Path) -> np.ndarray:
        if self.refuse_strokes and np.count_nonzero(values == 0) > values.size // 2:
            raise stroke_error(path)
        ids = self.lookup[values]
        if ids.min(initial=0) < 0:
            counts = np.bincount(values.ravel(), minlength=256)
            unknown = [value for value in np.flatnonzero(counts) if self.lookup[value] < 0]
            if looks_like_strokes(counts):
                raise stroke_error(path)
            named = ", ".join(f"{value} ({counts[value]} pixels)" for value in unknown[:_NAMED])
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            known = ", ".join(map(str, sorted(self.values)))
            remedy = f"Add the id to the class table, which knows {known}, or correct the mask."
            raise DataError(f"holds ids that the class table does not know: {named}{more}", remedy, path)
        return ids.astype(np.uint8)

    @cached_property
    def _packed_colours(self) -> dict[int, int]:
        return {int(_packed(np.array(colour, np.uint8))): found for colour, found in self.colours.items()}

    def _by_colour(self, pixels: np.ndarray) -> np.ndarray | None:
        known = self._packed_colours
        # A sparse look first: gray codes stored in three channels are told from colours at no cost.
        if not np.isin(_packed(pixels[::16, ::16]), list(known)).all():
            return None
        codes = _packed(pixels)
        ids = np.full(codes.shape, _UNKNOWN, np.int16)
        for code, class_id in known.items():
            ids[codes == code] = class_id
        return None if ids.min(initial=0) < 0 else ids.astype(np.uint8)

    def _unknown_colours(self, pixels: np.ndarray, path: Path) -> DataError:
        codes, counts = np.unique(_packed(pixels), return_counts=True)
        order = [i for i in np.argsort(-counts, kind="stable") if int(codes[i]) not in self._packed_colours]
        named = ", ".join(f"{_unpacked(int(codes[i]))} ({counts[i]} pixels)" for i in order[:_NAMED])
        more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
        remedy = (
            "Add the colour to the class table, or export the mask without smoothing or lossy compression."
        )
        return DataError(f"holds colours that the class table does not know: {named}{more}", remedy, path)

    def _compare_palette(self, raster: Raster, path: Path) -> None:
        """Refuse a palette file whose indices say one thing and its colours another: one of them is wrong."""
        if raster.palette is None:
            return
        used = np.flatnonzero(np.bincount(raster.values.ravel(), minlength=256))
        shown = [self.colours.get(_colour(raster.palette[value])) for value in used]
        if None not in shown and any(self.values.get(int(v)) != c for v, c in zip(used, shown, strict=True)):
            remedy = (
                "Save the mask as plain ids (mode L) or as RGB colours, so that only one reading is possible."
            )
            raise DataError("its palette colours name other classes than its palette indices", remedy, path)


@dataclass(frozen=True)
class PairReader:
    """Reads a scene from its two files."""

    code: MaskCode

    def __call__(self, record: SceneRecord) -> Scene:
        """Return the scene, without an image where the record names none.

        Raises:
            DataError: a file is unusable, or the two do not fit.
        """
        mask_path = _mask_file(record)
        image = None if record.image is None else read_image(record.image)
        mask = self.code.decode(read_raster(mask_path), mask_path)
        if image is not None:
            _same_size(image, mask, mask_path)
        return Scene(image, mask, record)

    def faults(self, record: SceneRecord) -> tuple[Scene | None, list[Fault]]:
        """Return the scene and all that is wrong with it, rather than stopping at the first fault."""
        found: list[Fault] = []
        image_path, mask_path = record.image, _mask_file(record)
        image = None if image_path is None else attempt(lambda: read_image(image_path), found)
        raster = attempt(lambda: read_raster(mask_path), found)
        mask = None if raster is None else attempt(lambda: self.code.decode(raster, mask_path), found)
        if image is not None and raster is not None:
            attempt(lambda: _same_size(image, raster.values, mask_path), found)
        return (None if found or mask is None else Scene(image, mask, record)), found


def list_pairs(
    code: MaskCode,
    records: Iterable[SceneRecord],
    licence: str,
    faults: Iterable[Fault] = (),
    notes: Iterable[str] = (),
    name: str = "",
) -> Listing:
    """Return what a data set of pairs of files lists, sorted by recording and position.

    Args:
        code: what the values of the masks mean, with the classes.
        records: the pairs whose files are there.
        licence: of the data, which every run folder repeats.
        faults: what is missing or contradictory.
        notes: what is worth knowing and no fault.
        name: what the data set is called; by default as its class table.
    """
    ordered = tuple(sorted(records, key=in_order))
    scenes = SceneSet(name or code.classes.name, code.classes, ordered, PairReader(code), licence)
    return Listing(scenes if ordered else None, tuple(faults), tuple(notes), sorted=True)


def looks_like_strokes(counts: np.ndarray) -> bool:
    """Say whether a histogram `(256,)` is that of a CholecSeg8k stroke mask: codes of classes, mostly 0."""
    present = {int(value) for value in np.flatnonzero(counts)}
    return bool(counts[0] > counts.sum() / 2) and len(present) > 1 and present <= {0, 255, *WATERSHED_CODES}


def stroke_error(path: Path) -> DataError:
    """Return the error for annotation strokes taken for a label mask."""
    remedy = "Use the filled masks instead (CholecSeg8k: `*_watershed_mask.png`, never `*_endo_mask.png`)."
    return DataError(
        "holds annotation strokes, not a label mask: most of the frame is unlabelled", remedy, path
    )


def _mask_file(record: SceneRecord) -> Path:
    if record.mask is None:
        raise DataError(f"scene {record.name!r} has no files", "Open the data set with its own reader.")
    return record.mask


def _same_size(image: np.ndarray, mask: np.ndarray, path: Path) -> None:
    if image.shape[:2] != mask.shape[:2]:
        (h, w), (mh, mw) = image.shape[:2], mask.shape[:2]
        remedy = "Export image and mask at the same size; masks may only be resized by nearest neighbour."
        raise DataError(f"is {mw}x{mh} pixels, its image {w}x{h}", remedy, path)


def _packed(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    packed: np.ndarray = red << 16 | green << 8 | blue
    return packed


def _unpacked(code: int) -> Colour:
    return code >> 16, code >> 8 & 255, code & 255


def _colour(pixel: np.ndarray) -> Colour:
    red, green, blue = (int(channel) for channel in pixel)
    return red, green, blue
