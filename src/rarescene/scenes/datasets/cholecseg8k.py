"""CholecSeg8k: laparoscopic cholecystectomy, 101 clips of 80 frames from 17 recordings, 854x480, 13 classes.

Files are `videoXX/videoXX_NNNNN/frame_N_endo.png` with `_watershed_mask` (gray codes, which we read),
`_color_mask` (the same in colours, read where the gray one is missing) and `_mask` (annotation strokes, which
are never read). The licence is CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import re
from pathlib import Path

from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K, WATERSHED_CODES
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import list_pairs
from rarescene.scenes.rasters import walk_files
from rarescene.scenes.scene import SceneRecord
from rarescene.scenes.split import named_recordings

LICENCE = "CC BY-NC-SA 4.0"

VALIDATION_VIDEOS = ("video17", "video52")
TEST_VIDEOS = ("video12", "video27")
"""The split by recording that is in use elsewhere."""

_FILE = re.compile(
    r"(?P<frame>.*?(?P<number>\d+)_endo)(?P<kind>|_mask|_color_mask|_watershed_mask)\.png", re.IGNORECASE
)
_VIDEO = re.compile(r"video_?\d+", re.IGNORECASE)


def list_cholecseg8k(root: Path) -> Listing:
    """List the frames under `root`, which may be the whole data set, one video, or one clip.

    Recordings are the `videoXX` folders; names are relative paths.
    """
    frames: dict[Path, dict[str, Path]] = {}
    for path in walk_files(root):
        match = _FILE.fullmatch(path.name)
        if match:
            frames.setdefault(path.with_name(match["frame"]), {})[match["kind"].lower()] = path
    if not frames:
        remedy = "Give the folder that holds video01, video09, …; frames are called frame_N_endo.png."
        return Listing(None, (Fault(root, "holds no CholecSeg8k frames", remedy),))

    faults: list[Fault] = []
    records: list[SceneRecord] = []
    coloured = 0
    for frame, kinds in frames.items():
        mask = kinds.get("_watershed_mask") or kinds.get("_color_mask")
        if mask is None or "" not in kinds:
            faults.append(_missing(frame, kinds))
            continue
        coloured += "_watershed_mask" not in kinds
        name = frame.relative_to(root).as_posix()
        match = _FILE.fullmatch(kinds[""].name)
        order = int(match["number"]) if match else 0
        records.append(SceneRecord(name, _video(frame, root), order, kinds[""], mask))
    notes = (f"{coloured} frames have no watershed mask; their colour masks are read",) if coloured else ()
    return list_pairs(_code(), records, LICENCE, faults, notes)


def _code() -> MaskCode:
    ignore = CHOLECSEG8K.ignore_index
    values = {code: class_id for class_id, code in enumerate(WATERSHED_CODES)}
    colours = {**MaskCode.plain(CHOLECSEG8K).colours, (0, 0, 0): ignore}
    # Gray 255 is a white border and 0 may stray; a mask that is mostly 0 is the stroke mask under another
    # name.
    return MaskCode(CHOLECSEG8K, values | {255: ignore, 0: ignore}, colours, refuse_strokes=True)


def _video(frame: Path, root: Path) -> str:
    inside = frame.relative_to(root).parts[:-1]
    above = root.resolve().parts[::-1]
    for part in (*inside, *above):
        match = _VIDEO.match(part)
        if match:
            return match[0].lower()
    return inside[0] if inside else root.resolve().name


def _missing(frame: Path, kinds: dict[str, Path]) -> Fault:
    if "" not in kinds:
        present = next(iter(kinds.values()))
        return Fault(present, "is a mask without its image", f"Restore {frame.name}.png, or remove the mask.")
    strokes = (
        " The `_endo_mask` beside it holds annotation strokes and is never used." if "_mask" in kinds else ""
    )
    remedy = f"Restore {frame.name}_watershed_mask.png, or remove the image.{strokes}"
    return Fault(kinds[""], "has no watershed mask and no colour mask", remedy)


CHOLECSEG8K_FRAMES = DatasetMethod(
    name="cholecseg8k",
    summary="CholecSeg8k as it is distributed: all of it, one video, or one clip",
    example="rarescene check cholecseg8k:/data/CholecSeg8k",
    list=list_cholecseg8k,
    splits={"cholecseg8k": named_recordings("CholecSeg8k", VALIDATION_VIDEOS, TEST_VIDEOS)},
)
