"""A data set decoded once, as memory-mapped arrays: epochs decode no files, and memory does not grow.

A cache is found again by all that decides its pixels: the scenes, the sizes and times of their files, what
the values and colours of masks mean, and the target size. One that is damaged is made again. Its pages belong
to the operating system's file cache, shared by all processes, and not to the process's own memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import PIL

from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.foundation.files import expanded, read_json, write_json
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.pairs import PairReader
from rarescene.scenes.scene import IMAGES_NEEDED, Recorded, Scene, SceneRecord, SceneSet
from rarescene.scenes.transforms import resize_image, resize_mask

_FORMAT = 2  # raised whenever the same files are decoded or resized otherwise than before
_INDEX = "index.json"
_DONE = "done.npy"
_FILES = (_INDEX, "images.npy", "masks.npy")  # what a finished cache consists of
_AGAIN = "Delete this folder; the cache is made again from the data."
_BLOCK = 256  # scenes between two flushes; what a killed build loses at most


@dataclass(frozen=True)
class SceneCache(Recorded):
    """Decoded scenes of one size.

    Attributes:
        folder: where the arrays lie.
        name: the data set's name.
        classes: its class table.
        licence: its licence.
        records: the scenes, in order; names, recordings and positions come from them.
        images: uint8 `(N, H, W, 3)`, memory-mapped, or None in a cache of masks alone. Use `take`, which
            respects `subset`.
        masks: uint8 `(N, H, W)`, memory-mapped. Use `take_masks`, likewise.
        class_pixels: int64 `(n, C)`, the pixels of each class in each scene.
        rows: int64 `(n,)`, the row of each scene in the arrays.
        digests: of the pixels of each scene, see `pixel_digest`.
        sums: "images" or "masks" → uint32 `(N,)`, the checksum that a row is held to when it is first read.
        unread: likewise bool `(N,)`, the rows that this process has not read yet; views share it.
    """

    folder: Path
    name: str
    classes: ClassTable
    licence: str
    records: tuple[SceneRecord, ...]
    images: np.ndarray | None
    masks: np.ndarray
    class_pixels: np.ndarray
    rows: np.ndarray
    digests: tuple[str, ...] = ()
    sums: Mapping[str, np.ndarray] = field(default_factory=dict)
    unread: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        scenes: SceneSet,
        height: int,
        width: int,
        folder: Path | None = None,
        *,
        images: bool = True,
        keep_rare: bool = True,
        workers: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SceneCache:
        """Decode and resize all scenes, or find the cache that an earlier call made of the very same files.

        A killed build goes on where it stopped; of several processes one builds and the others wait for it.
        A cache that is damaged is made again.

        Args:
            scenes: the scenes.
            height: of the cached images, in pixels.
            width: likewise.
            folder: the root under which caches lie; by default `$RARESCENE_CACHE`, else `~/.cache/rarescene`.
            images: whether images are decoded; without them only masks can be taken, and no image file is
                looked at.
            keep_rare: let classes survive that nearest neighbour would lose (see `resize_mask`).
            workers: threads that decode; by default one a core, at most 16.
            progress: called with the number of scenes done and the number of all.

        Raises:
            DataError: a file is unusable, images are asked for and missing, there are no scenes, or the disk
                is full (said before anything is written).
        """
        if not len(scenes):
            raise DataError("there are no scenes to cache", "Check the path and the split of the data.")
        if images:
            scenes.need_images()
        root = cache_root() if folder is None else Path(folder)
        key = _key(scenes, height, width, images, keep_rare)
        target = root / f"{_plain(scenes.name)}-{height}x{width}-{key}"
        if (found := cls._sound(target)) is None:
            with alone(target):
                if (found := cls._sound(target)) is None:
                    for name in _FILES:
                        (target / name).unlink(missing_ok=True)
                    _fill(scenes, height, width, target, images, keep_rare, workers, progress)
                    found = cls.open(target)
        return found

    @classmethod
    def _sound(cls, folder: Path) -> SceneCache | None:
        """Return the cache that lies in a folder, or None where none does or it is damaged.

        Three scenes stand for the arrays, of which each row is looked at when it is first read.

        Raises:
            DataError: it may be sound, and cannot be read here and now.
        """
        try:
            cache = cls.open(folder)
            for row in {0, len(cache) // 2, len(cache) - 1}:
                if cache.digests[row] != pixel_digest(cache[row].pixels, cache[row].mask):
                    return None
            return cache
        except DataError as error:
            cause = error.__cause__
            cause = cause.__cause__ or cause if isinstance(cause, RareSceneError) else cause
            if isinstance(cause, (OSError, MemoryError)) and not isinstance(cause, FileNotFoundError):
                raise
            return None

    @classmethod
    def open(cls, folder: Path) -> SceneCache:
        """Open a finished cache. Raises `DataError` when it is damaged."""
        try:
            index = read_json(folder / _INDEX)
            if index.pop("sum") != _sum(index):
                raise ValueError("its index was changed")
            images = np.load(folder / "images.npy", mmap_mode="r") if index["images"] else None
            masks = np.load(folder / "masks.npy", mmap_mode="r")
            records = tuple(
                SceneRecord(name, group, order, details=details)
                for name, group, order, details in index["scenes"]
            )
            if not len(records) == len(masks) == len(masks if images is None else images):
                raise ValueError("its arrays and its index differ in length")
            pixels = np.array(index["class_pixels"], np.int64).reshape(len(records), -1)
            table, digests = ClassTable.from_dict(index["classes"]), tuple(index["digests"])
            sums = {kind: np.array(index["sums"][kind], np.uint32) for kind in ("images", "masks")}
        except Exception as error:
            raise DataError(f"the cache cannot be read ({error})", _AGAIN, folder) from error
        rows = np.arange(len(records))
        name, licence = index["name"], index["licence"]
        unread = {kind: np.ones(len(told), bool) for kind, told in sums.items()}
        return cls(folder, name, table, licence, records, images, masks, pixels, rows, digests, sums, unread)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Scene:
        row = self.rows[index]
        image = None if self.images is None else self._read("images", self.images, [row])[0]
        return Scene(image, self._read("masks", self.masks, [row])[0], self.records[index])

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(len(self)))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the cached scenes."""
        return self.masks.shape[1], self.masks.shape[2]

    @cached_property
    def digest(self) -> str:
        """A short hash of the scenes as decoded, in this order: see `data_digest`."""
        return data_digest(self.classes, self.names, self.digests)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each scene."""
        return tuple(record.name for record in self.records)

    def take(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images uint8 `(B, H, W, 3)` and masks uint8 `(B, H, W)` of these scenes, in this order.

        Raises:
            DataError: the cache holds masks alone, or is damaged.
        """
        if self.images is None:
            raise DataError(
                f"the cache of {self.name!r} holds masks and no images", IMAGES_NEEDED, self.folder
            )
        rows = self.rows[np.asarray(indices, np.int64)]
        return self._read("images", self.images, rows), self._read("masks", self.masks, rows)

    def take_masks(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return masks uint8 `(B, H, W)` of these scenes, in this order."""
        return self._read("masks", self.masks, self.rows[np.asarray(indices, np.int64)])

    def _read(self, kind: str, array: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return these rows; they are read in ascending order, which is kind to a disk.

        Raises:
            DataError: one is not what was written.
        """
        taken, unread = np.empty((len(rows), *array.shape[1:]), np.uint8), self.unread.get(kind)
        for place in np.argsort(rows, kind="stable"):
            row = rows[place]
            taken[place] = array[row]
            if unread is not None and unread[row]:
                if zlib.crc32(taken[place]) != self.sums[kind][row]:
                    raise DataError(f"the cache is damaged in row {row} of its {kind}", _AGAIN, self.folder)
                unread[row] = False
        return taken

    def subset(self, indices: Iterable[int]) -> Self:
        """Return a view of these scenes, in this order; nothing is copied."""
        chosen = np.fromiter(indices, np.int64)
        records = tuple(self.records[index] for index in chosen)
        digests = tuple(self.digests[index] for index in chosen) if self.digests else ()
        pixels, rows = self.class_pixels[chosen], self.rows[chosen]
        return replace(self, records=records, class_pixels=pixels, rows=rows, digests=digests)


def pixel_digest(image: np.ndarray | None, mask: np.ndarray) -> str:
    """Return a short hash of a scene's mask, and of its image where there is one, as decoded and resized."""
    digest = hashlib.sha256(mask.tobytes())
    if image is not None:
        digest.update(image.tobytes())
    return digest.hexdigest()[:16]


def data_digest(classes: ClassTable, names: Iterable[str], pixels: Iterable[str]) -> str:
    """Return a short hash of scenes: their classes, their names, and their `pixel_digest`s, in this order.

    Data of which a single pixel, an id or a name differs have another one.
    """
    text = json.dumps([classes.fingerprint, list(names), list(pixels)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache_root() -> Path:
    """Return the folder under which caches lie: `$RARESCENE_CACHE`, else `~/.cache/rarescene`."""
    if given := os.environ.get("RARESCENE_CACHE"):
        return expanded(given)
    try:
        return Path.home() / ".cache" / "rarescene"
    except RuntimeError as error:
        what = "there is no home folder, where decoded scenes are kept"
        raise ConfigError(what, "Set RARESCENE_CACHE to a folder that can be written to.") from error


def _fill(
    scenes: SceneSet,
    height: int,
    width: int,
    target: Path,
    pictured: bool,
    keep_rare: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Build in a folder beside `target` and rename it at the end; only a whole cache bears the name."""
    partial = target.with_name(f"{target.name}.partial")
    count, ignore = len(scenes), scenes.classes.ignore_index
    try:
        partial.mkdir(parents=True, exist_ok=True)
        images = _array(partial / "images.npy", (count, height, width, 3)) if pictured else None
        masks = _array(partial / "masks.npy", (count, height, width))
        done = _array(partial / _DONE, (count,))
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        size = count * height * width * (4 if pictured else 1) / 1e9
        remedy = f"Free {size:.2f} GB, or set RARESCENE_CACHE to a folder on another disk."
        raise DataError(f"the cache cannot be written ({error.strerror})", remedy, target) from error

    def store(index: int) -> None:
        if images is None:
            mask = scenes.mask(index)
        else:
            scene = scenes[index]
            images[index], mask = resize_image(scene.image, height, width), scene.mask
        masks[index] = resize_mask(mask, height, width, keep_rare=keep_rare, ignore_index=ignore)

    missing = np.flatnonzero(np.asarray(done) == 0)
    with ThreadPoolExecutor(workers or min(16, os.cpu_count() or 1)) as pool:
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK].tolist()
            for place, _ in enumerate(pool.map(store, block)):
                if progress:
                    progress(count - len(missing) + start + place + 1, count)
            # A row is marked only after its pixels are on disk, so that a crash of the machine leaves no
            # false mark.
            if images is not None:
                images.flush()
            masks.flush()
            done[block] = 1
            done.flush()

    length = len(scenes.classes)
    index = {
        "format": _FORMAT,
        "name": scenes.name,
        "licence": scenes.licence,
        "images": pictured,
        "classes": scenes.classes.to_dict(),
        "scenes": [
            [record.name, record.group, record.order, dict(record.details)] for record in scenes.records
        ],
        "class_pixels": [np.bincount(mask.ravel(), minlength=256)[:length].tolist() for mask in masks],
        "digests": [
            pixel_digest(None if images is None else images[row], mask) for row, mask in enumerate(masks)
        ],
        "sums": {
            "masks": [zlib.crc32(mask) for mask in masks],
            "images": [] if images is None else [zlib.crc32(image) for image in images],
        },
    }
    (partial / _DONE).unlink()
    write_json(partial / _INDEX, index | {"sum": _sum(index)})
    partial.replace(target)


def _sum(index: Mapping[str, Any]) -> str:
    """Return a short hash of an index, by which it is known to be as it was written."""
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()[:16]


def _array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Open a byte array for writing, its space reserved: a full disk is an error here, not a crash later."""
    if path.exists():
        try:
            array = np.lib.format.open_memmap(path, "r+")
            if array.shape == shape and array.dtype == np.uint8:
                return array
        except ValueError:
            pass  # a build killed before the header was written; the array is made anew
        path.unlink()
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        _reserve(file.fileno(), path.stat().st_size)
    return array


def _reserve(file: int, size: int) -> None:
    """Give a file all its disk space now. Raises `OSError` on a full disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    start = os.fstat(file).st_blocks * 512  # the header is written already
    for offset in range(start, size, 1 << 20):
        os.pwrite(file, bytes(min(1 << 20, size - offset)), offset)


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Hold a lock beside `target`; it is released when the process ends, however it ends."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f"{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        remedy = "Set RARESCENE_CACHE to a folder that can be written to."
        raise DataError(f"the cache cannot be written ({error.strerror})", remedy, target) from error


def _key(scenes: SceneSet, height: int, width: int, images: bool, keep_rare: bool) -> str:
    """Return the content address: all that decides a decoded pixel, without decoding any.

    That is the scenes, their files, what the values and colours of their masks mean, the version of the
    library that decodes, and the target size.
    """
    digest = hashlib.sha256()
    head = [_FORMAT, scenes.name, scenes.licence, scenes.classes.to_dict(), height, width, keep_rare]
    head += [PIL.__version__] if images else [PIL.__version__, "masks alone"]
    head += [["pad", *scenes.pad]] if scenes.pad else []
    ours = scenes.reader if isinstance(scenes.reader, PairReader) else None
    head.append(None if ours is None else ours.code.to_json())
    digest.update(json.dumps(head).encode())
    for record in scenes.records:
        files = [_state(path) for path in (record.image if images else None, record.mask)]
        line = [record.name, record.group, record.order, dict(record.details), files]
        digest.update(json.dumps(line, sort_keys=True).encode())
    if ours is None:
        # Scenes that are drawn on demand, or read by somebody's own reader, are not told by their files
        # alone; a few of them stand for the program.
        for index in sorted({0, len(scenes) // 2, len(scenes) - 1}):
            scene = scenes[index] if images else None
            digest.update(scene.image.tobytes() if scene else b"")
            digest.update((scene.mask if scene else scenes.mask(index)).tobytes())
    return digest.hexdigest()[:16]


def _state(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    try:
        state = path.stat()
    except OSError as error:
        raise DataError("is missing", "Restore the file, or remove its counterpart as well.", path) from error
    # The time of the last change of any kind tells a file that was put in another's place with its old date.
    return [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:40]
