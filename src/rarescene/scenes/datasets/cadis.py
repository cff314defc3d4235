"""CaDISv2: cataract surgery through a microscope, 4670 frames of 25 videos, 960x540, 36 ids in the files.

Files are `Video01/Images/Video1_frame000090.png` and `Video01/Labels/Video1_frame000090.png`. Labels come as
L, RGB or RGBA; the ids are in the first channel. Frames are in the order of the number in their name.
"""

from __future__ import annotations

import re
from pathlib import Path

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes.datasets.class_tables import SETTINGS
from rarescene.scenes.datasets.groups import group_by_pattern
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.pairs import MaskCode, PairReader
from rarescene.scenes.rasters import walk_files
from rarescene.scenes.scene import SceneRecord, SceneSet

LICENCE = "terms of its publishers: https://cataracts-semantic-segmentation2020.grand-challenge.org"

VALIDATION_VIDEOS = ("Video05", "Video07", "Video16")
TEST_VIDEOS = ("Video02", "Video12", "Video22")
"""The official split by video."""

_FILE = re.compile(r"(?P<name>Video(?P<video>\d+)_frame(?P<frame>\d+))\.png", re.IGNORECASE)


def list_cadis(
    root: Path, group_by: str | None = None, *, setting: str = "2", images: bool | None = None
) -> Listing:
    """List the frames under `root`, which may be the whole data set or some of its video folders.

    Args:
        root: the folder.
        group_by: a regular expression over names like `Video1_frame000090` that tells recordings apart; by
            default they are the videos, `Video01`, ….
        setting: "1", "2" or "3", see `SETTINGS`.
        images: False reads the labels alone. By default images are read, and one that is missing is a fault,
            unless there is none at all: then the labels are read alone.

    Raises:
        ConfigError: no such setting.
    """
    if setting not in SETTINGS:
        remedy = f"Choose one of {', '.join(SETTINGS)}: 8, 17 or 25 classes."
        raise ConfigError(f"CaDIS has no setting {setting!r}", remedy)
    labels, frames = _found(root, "labels"), _found(root, "images")
    if not labels:
        remedy = "Give the folder that holds Video01, Video02, …, each with Images and Labels."
        return Listing(None, (Fault(root, "holds no CaDIS labels", remedy),))
    pictured = bool(frames) if images is None else images

    faults: list[Fault] = []
    if pictured:
        faults += [_without_image(labels[name]) for name in sorted(labels.keys() - frames.keys())]
        faults += [_without_label(frames[name]) for name in sorted(frames.keys() - labels.keys())]
    records: list[SceneRecord] = []
    for name, label in labels.items():
        match = _FILE.fullmatch(label.name)
        if match is None or (pictured and name not in frames):
            continue
        try:
            group = (
                group_by_pattern(group_by, match["name"]) if group_by else f"Video{int(match['video']):02d}"
            )
        except DataError as error:
            faults.append(Fault.of(error))
            continue
        image = frames[name] if pictured else None
        records.append(SceneRecord(match["name"], group, int(match["frame"]), image, label))
    records.sort(key=lambda record: (record.group, record.order, record.name))
    chosen = SETTINGS[setting]
    code = MaskCode(chosen.table, chosen.values, {}, first_channel=True)
    scenes = SceneSet(chosen.table.name, chosen.table, tuple(records), PairReader(code), LICENCE)
    return Listing(scenes if records else None, tuple(faults))


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
