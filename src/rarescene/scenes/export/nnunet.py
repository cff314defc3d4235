"""nnU-Net v2 raw: `Dataset501_Name` with imagesTr, labelsTr, imagesTs, labelsTs and dataset.json.

As nnU-Net keeps natural images (its Dataset120_RoadSegmentation): one RGB PNG a case, `NAME_0000.png`, whose
three channels are called R, G and B; labels are gray PNGs of consecutive integers. Two things differ from our
masks: label 0 must be the background, and the ignore label must be the highest one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import write_json
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.export.cases import Case, Export
from rarescene.scenes.export.writing import Progress, each_case, whole_folder, write_card, write_told
from rarescene.scenes.rasters import write_image
from rarescene.scenes.scene import Scene

SPLITS = "splits_final.json"
_ENDING = ".png"
_NAME = re.compile(r"Dataset(\d{3})_[A-Za-z0-9_-]+")


def write_nnunet(export: Export, folder: Path, progress: Progress | None = None) -> Path:
    """Write an export as raw data of nnU-Net v2; the folder appears whole or not at all.

    Training and validation scenes lie in imagesTr, test scenes in imagesTs. `splits_final.json` has one fold:
    the training scenes, synthetic ones among them, against the validation recordings. It is left out where
    there are none.

    Args:
        export: the scenes.
        folder: `…/Dataset501_Name`, as nnU-Net finds data sets by their number.
        progress: called with the number of scenes written and the number of all.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder is not empty, its name is none of nnU-Net's, or there are over 254 classes.
        DataError: a scene is unusable, or the disk is full.
    """
    folder = Path(folder)
    named = _NAME.fullmatch(folder.name)
    if named is None:
        remedy = "Choose for instance nnUNet_raw/Dataset501_Surgery: a number of three digits, and a name."
        raise ConfigError("is no folder name of nnU-Net", remedy, folder)
    labels, table = nnunet_labels(export.classes)
    with whole_folder(folder) as out:

        def work(case: Case, scene: Scene) -> bool:
            end = "Ts" if case.part == "test" else "Tr"
            write_image(out / f"images{end}" / f"{case.name}_0000{_ENDING}", scene.image)
            write_image(out / f"labels{end}" / f"{case.name}{_ENDING}", table[scene.mask])
            return bool((scene.mask == export.classes.ignore_index).any())

        ignored = False
        for _, found in each_case(export, work, progress):
            ignored = ignored or found
        if ignored:  # declared only where it occurs: nnU-Net then trains another way
            labels = {**labels, "ignore": len(labels)}
        write_json(out / "dataset.json", _dataset(export, folder.name, labels))
        fold = _fold(export)
        if fold is not None:
            write_json(out / SPLITS, [fold])
        write_told(out, export, "nnU-Net v2 raw", {"labels": labels, "label_of_class": _told(export, table)})
        write_card(out, export, "raw data of nnU-Net v2", _opened(folder.name, named[1], fold is not None))
    return folder


def nnunet_labels(classes: ClassTable) -> tuple[dict[str, int], np.ndarray]:
    """Return nnU-Net's labels by name, but for the ignore label, and a table uint8 `(256,)` from id to label.

    Label 0 is the class whose name says background. Where none does, label 0 is a background that never
    occurs, and the classes begin at 1. The ignore index becomes the label after the last.

    Raises:
        ConfigError: labels do not fit into a byte.
    """
    names = list(classes.names)
    exact = [index for index, name in enumerate(names) if name.casefold() == "background"]
    named = exact or [
        index for index, name in enumerate(names) if "background" in re.split(r"\W+|_", name.casefold())
    ]
    order = named[:1] + [index for index in range(len(names)) if index not in named[:1]]
    first = 0 if named else 1
    if first + len(names) > 255:
        raise ConfigError(
            f"{len(names)} classes are too many for 8-bit labels", "Merge classes, to 254 at most."
        )
    labels = {"background": 0}
    table = np.zeros(256, np.uint8)
    for label, index in enumerate(order, start=first):
        table[index] = label
        if label:
            # nnU-Net takes the word "ignore" for its own.
            labels["ignore (a class)" if names[index] == "ignore" else names[index]] = label
    table[classes.ignore_index] = first + len(names)
    return labels, table


def _told(export: Export, table: np.ndarray) -> dict[str, int]:
    return {name: int(table[index]) for index, name in enumerate(export.classes.names)}


def _dataset(export: Export, name: str, labels: dict[str, int]) -> dict[str, Any]:
    phantom = "Phantom scenes, no surgery. " if export.phantom else ""
    synthetic = f"{export.synthetic} of {len(export)} cases are synthetic (syn_…)"
    return {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": labels,
        "numTraining": len(export.of_part("train")) + len(export.of_part("validation")),
        "file_ending": _ENDING,
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "name": name,
        "description": f"{phantom}{synthetic}; see README.md.",
        "licence": export.licence,
        "converted_by": "rarescene",
    }


def _fold(export: Export) -> dict[str, list[str]] | None:
    """Return the one fold, or None without validation scenes.

    There is one alone: a generator has seen all training recordings, so no other fold could hold one out.
    """
    fold = {
        key: sorted(case.name for case in export.of_part(part))
        for key, part in (("train", "train"), ("val", "validation"))
    }
    return fold if fold["val"] else None


def _opened(name: str, number: str, has_fold: bool) -> str:
    lines = [f"nnUNetv2_plan_and_preprocess -d {number} -c 2d --verify_dataset_integrity"]
    if has_fold:
        lines += [
            f"cp $nnUNet_raw/{name}/{SPLITS} $nnUNet_preprocessed/{name}/",
            f"nnUNetv2_train {number} 2d 0",
        ]
        why = (
            f"nnU-Net looks for `{SPLITS}` in its preprocessed folder, so copy it there before you train. It "
            "has fold 0 alone, without a synthetic case in its validation; any other fold nnU-Net draws case "
            "by case, through recordings."
        )
    else:
        lines += [f"nnUNetv2_train {number} 2d all"]
        why = (
            "Nothing is kept for validation, so train the fold `all`: folds 0 to 4 nnU-Net draws case by "
            "case, through recordings and with synthetic cases in the validation."
        )
    return "```sh\n" + "\n".join(lines) + f"\n```\n\n{why}"
