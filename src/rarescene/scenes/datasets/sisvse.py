"""SISVSE: robotic gastrectomy, 40 cases, 1280x1024, 32 classes in the masks.

Files are `images/real/NAME.jpg` and, for each of three official folds, `semantic_masks/real_train_K/NAME.png`
or `real_val_K/NAME.png`, whose pixels are class ids. The folds cut by case. A name such as
`R001_ch1_video_01_00-10-37-20` says the case, the channel, the part of the video, and the time as hours,
minutes, seconds and frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.datasets.class_tables import SISVSE
from rarescene.scenes.datasets.groups import default_group, frame_number
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import list_pairs
from rarescene.scenes.rasters import walk_files
from rarescene.scenes.scene import SceneRecord
from rarescene.scenes.split import Fractions, Parts, SplitRule, draw_recordings

LICENCE = "terms of its publishers: https://sisvse.github.io"

FOLDS = (1, 2, 3)
IMAGES = Path("images", "real")
MASKS = Path("semantic_masks")
FOLD_NOTE = (
    "An official fold of SISVSE has two parts, by case: its val cases are tested on. Of its train cases some "
    "are held back as validation, drawn by --split-seed, so that nothing is chosen on what is tested."
)

_CASE = re.compile(r"([^_]+)_.+")
_TIME = re.compile(r".*?(?P<part>\d+)_(?P<h>\d+)-(?P<m>\d+)-(?P<s>\d+)-(?P<f>\d+)")
_FRAMES_A_SECOND = 30
_DAY = 24 * 60 * 60


def list_sisvse(root: Path) -> Listing:
    """List the real frames of SISVSE; recordings are the cases, what stands before the first `_` of a name.

    Each record's details hold `folds`: for each fold that knows the frame, "train" or "val".

    Args:
        root: the folder that holds `images` and `semantic_masks`, or the folder around it.
    """
    root = next(
        (path.parent for path in (root / MASKS, *sorted(root.glob(f"*/{MASKS}"))) if path.is_dir()), root
    )
    masks, folds = _masks(root / MASKS)
    images = {path.stem: path for path in walk_files(root / IMAGES)}
    if not masks:
        remedy = f"Give the folder that holds {IMAGES} and {MASKS}/real_train_1, real_val_1, …."
        return Listing(None, (Fault(root, "holds no SISVSE masks", remedy),))

    pictured = bool(images)
    faults: list[Fault] = []
    records: list[SceneRecord] = []
    for name, mask in masks.items():
        if pictured and name not in images:
            remedy = f"Restore {root / IMAGES / name}.jpg, or remove the mask from all folds."
            faults.append(Fault(mask, "is a mask without its image", remedy))
            continue
        details = {"folds": folds[name]}
        records.append(SceneRecord(name, _case(name, root), _order(name), images.get(name), mask, details))
    for name in sorted(images.keys() - masks.keys()):
        remedy = f"Restore {name}.png in the folders of {root / MASKS}, or remove the image."
        faults.append(Fault(images[name], "has no mask", remedy))
    code = replace(MaskCode.plain(SISVSE), colours={})
    return list_pairs(code, records, LICENCE, faults)


def _masks(folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, str]]]:
    """Return a mask of each frame by name, and in which part of which folds it lies.

    The folds hold the same masks under the same names; the first one is read.
    """
    masks: dict[str, Path] = {}
    folds: dict[str, dict[str, str]] = {}
    for fold in FOLDS:
        for part in ("train", "val"):
            for path in walk_files(folder / f"real_{part}_{fold}"):
                masks.setdefault(path.stem, path)
                folds.setdefault(path.stem, {})[str(fold)] = part
    return masks, folds


def _case(name: str, root: Path) -> str:
    match = _CASE.fullmatch(name)
    return match[1] if match else default_group(name, root.resolve().name)


def _order(name: str) -> int:
    """Return the position within the case in frames; the parts of its video are a day apart."""
    match = _TIME.fullmatch(name)
    if match is None:
        return frame_number(name) or 0
    part, h, m, s, f = (int(match[key]) for key in ("part", "h", "m", "s", "f"))
    return (part * _DAY + (h * 60 + m) * 60 + s) * _FRAMES_A_SECOND + f


def _by_fold(fold: int) -> SplitRule:
    """Return the rule of an official fold, see `FOLD_NOTE`; cases in neither part are left out."""

    def divide(
        records: Sequence[SceneRecord], shares: Fractions, seed: int, class_pixels: np.ndarray | None
    ) -> Parts:
        where = [record.details.get("folds", {}).get(str(fold)) for record in records]
        known = [index for index, part in enumerate(where) if part == "train"]
        test = [index for index, part in enumerate(where) if part == "val"]
        if not known or not test:
            remedy = "Use it with sisvse:PATH and all folders of masks, or choose another split."
            raise ConfigError(f"the scenes do not say what trains and what tests in fold {fold}", remedy)
        left = 1 - shares[2]
        train, validation, _ = draw_recordings(
            [records[index] for index in known],
            (shares[0] / left, shares[1] / left, 0.0),
            seed,
            None if class_pixels is None else class_pixels[known],
        )
        return [known[index] for index in train], [known[index] for index in validation], test

    return SplitRule(divide, (0.65, 0.1, 0.25), looks_at_classes=True, note=FOLD_NOTE)


SISVSE_FRAMES = DatasetMethod(
    name="sisvse",
    summary="the real frames of SISVSE, with its three official folds",
    example="rarescene check sisvse:/data/SISVSE",
    list=list_sisvse,
    splits={f"fold{fold}": _by_fold(fold) for fold in FOLDS},
)
