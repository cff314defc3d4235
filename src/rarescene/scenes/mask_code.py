"""What the values and the colours of a data set's masks mean, and how a mask is read for certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.errors import DataError
from rarescene.scenes.class_table import ClassTable, Colour
from rarescene.scenes.datasets.class_tables import WATERSHED_CODES
from rarescene.scenes.rasters import Raster

_UNKNOWN = -1
_WHITE: Colour = (255, 255, 255)
_NAMED = 6  # unknown values that a message names before it stops


Reading = list[tuple[int, bool] | None]
"""What each value of a file means in one way of reading it: the class id, and whether that is said or only
taken for granted; None where the class table does not know it."""


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
        valued: the class table lists the numbers of its classes, which then say more than a gray that happens
            to be the colour of a class.
        granted: nobody said what the ignore index and white stand for; that they are unlabelled is taken for
            granted. A mask that is black and white alone is then refused.
    """

    classes: ClassTable
    values: Mapping[int, int]
    colours: Mapping[Colour, int]
    refuse_strokes: bool = False
    first_channel: bool = False
    valued: bool = False
    granted: bool = False

    @classmethod
    def plain(cls, classes: ClassTable) -> MaskCode:
        """Return the code of masks with the table's own ids or colours; white is a class or unlabelled."""
        ignore = {classes.ignore_index: classes.ignore_index}
        colours: dict[Colour, int] = {_WHITE: classes.ignore_index}
        colours |= {entry.colour: entry.id for entry in classes.classes}
        return cls(classes, {entry.id: entry.id for entry in classes.classes} | ignore, colours)

    def to_json(self) -> dict[str, Any]:
        """Return all that decides a decoded pixel, as JSON values."""
        told = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        pairs = {"values": sorted(self.values.items()), "colours": sorted(self.colours.items())}
        return told | pairs | {"classes": self.classes.to_dict()}

    @cached_property
    def lookup(self) -> np.ndarray:
        """int16 `(256,)`: the class id of each raw value, -1 where unknown."""
        table = np.full(256, _UNKNOWN, np.int16)
        table[list(self.values)] = list(self.values.values())
        return table

    def decode(self, raster: Raster, path: Path) -> np.ndarray:
        """Return uint8 `(H, W)` of class ids.

        The values of a file (its numbers, its palette indices) and what it shows (its colours, its grays) are
        both read, where the class table knows them. A file of three channels shows its colours, and its
        values are in the first one where the channels are equal.

        Raises:
            DataError: the table knows neither the values nor the colours, the ways of reading contradict each
                other, or the file is black and white and nobody said what white means.
        """
        values, gray = raster.values, raster.values.ndim == 2
        if gray or self.first_channel:
            ids = self._read(raster if gray else Raster(values[..., 0]), path)
        else:
            first, by_colour = values[..., 0], self._by_colour(values)
            if np.array_equal(first, values[..., 1]) and np.array_equal(first, values[..., 2]):
                ids = self._read(Raster(first), path, coloured=by_colour is not None)
            elif by_colour is None:
                raise self._unknown_colours(values, path)
            else:
                ids = by_colour
                present = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
                if len(present) <= 2 and self._of_colour(_WHITE) == (present[-1], False):
                    raise self._white_unsaid(path)
        if raster.alpha is not None and not self.first_channel:
            _refuse_transparency(raster, raster.alpha, path)
        return ids

    def _read(self, raster: Raster, path: Path, *, coloured: bool = False) -> np.ndarray:
        """Return the class ids of a file of one channel; `coloured` where it had three, all known colours."""
        values = raster.values
        if self.refuse_strokes and not coloured and np.count_nonzero(values == 0) > values.size // 2:
            raise stroke_error(path)
        counts = np.bincount(values.ravel(), minlength=256)
        used = np.flatnonzero(counts)
        grays = np.minimum(np.arange(256) * raster.step, 255).astype(np.uint8)
        palette = np.stack([grays] * 3, -1) if raster.palette is None else raster.palette
        shown = [plain_colour(palette[value]) for value in used]
        readings: dict[str, Reading] = {"value": [self._of_value(int(value)) for value in used]}
        # Our own sets show their ids in the colours of the table.
        own = raster.palette is not None and np.array_equal(palette[used], self.classes.palette()[used])
        if own:
            own = all(self.values.get(int(value)) == value for value in used)
        plain = raster.palette is None and raster.step == 1
        if not own and not (plain and self.valued and None not in readings["value"]):
            readings["colour"] = [self._of_colour(colour) for colour in shown]
            if not plain:
                readings["gray"] = [self._of_value(c[0]) if len(set(c)) == 1 else None for c in shown]
        full = {way: reading for way, reading in readings.items() if None not in reading}
        if not full:
            raise self._unknown_values(counts, path)
        if raster.palette is not None and "value" in full and "colour" in readings:
            full["colour"] = readings["colour"]  # some colours that name other classes are enough to doubt
        table = np.full(256, self.classes.ignore_index, np.uint8)
        for place, value in enumerate(used):
            known = {way: reading[place] for way, reading in full.items() if reading[place] is not None}
            firm = {way: entry[0] for way, entry in known.items() if entry and entry[1]}
            loose = {way: entry[0] for way, entry in known.items() if entry and not entry[1]}
            rivals = firm | loose if loose and not coloured and len(self.classes) > 2 else firm
            if len(set(rivals.values())) > 1:
                raise self._contradiction(int(value), shown[place], rivals, raster, path)
            ends = set(used.tolist()) == {0, 255} or set(shown) == {(0, 0, 0), _WHITE}
            if not firm and (len(used) == 1 or (len(used) == 2 and (ends or "value" not in full))):
                raise self._white_unsaid(path)
            table[value] = next(iter((firm or loose).values()))
        ids: np.ndarray = table[values]
        return ids

    def _of_value(self, value: int) -> tuple[int, bool] | None:
        found = self.values.get(value)
        return None if found is None else (found, not (self.granted and value == self.classes.ignore_index))

    def _of_colour(self, colour: Colour) -> tuple[int, bool] | None:
        found = self.colours.get(colour)
        granted = self.granted and colour == _WHITE and found == self.classes.ignore_index
        return None if found is None else (found, not granted)

    def _called(self, class_id: int) -> str:
        return repr(self.classes.names[class_id]) if class_id < len(self.classes) else "unlabelled"

    def _contradiction(
        self, value: int, shown: Colour, ways: Mapping[str, int], raster: Raster, path: Path
    ) -> DataError:
        words = {
            "value": f"by its value {value}",
            "colour": f"by its colour {shown}",
            "gray": f"by its gray {shown[0]}",
        }
        if raster.palette is not None:
            words["value"] = f"by its palette index {value}"
        told = " and ".join(f"{self._called(found)} {words[way]}" for way, found in ways.items())
        what = f"can be read in several ways: a pixel is {told}"
        if raster.palette is not None:
            what = f"its palette colours name other classes than its palette indices: a pixel is {told}"
        remedy = "Save the mask as plain ids (mode L, 8 bits) or as RGB colours, so that one reading is left."
        return DataError(what, remedy, path)

    def _white_unsaid(self, path: Path) -> DataError:
        what = (
            "is of white and one other colour, which can be read in two ways: white (255) is a class, or it "
            "is unlabelled"
        )
        remedy = (
            'Say in the class table what it is: `"values": [255]` in its class and `"values": [0]` in that '
            'of black (in coloured masks `"colour": [255, 255, 255]`), or `"ignore_values": [255]` beside '
            '`"classes"` if it is unlabelled.'
        )
        return DataError(what, remedy, path)

    def _unknown_values(self, counts: np.ndarray, path: Path) -> DataError:
        if looks_like_strokes(counts):
            return stroke_error(path)
        ends = soft_edges(counts)
        if ends is not None and np.count_nonzero(counts) > 8:
            low, high = ends
            what = f"has soft edges: {low}, {high}, and {np.count_nonzero(counts) - 2} values between them"
            remedy = (
                "Export the mask without smoothing, or tell in the class table where to cut: "
                f'`"values": ["0-{(low + high) // 2}"]` in the one class and '
                f'`"values": ["{(low + high) // 2 + 1}-255"]` in the other.'
            )
            return DataError(what, remedy, path)
        unknown = [value for value in np.flatnonzero(counts) if self.lookup[value] < 0]
        named = ", ".join(f"{value} ({counts[value]} pixels)" for value in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        known = ", ".join(map(str, sorted(self.values)))
        remedy = f"Add the id to the class table, which knows {known}, or correct the mask."
        return DataError(f"holds ids that the class table does not know: {named}{more}", remedy, path)

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
        shown, counts = count_colours(pixels)
        colours = [plain_colour(pixel) for pixel in shown]
        order = [i for i in np.argsort(-counts, kind="stable") if colours[i] not in self.colours]
        ids = [i for i in order if len(set(colours[i])) == 1 and colours[i][0] in self.values]
        gray = counts[ids].sum() > pixels.shape[0] * pixels.shape[1] // 2
        if gray:  # a mask of ids but for a few pixels, and these are what is wrong
            order = [i for i in order if i not in ids]
        named = ", ".join(f"{colours[i]} ({counts[i]} pixels)" for i in order[:_NAMED])
        more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
        if gray:
            remedy = "Correct these pixels, or save the mask with a single channel."
            return DataError(
                f"holds ids in gray, but for pixels of other colours: {named}{more}", remedy, path
            )
        remedy = (
            "Add the colour to the class table, or export the mask without smoothing or lossy compression."
        )
        if not self.colours:
            remedy = "Give each class of the table a colour of its own: some share one, so none is looked up."
        return DataError(f"holds colours that the class table does not know: {named}{more}", remedy, path)


def count_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of an image uint8 `(H, W, 3)`, sorted, and how many pixels have each.

    The rows of a mask are runs of one colour; each is looked at once, which is far faster than each pixel.

    Returns:
        colours uint8 `(N, 3)` and counts int64 `(N,)`.
    """
    codes = _packed(pixels).ravel()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    lengths = np.diff(starts, append=codes.size)
    found, of_run = np.unique(codes[starts], return_inverse=True)
    counts = np.zeros(len(found), np.int64)
    np.add.at(counts, of_run, lengths)
    return np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.uint8), counts


def soft_edges(counts: np.ndarray) -> tuple[int, int] | None:
    """Return the two values of a binary mask that was smoothed, from a histogram `(256,)`, or None.

    Of such a mask the two ends hold almost all pixels, and several values lie between them.
    """
    used = np.flatnonzero(counts)
    if len(used) < 5 or used[-1] - used[0] < 128:
        return None
    low, high = int(used[0]), int(used[-1])
    between = counts.sum() - counts[low] - counts[high]
    # The ends of a mask that was compressed or smoothed strongly are spread over a few values themselves.
    near = counts[: low + 16].sum() + counts[max(high - 15, low + 16) :].sum()
    return (low, high) if between < counts.sum() // 5 or near > counts.sum() * 9 // 10 else None


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


def _refuse_transparency(raster: Raster, alpha: np.ndarray, path: Path) -> None:
    """Refuse a mask in which what lies beneath transparent pixels is not what they show, which is nothing."""
    levels = np.unique(alpha)
    beneath = raster.values[alpha == 0]
    if raster.palette is not None:
        plain = (beneath == 0) | np.isin(raster.palette[beneath], (0, 255)).all(axis=-1)
    else:
        plain = np.isin(beneath.reshape(len(beneath), -1), (0, 255)).all(axis=-1)
        plain &= np.ptp(beneath.reshape(len(beneath), -1), axis=-1) == 0
    remedy = "Save the mask without an alpha channel, each pixel as what it is."
    if len(levels) > 2:
        what = f"is transparent by degrees, so where a class ends is not known: {len(levels)} of them"
        raise DataError(what, remedy, path)
    if np.ptp(raster.values.reshape(-1, *raster.values.shape[2:]), axis=0).max() == 0:
        raise DataError("tells its classes by transparency alone, which is not read", remedy, path)
    if not plain.all():
        what = (
            f"is transparent in parts, which can be read in two ways: {len(beneath)} pixels as nothing, "
            f"which they show, or as what lies beneath, {beneath[~plain][0].tolist()} for instance"
        )
        raise DataError(what, remedy, path)


def _packed(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    packed: np.ndarray = red << 16 | green << 8 | blue
    return packed


def plain_colour(pixel: np.ndarray) -> Colour:
    """Return a pixel of three channels as a colour of Python's own numbers."""
    red, green, blue = (int(channel) for channel in pixel)
    return red, green, blue
