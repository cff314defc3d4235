"""A scene set on disk: pairs, what each was made from, and the class table. A killed run resumes.

    classes.json      the class table
    set.json          what the whole set was made with: generator, licence, recordings seen
    manifest.jsonl    one line a scene, by index: files, group, real or synthetic, request, seed, scores
    images/ masks/    000123.png; from scene 10,000 on in folders of 10,000: 001/010123.png
                      masks are 8-bit palette PNGs: class ids that also look right in a viewer
    confidence/       where a generator tells it: how sure it is of each pixel of the mask, as 8-bit gray PNG

A set may hold masks alone; its lines then name no image. A line is written after its files, and the files are
written whole or not at all, so the manifest never names what is not there. Names and bytes depend on the
index and the content alone: a set that was killed and resumed, or written by several processes, ends equal to
one written undisturbed, file for file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.configs import typed
from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.foundation.files import atomic, parse_json, read_json, read_text, write_json, write_text
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import PairReader
from rarescene.scenes.rasters import read_raster, write_confidence, write_image, write_mask
from rarescene.scenes.scene import SceneRecord, SceneSet

MANIFEST = "manifest.jsonl"
HEADER = "set.json"
CLASSES = "classes.json"

_FOLDERS = {"image": "images", "mask": "masks", "confidence": "confidence"}
_SHARD = 10_000


class SceneSetWriter:
    """Writes a scene set, or goes on with one.

    Several processes write one set as ranks: each adds scenes of its own to a manifest of its own, and rank 0
    calls `finish` when all are done (the caller sees to that, with a barrier).
    """

    def __init__(
        self,
        folder: Path,
        classes: ClassTable,
        header: Mapping[str, Any] | None = None,
        *,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Open a set for writing.

        Args:
            folder: of the set; made if it is missing.
            classes: the class table of the masks.
            header: JSON values about the whole set; a set that goes on must have the same.
            rank: of this process.
            ranks: the number of processes.

        Raises:
            ConfigError: the folder holds another set, with other classes or another header.
        """
        self.folder = Path(folder)
        self.classes = classes
        self._manifest = self.folder / (f"manifest.rank{rank}.jsonl" if ranks > 1 else MANIFEST)
        self._agree(CLASSES, classes.to_dict(), write=rank == 0)
        self._agree(HEADER, dict(header or {}), write=rank == 0)
        self._done = set(_all_lines(self.folder))
        own = _lines(self._manifest, self.folder)
        if self._manifest.exists():
            write_text(self._manifest, _text(own))

    @property
    def done(self) -> frozenset[int]:
        """The indices of all scenes in the set, those of other ranks at the opening included."""
        return frozenset(self._done)

    def __len__(self) -> int:
        return len(self._done)

    def add(
        self,
        index: int,
        image: np.ndarray | None,
        mask: np.ndarray,
        details: Mapping[str, Any] | None = None,
        confidence: np.ndarray | None = None,
    ) -> None:
        """Add one scene; an index that is there already is left as it is.

        Args:
            index: of the scene in the set, 0 or greater.
            image: uint8 `(H, W, 3)`, or None for a mask alone.
            mask: uint8 `(H, W)` of class ids or the ignore index.
            details: JSON values: `group`, `order`, `synthetic` (by default true), request, seed, scores, …
            confidence: float `(H, W)` in [0, 1], how sure the mask is of each pixel (see `read_confidence`).

        Raises:
            DataError: the parts do not fit, the mask holds an unknown id, or the disk is full (nothing is
                half-written).
        """
        if index in self._done:
            return
        self._check(image, mask, confidence)
        files: dict[str, Any] = {"index": index, "mask": _place("masks", index)}
        if image is not None:
            files["image"] = _place("images", index)
            write_image(self.folder / files["image"], image)
        if confidence is not None:
            files["confidence"] = _place("confidence", index)
            write_confidence(self.folder / files["confidence"], confidence)
        write_mask(self.folder / files["mask"], mask, self.classes)
        line = _text({index: files | {"group": "synthetic", "synthetic": True} | dict(details or {}) | files})
        self._append(line)
        self._done.add(index)

    def adopt(self, source: Path, line: Mapping[str, Any]) -> None:
        """Add a scene of another set: its files byte by byte; an index that is there already stays as it is.

        Args:
            source: the folder of the other set, which stays as it is.
            line: the scene's line of that set's manifest; whatever it says besides is written as well.

        Raises:
            DataError: a file cannot be copied (nothing is half-written).
        """
        index = int(line["index"])
        if index in self._done:
            return
        files = {kind: _place(folder, index) for kind, folder in _FOLDERS.items() if kind in line}
        for kind, file in files.items():
            with atomic(self.folder / file) as temporary:
                shutil.copyfile(source / line[kind], temporary)
        self._append(_text({index: dict(line) | files}))
        self._done.add(index)

    def _append(self, line: str) -> None:
        """Add a line to the manifest, or leave the manifest as it was."""
        before = self._manifest.stat().st_size if self._manifest.exists() else 0
        try:
            with self._manifest.open("a", encoding="utf-8") as manifest:
                manifest.write(line)
        except OSError as error:
            if self._manifest.exists():
                os.truncate(self._manifest, before)
            remedy = "Free some space; the set can then be resumed."
            raise DataError(f"could not be written ({error.strerror})", remedy, self._manifest) from error

    def finish(self) -> SceneSet:
        """Merge the manifests of all ranks, and return the set."""
        merge(self.folder)
        return open_set(self.folder)

    def _check(self, image: np.ndarray | None, mask: np.ndarray, confidence: np.ndarray | None) -> None:
        given = f"mask {mask.dtype} {mask.shape}"
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise DataError(f"{given} is no mask", "Give uint8 (H, W).", self.folder)
        if image is not None and (image.dtype != np.uint8 or image.shape != (*mask.shape, 3)):
            what = f"image {image.dtype} {image.shape} and {given} are no pair"
            raise DataError(what, "Give uint8 (H, W, 3) and uint8 (H, W).", self.folder)
        if confidence is not None and (
            confidence.shape != mask.shape or not (confidence.min() >= 0 and confidence.max() <= 1)
        ):
            what = f"confidence {confidence.dtype} {confidence.shape} does not fit {given}"
            raise DataError(what, "Give numbers from 0 to 1, one a pixel.", self.folder)
        strange = set(np.unique(mask).tolist()) - set(range(len(self.classes))) - {self.classes.ignore_index}
        if strange:
            raise DataError(
                f"a mask holds the unknown ids {sorted(strange)}", "Give ids of the class table.", self.folder
            )

    def _agree(self, file: str, value: dict[str, Any], write: bool) -> None:
        path = self.folder / file
        if path.is_file():
            if read_json(path) != json.loads(json.dumps(value)):
                remedy = "Choose another folder, or repeat the options with which this set was begun."
                raise ConfigError("belongs to a set that was made otherwise", remedy, path)
        elif write:
            write_json(path, value)


def merge(folder: Path) -> None:
    """Gather the manifests of all ranks into one, by index."""
    write_text(folder / MANIFEST, _text(_all_lines(folder)))
    for part in folder.glob("manifest.rank*.jsonl"):
        part.unlink()


def open_set(folder: Path) -> SceneSet:
    """Open a scene set. Raises `DataError` when it is none, or when the manifest and the files disagree."""
    return list_set(folder).opened()


def list_set(folder: Path) -> Listing:
    """List the scenes of a set, in the order of its manifest, and its faults; names are `images/000123`."""
    try:
        classes = ClassTable.from_dict(_json(folder / CLASSES))
        header = _json(folder / HEADER) if (folder / HEADER).exists() else {}
        text = read_text(folder / MANIFEST)
    except RareSceneError as error:
        return Listing(None, (Fault(error.path or folder, error.what, error.remedy),))
    except (OSError, ValueError) as error:
        remedy = "Give the folder that `rarescene synthesize` wrote; a killed run is ended with --resume."
        why = getattr(error, "strerror", None) or error
        return Listing(None, (Fault(folder / MANIFEST, f"cannot be read ({why})", remedy),))
    faults: list[Fault] = []
    records: list[SceneRecord] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = _line(line)
            files = [folder / file for file in _files(value)]
            image, mask = folder / value["image"] if "image" in value else None, folder / value["mask"]
            name = Path(value.get("image", value["mask"])).with_suffix("").as_posix()
            group, order = str(value["group"]), int(value.get("order", value["index"]))
            _need_classes(value, len(classes))
            missing = [file for file in files if not file.is_file()]
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            remedy = "End the run that wrote the set with --resume, or remove the line."
            faults.append(
                Fault(
                    folder / MANIFEST, f"line {number} is damaged ({getattr(error, 'what', error)})", remedy
                )
            )
            continue
        remedy = "Restore the file, or end the run that wrote the set with --resume."
        faults += [Fault(path, "is named in the manifest and missing", remedy) for path in missing]
        if not missing:
            records.append(SceneRecord(name, group, order, image, mask, value))
    if not records and not faults:
        faults.append(
            Fault(folder / MANIFEST, "names no scenes", "Run the command again that writes this set.")
        )
    licence = str(header.get("licence", "unknown")) if isinstance(header, dict) else "unknown"
    reader = PairReader(MaskCode.plain(classes))
    name = folder.resolve().name
    return Listing(
        SceneSet(name, classes, tuple(records), reader, licence) if records else None, tuple(faults)
    )


def read_confidence(record: SceneRecord) -> np.ndarray | None:
    """Return how sure the mask of a scene of a set is of each pixel: float32 `(H, W)` in [0, 1].

    None where whoever wrote the set did not tell. Raises `DataError` when the file is unusable.
    """
    file = record.details.get("confidence")
    if file is None or record.mask is None:
        return None
    folder = record.mask.parents[len(Path(record.details["mask"]).parts) - 1]
    return read_raster(folder / file).values.astype(np.float32) / 255


def _files(line: Mapping[str, Any]) -> list[str]:
    """Return the files that a line of the manifest names, relative to the set, which they never leave.

    Raises:
        ValueError: one of them lies elsewhere, or is no name.
    """
    files = [line[kind] for kind in _FOLDERS if kind in line]
    for file in files:
        if not isinstance(file, str) or Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError(f"names the file {file!r}, which is not in the set")
    return files


def _all_lines(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the lines of all manifests by index; whichever rank wrote one, it would be the same."""
    lines: dict[int, dict[str, Any]] = {}
    for manifest in (folder / MANIFEST, *sorted(folder.glob("manifest.rank*.jsonl"))):
        lines |= _lines(manifest, folder)
    return lines


def _lines(manifest: Path, folder: Path) -> dict[int, dict[str, Any]]:
    """Return the whole lines whose files are there; a line cut off by a kill is left out."""
    if not manifest.exists():
        return {}
    lines: dict[int, dict[str, Any]] = {}
    for text in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = _line(text)
            if all((folder / file).is_file() for file in (line["mask"], *_files(line))):
                lines[int(line["index"])] = line
        except (ValueError, KeyError, TypeError, ConfigError):
            continue
    return lines


def _need_classes(line: Mapping[str, Any], count: int) -> None:
    """Raise `ValueError` or `ConfigError` where a line's request is none, or of other classes."""
    from rarescene.scenes.request import KeptReport, Request  # imports scipy, which `--help` has no need of

    if "request" in line and max(Request.from_dict(line["request"]).ids, default=0) >= count:
        raise ValueError("its request names a class that the table has not")
    for name in ("kept", "kept_at_first"):
        if name in line:
            KeptReport.from_dict(line[name])
            typed(bool, line[name]["kept"], f"{name}.kept")
            typed(float, line[name]["present"], f"{name}.present")


_ENTRIES: Mapping[str, Any] = {
    "index": int, "order": int, "group": str, "synthetic": bool, "generator": str, "tries": int,
    "request": Mapping[str, Any], "kept": Mapping[str, Any], "kept_at_first": Mapping[str, Any],
    "scores": Mapping[str, float | None], "mask_of": str, "nearest_training_frame": str,
}  # fmt: skip


def _line(text: str) -> dict[str, Any]:
    """Return a line of a manifest. Raises `ValueError` or `ConfigError` where it is none."""
    value = typed(dict[str, Any], parse_json(text), "line")
    for name in _ENTRIES.keys() & value.keys():
        typed(_ENTRIES[name], value[name], name)
    return value


def _text(lines: Mapping[int, Mapping[str, Any]]) -> str:
    ordered = (lines[index] for index in sorted(lines))
    return "".join(
        json.dumps(line, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n" for line in ordered
    )


def _place(kind: str, index: int) -> str:
    shard = f"{index // _SHARD:03d}/" if index >= _SHARD else ""
    return f"{kind}/{shard}{index:06d}.png"


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except RareSceneError as error:
        raise DataError(error.what, "Give the folder of a scene set, with its classes.json.", path) from error


SET = DatasetMethod(
    name="set",
    summary="a scene set that rarescene synthesize, pseudolabel, curate or maps wrote",
    example="rarescene check set:pairs",
    list=list_set,
)
