"""CaDISv2: cataract surgery through a microscope, 4670 frames of 25 videos, 960x540, 36 ids in the files.

Files are `Video01/Images/Video1_frame000090.png` and `Video01/Labels/Video1_frame000090.png`. Labels come as
L, RGB or RGBA; the ids are in the first channel. Frames are in the order of the number in their name.
"""

from __future__ import annotations

import re
from pathlib import Path

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.datasets.class_tables import SETTINGS
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import list_pairs
from rarescene.scenes.rasters import walk_files
from rarescene.scenes.scene import SceneRecord
from rarescene.scenes.split import named_recordings

LICENCE = "terms of its publishers: https://cataracts-semantic-segmentation2020.grand-challenge.org"

VALIDATION_VIDEOS = ("Video05", "Video07", "Video16")
TEST_VIDEOS = ("Video02", "Video12", "Video22")
"""The official split by video."""

_FILE = re.compile(r"(?P<name>Video(?P<video>\d+)_frame(?P<frame>\d+))\.png", re.IGNORECASE)
_WISHES = {"": None, "yes": True, "true": True, "no": False, "false": False}  # YAML makes true and false


def list_cadis(root: Path, *, setting: str = "2", images: str = "") -> Listing:
    """List the frames under `root`, which may be the whole data set or some of its video folders.

    Recordings are the videos, `Video01`, …; names are like `Video1_frame000090`.

    Args:
        root: the folder.
        setting: "1", "2" or "3", see `SETTINGS`.
        images: "no" reads the labels alone, with "yes" an image that is missing is a fault. By default it is
            one, unless there is no image at all: then the labels are read alone.

    Raises:
        ConfigError: no such setting, or `images` is neither.
    """
    if images.casefold() not in _WISHES:
        remedy = "Leave it out, or write images=no."
        raise ConfigError(f"images={images} is neither yes nor no", remedy)
    if setting not in SETTINGS:
        remedy = f"Choose one of {', '.join(SETTINGS)}: 8, 17 or 25 classes."
        raise ConfigError(f"CaDIS has no setting {setting!r}", remedy)
    labels, frames = _found(root, "labels"), _found(root, "images")
    if not labels:
        remedy = "Give the folder that holds Video01, Video02, …, each with Images and Labels."
        return Listing(None, (Fault(root, "holds no CaDIS labels", remedy),))
    wish = _WISHES[images.casefold()]
    pictured = bool(frames) if wish is None else wish

    faults: list[Fault] = []
    if pictured:
        faults += [_without_image(labels[name]) for name in sorted(labels.keys() - frames.keys())]
        faults += [_without_label(frames[name]) for name in sorted(frames.keys() - labels.keys())]
    records: list[SceneRecord] = []
    for name, label in labels.items():
        match = _FILE.fullmatch(label.name)
        if match is None or (pictured and name not in frames):
            continue
        group, image = f"Video{int(match['video']):02d}", frames[name] if pictured else None
        records.append(SceneRecord(match["name"], group, int(match["frame"]), image, label))
    chosen = SETTINGS[setting]
    code = MaskCode(chosen.table, chosen.values, {}, first_channel=True)
    return list_pairs(code, records, LICENCE, faults)


def _found(root: Path, folder: str) -> dict[str, Path]:
    """Return the frames in folders of this name (`images` or `labels`), by their name in lower case."""
    return {
        path.stem.casefold(): path
        for path in walk_files(root)
        if path.resolve().parent.name.casefold() == folder and _FILE.fullmatch(path.name)
    }


def _without_image(label: Path) -> Fault:
    image = label.parent.with_name("Images") / label.name
    remedy = f"Restore {image}, or add `,images=no` behind the path to read the labels alone."
    return Fault(label, "is a label map without its image", remedy)


def _without_label(image: Path) -> Fault:
    label = image.parent.with_name("Labels") / image.name
    return Fault(image, "has no label map", f"Restore {label}, or remove the image.")


CADIS = DatasetMethod(
    name="cadis",
    summary="CaDISv2 as it is distributed, or some of its video folders",
    example="rarescene check cadis:/data/CaDIS,setting=3",
    list=list_cadis,
    options=("setting", "images"),
    splits={"cadis": named_recordings("CaDIS", VALIDATION_VIDEOS, TEST_VIDEOS)},
)
