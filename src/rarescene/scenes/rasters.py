"""Reading and writing image and mask files. Whatever goes wrong becomes a `DataError` that names the file."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rarescene.foundation.errors import DataError
from rarescene.foundation.files import atomic
from rarescene.scenes.class_table import ClassTable

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings of files that are looked at, compared without regard to case."""
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentations", "gt")
"""Names of folders that are taken for the one of the masks, likewise."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_AT = 24  # signature (8), length and type of IHDR (8), width and height (8), then the bit depth


@dataclass(frozen=True)
class Raster:
    """A mask file as it lies on disk, before its values are understood.

    Attributes:
        values: uint8 `(H, W)` of values or palette indices, or uint8 `(H, W, 3)` of colours.
        palette: uint8 `(256, 3)` of a palette file, otherwise None.
    """

    values: np.ndarray
    palette: np.ndarray | None = None


def read_image(path: Path) -> np.ndarray:
    """Return uint8 `(H, W, 3)` in RGB; transparency is dropped.

    Raises:
        DataError: the file is missing, truncated, no image, or not of 8 bits a channel (NaN is named).
    """
    with _opened(path) as image:
        if image.mode in ("F", "I"):
            values = np.asarray(image)
            what = (
                "holds NaN or infinite values" if not np.isfinite(values).all() else "is not an 8-bit image"
            )
            raise DataError(f"{what} (mode {image.mode})", "Save the frame as an 8-bit RGB file.", path)
        _refuse_16_bit(path, image, "Save the frame as an 8-bit RGB file.")
        return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))[..., :3]


def read_raster(path: Path) -> Raster:
    """Return the values of a mask file: ids, palette indices or colours; an alpha channel is dropped.

    Raises:
        DataError: the file is missing, truncated, no image, lossy, or not of 8 bits a channel.
    """
    with _opened(path) as image:
        if image.format in ("JPEG", "MPO"):
            remedy = "Export the masks again as PNG; a JPEG blurs the labels where two classes meet."
            raise DataError("is a JPEG, which cannot hold a label mask", remedy, path)
        remedy = "Save the mask with 8 bits a pixel: class ids, a palette, or the colours of classes.json."
        if image.mode in ("F", "I"):
            raise DataError(f"has 32-bit values (mode {image.mode})", remedy, path)
        _refuse_16_bit(path, image, remedy)
        if image.mode == "P":
            palette = np.zeros((256, 3), np.uint8)
            colours = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
            palette[: len(colours)] = colours
            return Raster(np.asarray(image), palette)
        if image.mode in ("1", "L"):
            return Raster(np.asarray(image, np.uint8))
        if image.mode in ("LA", "La"):
            return Raster(np.asarray(image)[..., 0])
        if image.mode in ("RGB", "RGBA"):
            return Raster(np.asarray(image)[..., :3])
        raise DataError(f"has the unusual colour mode {image.mode}", remedy, path)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image uint8 `(H, W, 3)`, or `(H, W)` in gray, as PNG, whole or not at all."""
    with atomic(path) as temporary:
        Image.fromarray(image).save(temporary, "PNG")


def write_mask(path: Path, mask: np.ndarray, classes: ClassTable) -> None:
    """Write a mask uint8 `(H, W)` as an 8-bit palette PNG: class ids that also look right in a viewer."""
    shown = Image.fromarray(mask)
    shown.putpalette(classes.palette().tobytes())
    with atomic(path) as temporary:
        shown.save(temporary, "PNG")


def write_confidence(path: Path, confidence: np.ndarray) -> None:
    """Write numbers `(H, W)` in [0, 1] as an 8-bit gray PNG, 1 as white."""
    write_image(path, np.rint(confidence * 255.0).astype(np.uint8))


def walk_files(root: Path) -> list[Path]:
    """Return all image files under `root`, sorted, without hidden ones; linked folders are followed once."""
    found: list[Path] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                found.append(Path(folder, name))
    return sorted(found)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yield the decoded image; every way in which Pillow fails becomes a `DataError`."""
    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except DataError:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        struct.error,
        zlib.error,
        MemoryError,
    ) as error:
        raise _explained(path, error) from error
    except Image.DecompressionBombError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("is missing", "Restore the file, or remove its counterpart as well.", path)
    if isinstance(error, PermissionError):
        return DataError("cannot be opened: no permission", "Change the file's permissions.", path)
    if isinstance(error, UnidentifiedImageError):
        kind = "is empty" if path.is_file() and path.stat().st_size == 0 else "is not an image file"
        return DataError(
            kind, "Copy the file again from its source, or remove it with its counterpart.", path
        )
    what = f"is truncated or damaged ({error})"
    return DataError(what, "Copy the file again from its source, or remove it with its counterpart.", path)


def _refuse_16_bit(path: Path, image: Image.Image, remedy: str) -> None:
    # Pillow shortens 16-bit RGB files to 8 bits without a word, so the header is asked.
    sixteen = image.mode.startswith("I;16")
    if image.format == "PNG" and not sixteen:
        with Path(path).open("rb") as file:
            header = file.read(_PNG_DEPTH_AT + 1)
        sixteen = header.startswith(_PNG_SIGNATURE) and header[_PNG_DEPTH_AT] == 16
    if sixteen:
        raise DataError("has 16 bits a channel, expected 8", remedy, path)
