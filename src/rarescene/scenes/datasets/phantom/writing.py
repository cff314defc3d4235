"""Phantom scenes as files, in the layout of CholecSeg8k or SISVSE, or as plain folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import atomic, read_json, write_json, write_text
from rarescene.foundation.outputs import claimed
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.class_tables import WATERSHED_CODES
from rarescene.scenes.datasets.phantom.config import LICENCE, MARK, PhantomConfig
from rarescene.scenes.datasets.phantom.dataset import phantom_scenes
from rarescene.scenes.datasets.sisvse import IMAGES, MASKS
from rarescene.scenes.scene import Scene, SceneRecord

Layout = Literal["folder", "cholecseg8k", "sisvse"]

CLASSES, NOTE = "classes.json", "README.txt"

_CLIP = 80  # frames of a CholecSeg8k clip
_NOTE = """These are phantom scenes: laparoscopic views drawn by rarescene, not pictures of surgery.
Figures measured on them say nothing about surgical data; call them phantom wherever you show them.

{videos} videos of {frames} frames, {width} x {height} pixels, seed {seed}.
Classes: {classes}. Licence: {licence}.
"""


def write_phantom(
    config: PhantomConfig,
    out: Path,
    layout: Layout = "folder",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the phantom scenes of a configuration as PNG files; files that exist already are kept.

    Layout "folder": `images/video01_frame_00012.png`, `masks/video01_frame_00012.png` (8-bit palette of ids)
    and `classes.json`. Layout "cholecseg8k": `video01/video01_00000/frame_12_endo.png` with `_endo_mask.png`
    (strokes, as annotators leave them; not a label), `_endo_color_mask.png` and `_endo_watershed_mask.png`,
    all RGB, without the white border of one pixel that real masks carry, so that nothing is lost. Layout
    "sisvse": `images/real/R001_ch1_video_00_00-00-00-12.jpg`, and the mask of ids under the same name in a
    folder of each of the three folds, `semantic_masks/real_train_1` or `real_val_1` and so on; as in the real
    set, the images are JPEG files.

    Args:
        config: the scenes to write.
        out: the folder; created if missing.
        layout: see above.
        progress: called with the number of scenes done, and of all, after each scene.

    Raises:
        DataError: the folder holds phantom scenes of another configuration or layout, or cannot be written.
        ConfigError: the layout is that of a data set with other classes, or the folder is somebody else's.
    """
    out = Path(out)
    with claimed(out, "phantom scenes", marker=MARK, resume=True):
        _write(config, out, layout, progress)


def _write(
    config: PhantomConfig, out: Path, layout: Layout, progress: Callable[[int, int], None] | None
) -> None:
    _mark(config, out, layout)
    scenes = phantom_scenes(config)
    if layout == "folder" and not (out / CLASSES).is_file():
        write_json(out / CLASSES, scenes.classes.to_dict())
    for done, record in enumerate(scenes.records, start=1):
        files = _FILES[layout](out, record)
        if not all(path.is_file() for path in files):
            scene = scenes.reader(record)
            for path, kind in files.items():
                if not path.is_file():
                    with atomic(path) as temporary:
                        _save(_picture(scene, kind, scenes.classes), temporary, path)
        if progress is not None:
            progress(done, len(scenes))


def _mark(config: PhantomConfig, out: Path, layout: str) -> None:
    """Mark the folder as holding these phantom scenes, or refuse to mix them with others."""
    if layout not in _FILES:
        raise DataError(f"no layout is called {layout!r}", f"Choose one of {', '.join(_FILES)}.", out)
    if layout not in ("folder", config.classes):
        remedy = f'Choose the layout "folder" or {config.classes!r}, or the classes of {layout!r}.'
        raise ConfigError(f"phantom scenes with the classes of {config.classes} do not fit {layout}", remedy)
    expected = {**asdict(config), "layout": layout}
    marker = out / MARK
    if marker.is_file():
        try:
            found = read_json(marker)
        except CheckpointError as error:
            raise DataError(error.what, "Choose another folder, or delete this one.", marker) from error
        # Older folders do not say their classes, nor the number of their first video.
        if not isinstance(found, dict) or {"classes": "cholecseg8k", "first": 1, **found} != expected:
            raise DataError(
                f"the folder holds phantom scenes of another kind: {found}",
                "Choose another folder, or repeat the command with the same options to go on.",
                out,
            )
    else:
        write_json(marker, expected)
    if not (out / NOTE).is_file():
        write_text(out / NOTE, _NOTE.format(**asdict(config), licence=LICENCE))


def _folder_files(out: Path, record: SceneRecord) -> dict[Path, str]:
    return {out / "images" / f"{record.name}.png": "image", out / "masks" / f"{record.name}.png": "ids"}


def _fold_files(out: Path, record: SceneRecord) -> dict[Path, str]:
    folders = (out / MASKS / f"real_{part}_{fold}" for fold, part in record.details["folds"].items())
    masks = {folder / f"{record.name}.png": "plain ids" for folder in folders}
    return {out / IMAGES / f"{record.name}.jpg": "image"} | masks


def _clip_files(out: Path, record: SceneRecord) -> dict[Path, str]:
    clip = out / record.group / f"{record.group}_{record.order // _CLIP * _CLIP:05d}"
    stem = f"frame_{record.order}_endo"
    return {
        clip / f"{stem}.png": "image",
        clip / f"{stem}_mask.png": "strokes",
        clip / f"{stem}_color_mask.png": "colours",
        clip / f"{stem}_watershed_mask.png": "codes",
    }


_FILES = {"folder": _folder_files, "cholecseg8k": _clip_files, "sisvse": _fold_files}


def _save(picture: Image.Image, temporary: Path, path: Path) -> None:
    if path.suffix == ".jpg":
        picture.save(temporary, "JPEG", quality=95)
    else:
        picture.save(temporary, "PNG", compress_level=3)


def _picture(scene: Scene, kind: str, classes: ClassTable) -> Image.Image:
    if kind == "image":
        return Image.fromarray(scene.image)
    if kind == "plain ids":
        return Image.fromarray(scene.mask)
    if kind == "ids":
        picture = Image.fromarray(scene.mask)
        picture.putpalette(classes.palette().tobytes())
        return picture
    if kind == "colours":
        return Image.fromarray(classes.colourise(scene.mask))
    if kind == "codes":
        return Image.fromarray(np.array(WATERSHED_CODES, np.uint8)[scene.mask]).convert("RGB")
    return _strokes(scene.mask)


def _strokes(mask: np.ndarray) -> Image.Image:
    """Draw what an annotator leaves before the watershed: a stroke of its code along each class's middle."""
    height, width = mask.shape
    picture = Image.new("L", (width, height))
    pen = ImageDraw.Draw(picture)
    for identity in np.unique(mask):
        inside = mask == identity
        columns = np.flatnonzero(inside.sum(axis=0) > height // 40)
        if len(columns) == 0:
            continue
        points, thin = [], height
        for column in columns[:: max(1, len(columns) // 12)]:
            rows = np.flatnonzero(inside[:, column])
            points.append((int(column), int(rows[len(rows) // 2])))
            thin = min(thin, len(rows))
        code = WATERSHED_CODES[identity]
        pen.line(points, fill=code, width=max(1, min(thin // 2, height // 24)), joint="curve")
    return picture.convert("RGB")
