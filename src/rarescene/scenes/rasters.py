"""Reading and writing image and mask files. Whatever goes wrong becomes a `DataError` that names the file."""

from __future__ import annotations

import errno
import os
import struct
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rarescene.foundation.errors import DataError
from rarescene.foundation.files import atomic, regular
from rarescene.scenes.class_table import ClassTable

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings of files that are looked at, compared without regard to case."""
IMAGE_FOLDERS = (
    "images", "image", "imgs", "img", "frames", "original", "originals", "originalimages", "jpegimages",
    "imgdir",
)  # fmt: skip
"""Names of folders that are taken for the one of the images, as `plain_folder` writes them."""
MASK_FOLDERS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "annot", "segmentations",
    "segmentation", "groundtruth", "gt", "segmentationclass", "anndir",
)  # fmt: skip
"""Names of folders that are taken for the one of the masks, likewise."""

_NO_PICTURES = {
    ".json",
    ".txt",
    ".md",
    ".csv",
    ".xml",
    ".yaml",
    ".yml",
    ".db",
    ".ini",
    ".html",
    ".pdf",
    ".py",
}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_AT = 24  # signature (8), length and type of IHDR (8), width and height (8), then the bit depth
_ORIENTATION, _BITS, _SAMPLE_FORMAT = 274, 258, 339  # tags of TIFF, the first one of EXIF as well
_UPRIGHT = 1


@dataclass(frozen=True)
class Raster:
    """A mask file as it lies on disk, before its values are understood.

    Attributes:
        values: uint8 `(H, W)` of values or palette indices, or uint8 `(H, W, 3)` of colours.
        palette: uint8 `(256, 3)` of a palette file, otherwise None.
        step: the gray, 0 to 255, in which a value 1 is shown: 1, and more in files of fewer than 8 bits.
        alpha: uint8 `(H, W)` of a file that is transparent in parts, otherwise None.
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    step: int = 1
    alpha: np.ndarray | None = None


def read_image(path: Path) -> np.ndarray:
    """Return uint8 `(H, W, 3)` in RGB, upright as a viewer shows it; transparency is dropped.

    Raises:
        DataError: the file is missing, truncated, no image, has several pages, or not 8 bits a channel (NaN
            is named).
    """
    with _opened(path) as (image, bits):
        if image.mode in ("F", "I"):
            values = np.asarray(image)
            what = (
                "holds NaN or infinite values" if not np.isfinite(values).all() else "is not an 8-bit image"
            )
            raise DataError(f"{what} (mode {image.mode})", "Save the frame as an 8-bit RGB file.", path)
        _refuse_depth(path, bits, "Save the frame as an 8-bit RGB file.")
        return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))[..., :3]


def read_raster(path: Path) -> Raster:
    """Return the values of a mask file: ids, palette indices or colours, upright as a viewer shows it.

    Raises:
        DataError: the file is missing, truncated, no image, lossy, has several pages, or more than 8 bits a
            channel.
    """
    with _opened(path) as (image, bits):
        kind = _lossy(path, image)
        if kind:
            remedy = (
                "Export the masks again as PNG; lossy compression blurs the labels where two classes meet."
            )
            raise DataError(f"is a {kind}, which cannot hold a label mask", remedy, path)
        remedy = "Save the mask with 8 bits a pixel: class ids, a palette, or the colours of classes.json."
        if image.mode in ("F", "I"):
            raise DataError(f"has 32-bit values (mode {image.mode})", remedy, path)
        _refuse_depth(path, bits, remedy)
        alpha = _alpha(image)
        if image.mode == "P":
            palette = np.zeros((256, 3), np.uint8)
            colours = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
            palette[: len(colours)] = colours
            return Raster(np.asarray(image), palette, alpha=alpha)
        if image.mode == "1":
            return Raster(np.asarray(image, np.uint8), step=255)
        if image.mode == "L":
            step = 255 // ((1 << bits) - 1)  # Pillow spreads 2 and 4 bits over 0 to 255
            return Raster(np.asarray(image) // step, step=step, alpha=alpha)
        if image.mode in ("LA", "La"):
            return Raster(np.asarray(image)[..., 0], alpha=alpha)
        if image.mode in ("RGB", "RGBA"):
            return Raster(np.asarray(image)[..., :3], alpha=alpha)
        raise DataError(f"has the unusual colour mode {image.mode}", remedy, path)


def stored_turned(path: Path) -> bool:
    """Return whether an image is stored turned or mirrored, and EXIF says how it is shown upright."""
    try:
        with Image.open(regular(path)) as image:
            return int(image.getexif().get(_ORIENTATION, _UPRIGHT)) in range(2, 9)
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return False  # reading it says what is wrong


def _alpha(image: Image.Image) -> np.ndarray | None:
    """Return how opaque each pixel is, or None where all are alike, which says nothing."""
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode not in ("LA", "La", "RGBA"):
        return None
    alpha = np.asarray(image)[..., -1]
    return alpha if alpha.min() < alpha.max() else None


def _lossy(path: Path, image: Image.Image) -> str:
    """Return what a file is whose pixels are not what was saved, or nothing."""
    if image.format in ("JPEG", "MPO", "JPEG2000"):
        return "JPEG"
    if image.format == "TIFF" and "jpeg" in str(image.info.get("compression", "")):
        return "TIFF compressed as JPEG"
    if image.format == "WEBP" and b"VP8 " in _webp_chunks(path):
        return "lossy WebP"
    return ""


def _webp_chunks(path: Path) -> set[bytes]:
    found, content, at = set(), Path(path).read_bytes(), 12
    while at + 8 <= len(content):
        found.add(content[at : at + 4])
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return found


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


def plain_folder(name: str) -> str:
    """Return a folder's name as it is compared: `Ground Truth` and `ground_truth` are `groundtruth`."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def plain_name(path: Path, root: Path) -> str:
    """Return a file's path below `root` without ending, by which it is known, in one form of Unicode."""
    return unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())


def walk_files(root: Path, *, read: bool = True) -> list[Path]:
    """Return all image files under `root`, sorted, without hidden ones; linked folders are followed once.

    Args:
        root: the folder.
        read: whether those with an ending in `IMAGE_SUFFIXES` are wanted, or all others.
    """
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
            if not name.startswith(".") and (Path(name).suffix.lower() in IMAGE_SUFFIXES) == read:
                found.append(Path(folder, name))
    return sorted(found)


def what_is_not_read(folder: Path) -> str:
    """Return a note on files in a folder that may be pictures and whose ending is not read, or nothing."""
    endings = Counter(path.suffix.lower() or "without ending" for path in walk_files(folder, read=False))
    told = ", ".join(f"{count} {ending}" for ending, count in endings.items() if ending not in _NO_PICTURES)
    known = ", ".join(sorted(IMAGE_SUFFIXES))
    return f"{folder} holds files that are not read: {told} (read are {known})" if told else ""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, int]]:
    """Yield the decoded image, upright, and its bits a channel; every failure becomes a `DataError`."""
    try:
        with Image.open(regular(path)) as image:
            pages = getattr(image, "n_frames", 1)
            if pages > 1 and image.format != "MPO":  # what viewers show of an MPO is its first picture
                remedy = (
                    "Save what is meant as a file with a single page; masks of several classes as one of ids."
                )
                raise DataError(f"holds {pages} pages or frames, of which one is expected", remedy, path)
            bits = _bits(path, image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            yield image, bits
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
        OverflowError,
    ) as error:
        raise _explained(path, error) from error
    except Image.DecompressionBombError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("is missing", "Restore the file, or remove its counterpart as well.", path)
    if isinstance(error, PermissionError):
        return DataError("cannot be opened: no permission", "Change the file's permissions.", path)
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        return DataError("is not a regular file", "Put an image file in its place, or remove it.", path)
    if isinstance(error, UnidentifiedImageError):
        kind = "is empty" if path.is_file() and path.stat().st_size == 0 else "is not an image file"
        return DataError(
            kind, "Copy the file again from its source, or remove it with its counterpart.", path
        )
    what = f"is truncated or damaged: {error}"
    return DataError(what, "Copy the file again from its source, or remove it with its counterpart.", path)


def _bits(path: Path, image: Image.Image) -> int:
    """Return the bits a channel, which Pillow changes to 8 without a word; 0 for signed numbers."""
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "PNG":
        with Path(path).open("rb") as file:
            header = file.read(_PNG_DEPTH_AT + 1)
        if header.startswith(_PNG_SIGNATURE):
            return header[_PNG_DEPTH_AT]
    if image.format == "TIFF" and image.mode not in ("F", "I"):
        tags = image.tag_v2  # type: ignore[attr-defined]
        if set(tags.get(_SAMPLE_FORMAT, (1,))) - {1, 4}:
            return 0
        return max(tags.get(_BITS, (1,)))
    return 8


def _refuse_depth(path: Path, bits: int, remedy: str) -> None:
    if bits == 0:
        raise DataError("holds signed numbers, expected 0 to 255", remedy, path)
    if bits > 8:
        raise DataError(f"has {bits} bits a channel, expected 8", remedy, path)
