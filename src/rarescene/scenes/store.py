"""A scene set on disk: pairs, what each was made from, and the class table. A killed run resumes.

    classes.json      the class table
    set.json          what the whole set was made with: generator, licence, recordings seen
    manifest.jsonl    one line a scene, by index: files, group, real or synthetic, request, seed, scores
    images/ masks/    000123.png; from scene 10,000 on in folders of 10,000: 001/010123.png
                      masks are 8-bit palette PNGs: class ids that also look right in a viewer

A line is written after its two files, and the files are written whole or not at all, so the manifest never
names what is not there. Names and bytes depend on the index and the content alone: a set that was killed and
resumed, or written by several processes, ends equal to one written undisturbed, file for file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.foundation.files import read_json, write_json, write_text
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.groups import group_by_pattern
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.pairs import MaskCode, PairReader
from rarescene.scenes.rasters import write_image, write_mask
from rarescene.scenes.scene import SceneRecord, SceneSet

MANIFEST = "manifest.jsonl"
HEADER = "set.json"
CLASSES = "classes.json"

_SHARD = 10_000
_OWN_FILE = re.compile(r"\d{6,}\.png")


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
        self, index: int, image: np.ndarray, mask: np.ndarray, details: Mapping[str, Any] | None = None
    ) -> None:
        """Add one scene; an index that is there already is left as it is.

        Args:
            index: of the scene in the set, 0 or greater.
            image: uint8 `(H, W, 3)`.
            mask: uint8 `(H, W)` of class ids or the ignore index.
            details: JSON values: `group`, `order`, `synthetic` (by default true), request, seed, scores, …

        Raises:
            DataError: the two do not fit, the mask holds an unknown id, or the disk is full (nothing is
                half-written).
        """
        if index in self._done:
            return
        self._check(image, mask)
        image_file, mask_file = _place("images", index), _place("masks", index)
        write_image(self.folder / image_file, image)
        write_mask(self.folder / mask_file, mask, self.classes)
        files = {"index": index, "image": image_file, "mask": mask_file}
        line = _text({index: files | {"group": "synthetic", "synthetic": True} | dict(details or {}) | files})
        self._append(line)
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
        """Merge the manifests of all ranks, remove what a killed run left behind, and return the set."""
        merge(self.folder)
        return open_set(self.folder)

    def _check(self, image: np.ndarray, mask: np.ndarray) -> None:
        fits = image.dtype == mask.dtype == np.uint8 and image.shape == (*mask.shape, 3)
        if not fits:
            what = f"image {image.dtype} {image.shape} and mask {mask.dtype} {mask.shape} are no pair"
            raise DataError(what, "Give uint8 (H, W, 3) and uint8 (H, W).", self.folder)
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
    """Gather the manifests of all ranks into one, by index, and remove what killed runs left behind."""
    lines = _all_lines(folder)
    write_text(folder / MANIFEST, _text(lines))
    for part in folder.glob("manifest.rank*.jsonl"):
        part.unlink()
    named = {line[kind] for line in lines.values() for kind in ("image", "mask")}
    for path in [*folder.glob(".partial-*"), *folder.glob("images/**/*.png"), *folder.glob("masks/**/*.png")]:
        # Only files that a writer makes are removed: unfinished ones, and pairs that no line names.
        ours = path.name.startswith(".partial-") or _OWN_FILE.fullmatch(path.name)
        if ours and path.relative_to(folder).as_posix() not in named:
            path.unlink()


def open_set(folder: Path) -> SceneSet:
    """Open a scene set. Raises `DataError` when it is none, or when the manifest and the files disagree."""
    return list_set(folder).opened()


def list_set(folder: Path, group_by: str | None = None) -> Listing:
    """List the scenes of a set and its faults. `group_by` is matched against names like `images/000123`."""
    try:
        classes = ClassTable.from_dict(_json(folder / CLASSES))
        header = _json(folder / HEADER) if (folder / HEADER).exists() else {}
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except RareSceneError as error:
        return Listing(None, (Fault(error.path or folder, error.what, error.remedy),))
    except OSError as error:
        remedy = "Give the folder that `rarescene synthesize` wrote; a killed run is ended with --resume."
        return Listing(None, (Fault(folder / MANIFEST, f"cannot be read ({error.strerror})", remedy),))
    faults: list[Fault] = []
    records: list[SceneRecord] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
            image, mask = folder / value["image"], folder / value["mask"]
            name = Path(value["image"]).with_suffix("").as_posix()
            group = group_by_pattern(group_by, name) if group_by else str(value["group"])
            order = int(value.get("order", value["index"]))
        except (ValueError, KeyError, TypeError) as error:
            remedy = "End the run that wrote the set with --resume, or remove the line."
            faults.append(Fault(folder / MANIFEST, f"line {number} is damaged ({error!r})", remedy))
            continue
        missing = [path for path in (image, mask) if not path.is_file()]
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
            line = json.loads(text)
            whole = (folder / line["image"]).is_file() and (folder / line["mask"]).is_file()
            if whole:
                lines[int(line["index"])] = line
        except (ValueError, KeyError, TypeError):
            continue
    return lines


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
