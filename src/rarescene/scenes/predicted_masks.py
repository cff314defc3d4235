"""Masks that anybody's model predicted for the scenes of a data set: whose each file is, and what it means.

A file belongs to a scene as a mask belongs to its image in a folder of data: it bears the scene's name,
perhaps with a word such as `_mask`, or the name that `rarescene export` gave the scene. What its values mean
tells a `classes.json` beside the files, or the `dataset.json` that nnU-Net puts there; else they are the ids
of the class table or what they are in the data's own masks, and where these differ, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import DataError, RareSceneError
from rarescene.foundation.files import read_json
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.folder import CLASSES_FILE, WORDS_OF_MASKS, by_name, read_classes
from rarescene.scenes.export.cases import plain_case
from rarescene.scenes.export.nnunet import nnunet_labels
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import PairReader
from rarescene.scenes.rasters import read_raster, walk_files
from rarescene.scenes.scene import SceneRecord, SceneSet
from rarescene.scenes.transforms import pad_to_aspect, resize_mask

NNUNET = "dataset.json"
"""What nnU-Net puts beside its predictions; it names the classes of the labels."""

_NAMED = 3
_PREDICTED = re.compile(r"[-_. ]pred(icted|iction)?$", re.IGNORECASE)
_WORDS = (), WORDS_OF_MASKS[:1], WORDS_OF_MASKS, (_PREDICTED, *WORDS_OF_MASKS)
"""Words in the names of masks that are left out, in the order in which they are tried."""


@dataclass(frozen=True)
class PredictedMasks:
    """Predicted masks of some scenes.

    Attributes:
        folder: in which they lie.
        files: the mask of each scene, by the scene's name.
        codes: the ways in which they may be read; a mask is refused where these contradict each other.
        spare: how many files of the folder belong to none of the scenes.
        pad: the aspect to which the scenes are padded; masks of the frames alone are padded likewise.
    """

    folder: Path
    files: dict[str, Path]
    codes: tuple[MaskCode, ...]
    spare: int
    pad: tuple[int, int] | None = None

    @classmethod
    def of(cls, folder: Path, scenes: SceneSet) -> PredictedMasks:
        """Find the mask of every scene.

        Args:
            folder: PNG, TIFF or other lossless files, nested or not.
            scenes: of the data set that was predicted, each of which needs a mask.

        Raises:
            DataError: the folder is missing or holds no masks; a scene has none or several; what says their
                values' meaning does not fit the class table.
        """
        if not folder.is_dir():
            raise DataError("is no folder", "Give the folder in which the predicted masks lie.", folder)
        masks = walk_files(folder)
        if not masks:
            raise DataError("holds no masks", "Give the folder in which the predicted masks lie.", folder)
        tables = [by_name(folder, masks, words) for words in _WORDS]
        files, missing = dict[str, Path](), list[str]()
        for record in scenes.records:
            names = (record.name, plain_case(record.name), record.name.rpartition("/")[2])
            keys = dict.fromkeys(name.casefold() for name in names)
            found = next((table[key] for key in keys for table in tables if key in table), [])
            if len(found) > 1:
                told = ", ".join(str(path.relative_to(folder)) for path in found[:_NAMED])
                what = f"holds several masks of the scene {record.name}: {told}"
                raise DataError(what, "Give a folder that holds one mask a scene.", folder)
            if found:
                files[record.name] = found[0]
            else:
                missing.append(record.name)
        if missing:
            raise _missing(folder, missing, len(scenes), masks)
        _refuse_shared(files)
        spare = len(set(masks).difference(files.values()))
        return cls(folder, files, _codes(folder, scenes), spare, scenes.pad)

    def mask(self, record: SceneRecord, height: int, width: int) -> np.ndarray:
        """Return a scene's predicted ids, uint8 `(height, width)`; of another size by nearest neighbour.

        Raises:
            DataError: the file cannot be read, or can be read in several ways, or leaves pixels unlabelled.
        """
        path = self.files[record.name]
        raster = read_raster(path)
        readings, errors = list[np.ndarray](), list[RareSceneError]()
        for code in self.codes:
            try:
                readings.append(code.decode(raster, path))
            except RareSceneError as error:
                errors.append(error)
        if not readings:
            raise errors[0]
        ids, ignore = readings[0], self.codes[0].classes.ignore_index
        if any(not np.array_equal(ids, other) for other in readings[1:]):
            what = "can be read in two ways: as ids of the class table, and as the data's own masks are read"
            remedy = f"Put a {CLASSES_FILE} beside the masks whose `values` say what their numbers mean."
            raise DataError(what, remedy, path)
        if unlabelled := int(np.count_nonzero(ids == ignore)):
            what = f"leaves {unlabelled} pixels without a class"
            raise DataError(what, "Give every pixel the class that the model holds most probable.", path)
        if self.pad is not None:
            ids = pad_to_aspect(ids, self.pad)  # where the scenes are unlabelled, and any class will do
        return resize_mask(ids, height, width, keep_rare=False, ignore_index=ignore)


def _codes(folder: Path, scenes: SceneSet) -> tuple[MaskCode, ...]:
    """Return how the masks are read: as a file beside them says, or in each way that may be meant."""
    table = scenes.classes
    if (folder / CLASSES_FILE).is_file():
        code = read_classes(folder / CLASSES_FILE)
        if code.classes.fingerprint != table.fingerprint:
            what = f"has other classes than the data: {', '.join(code.classes.names)}"
            raise DataError(what, f"Name the classes {', '.join(table.names)}.", folder / CLASSES_FILE)
        return (code,)
    if (folder / NNUNET).is_file():
        return (_of_nnunet(folder / NNUNET, table),)
    plain, reader = MaskCode.plain(table), scenes.reader
    own = reader.code if isinstance(reader, PairReader) else plain
    same = own.values.items() >= plain.values.items() and own.colours.items() >= plain.colours.items()
    return (own,) if same else (plain, own)


def _of_nnunet(path: Path, table: ClassTable) -> MaskCode:
    """Return the code of labels as `rarescene export nnunet` numbers the classes."""
    labels, numbers = nnunet_labels(table)
    content = read_json(path)
    said = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(said, dict) or {name: n for name, n in said.items() if name != "ignore"} != labels:
        what = f"names other labels than `rarescene export nnunet` gives these data: {said}"
        remedy = f"Put a {CLASSES_FILE} beside the masks whose `values` say what their numbers mean."
        raise DataError(what, remedy, path)
    return MaskCode(table, {int(numbers[entry.id]): entry.id for entry in table.classes}, {}, valued=True)


def _missing(folder: Path, missing: Sequence[str], scenes: int, masks: Sequence[Path]) -> DataError:
    what = f"lacks the masks of {len(missing)} of {scenes} scenes: {_listed(missing)}"
    there = _listed(str(path.relative_to(folder)) for path in masks)
    remedy = (
        f"Name each mask like its scene ({missing[0]}.png); there are {there}. Or score the part that was "
        "predicted (--part, --split)."
    )
    return DataError(what, remedy, folder)


def _refuse_shared(files: dict[str, Path]) -> None:
    """Refuse one file for two scenes, whose names differ by their folder alone."""
    owners = dict[Path, str]()
    for scene, path in files.items():
        if path in owners:
            what = f"would be the mask of two scenes, {owners[path]} and {scene}"
            raise DataError(what, "Let the masks lie in folders as the frames do.", path)
        owners[path] = scene


def _listed(names: Iterable[str]) -> str:
    some = list(names)
    more = f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
    return ", ".join(some[:_NAMED]) + more
