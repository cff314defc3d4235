"""Resizing of images and masks in numpy. A mask is only ever resized by nearest neighbour on its ids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image uint8 `(H, W, 3)` at another size, without aliasing (bilinear over its footprint)."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(
    mask: np.ndarray,
    height: int,
    width: int,
    *,
    keep_rare: bool | Iterable[int] = True,
    ignore_index: int = 255,
) -> np.ndarray:
    """Return a mask uint8 `(H, W)` at another size, by nearest neighbour on ids.

    Nearest neighbour loses what falls between its samples: a vein of a few pixels may vanish. With
    `keep_rare` (all classes, or some ids) a class that would vanish takes as many target pixels as its area
    asks for, at least one, where it is densest in the source. It never takes the last pixel of another class,
    so two classes that share a single target pixel cannot both stay.

    Args:
        mask: uint8 `(H, W)`.
        height: target height.
        width: target width.
        keep_rare: whether, or which, classes are kept.
        ignore_index: the id that is not a class and is never kept.
    """
    rows, columns = _nearest(mask.shape[0], height), _nearest(mask.shape[1], width)
    small = np.ascontiguousarray(mask[rows[:, None], columns])
    if keep_rare is False:
        return small
    before = np.bincount(mask.ravel(), minlength=256)
    after = np.bincount(small.ravel(), minlength=256)
    before[ignore_index] = 0
    lost = np.flatnonzero((before > 0) & (after == 0))
    if keep_rare is not True:
        lost = np.intersect1d(lost, np.fromiter(keep_rare, np.int64))
    for class_id in sorted(lost, key=lambda c: before[c]):
        _restore(small, after, mask, int(class_id), ignore_index)
    return small


def padded_size(height: int, width: int, aspect: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest height and width of an aspect (width, height) into which a frame fits."""
    across, down = aspect
    return max(height, round(width * down / across)), max(width, round(height * across / down))


def pad_to_aspect(pixels: np.ndarray, aspect: tuple[int, int], value: int = 0) -> np.ndarray:
    """Return an image `(H, W, 3)` or a mask `(H, W)` with a border at the right or below, of this value.

    Args:
        pixels: of the frame, which stays as it is at the upper left.
        aspect: width and height of what is returned, in any unit; what has it already is returned itself.
        value: of each pixel of the border.
    """
    height, width = pixels.shape[:2]
    below, right = np.subtract(padded_size(height, width, aspect), (height, width)).tolist()
    if not (below or right):
        return pixels
    border = ((0, below), (0, right), (0, 0))[: pixels.ndim]
    return np.pad(pixels, border, constant_values=value)


def _nearest(source: int, target: int) -> np.ndarray:
    """Return the source index at the centre of each target pixel."""
    return (2 * np.arange(target) + 1) * source // (2 * target)


def _restore(
    small: np.ndarray, counts: np.ndarray, mask: np.ndarray, class_id: int, ignore_index: int
) -> None:
    """Give a lost class the target pixels where it is densest; `counts`, those of `small`, are kept up."""
    (height, width), (source_height, source_width) = small.shape, mask.shape
    y, x = np.nonzero(mask == class_id)
    cells = np.bincount(
        (y * height // source_height) * width + x * width // source_width, minlength=small.size
    )
    wanted = max(1, round(len(y) * small.size / mask.size))
    flat = small.reshape(-1)
    for cell in np.argsort(-cells, kind="stable")[: np.count_nonzero(cells)]:
        present = int(flat[cell])
        if counts[present] == 1 and present != ignore_index:
            continue
        counts[present] -= 1
        counts[class_id] += 1
        flat[cell] = class_id
        if counts[class_id] == wanted:
            return
