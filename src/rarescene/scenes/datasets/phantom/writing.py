"""Phantom scenes as files, in the layout of CholecSeg8k or as plain folders of images and masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.files import atomic, read_json, write_json, write_text
from rarescene.scenes.datasets.cholecseg8k_classes import CHOLECSEG8K, WATERSHED_CODES
from rarescene.scenes.datasets.phantom.config import PhantomConfig
from rarescene.scenes.datasets.phantom.dataset import LICENCE, phantom_scenes
from rarescene.scenes.scene import Scene, SceneRecord

Layout = Literal["folder", "cholecseg8k"]

_CLIP = 80  # frames of a CholecSeg8k clip
_NOTE = """These are phantom scenes: laparoscopic views drawn by rarescene, not pictures of surgery.
Figures measured on them say nothing about surgical data; call them phantom wherever you show them.

{videos} videos of {frames} frames, {width} x {height} pixels, seed {seed}.
Classes: those of CholecSeg8k. Licence: {licence}.
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
    all RGB, without the white border of one pixel that real masks carry, so that nothing is lost.

    Args:
        config: the scenes to write.
        out: the folder; created if missing.
        layout: see above.
        progress: called with the number of scenes done, and of all, after each scene.

    Raises:
        DataError: the folder holds phantom scenes of another configuration or layout, or cannot be written.
    """
    out = Path(out)
    _claim_folder(config, out, layout)
    scenes = phantom_scenes(config)
    if layout == "folder":
        write_json(out / "classes.json", scenes.classes.to_dict())
    for done, record in enumerate(scenes.records, start=1):
        files = _folder_files(out, record) if layout == "folder" else _clip_files(out, record)
        if not all(path.is_file() for path in files.values()):
            scene = scenes.reader(record)
            for kind, path in files.items():
                if not path.is_file():
                    with atomic(path) as temporary:
                        _picture(scene, kind).save(temporary, compress_level=3)
        if progress is not None:
            progress(done, len(scenes))


def _claim_folder(config: PhantomConfig, out: Path, layout: str) -> None:
    """Mark the folder as holding these phantom scenes, or refuse to mix them with others."""
    if layout not in ("folder", "cholecseg8k"):
        raise DataError(f"no layout is called {layout!r}", 'Choose "folder" or "cholecseg8k".', out)
    expected = {**asdict(config), "layout": layout}
    marker = out / "phantom.json"
    if marker.is_file():
        try:
            found = read_json(marker)
        except CheckpointError as error:
            raise DataError(
                error.what, "Delete this file to go on writing into the folder.", marker
            ) from error
        if found != expected:
            raise DataError(
                f"the folder holds phantom scenes of another kind: {found}",
                "Choose another folder, or repeat the command with the same options to go on.",
                out,
            )
    write_json(marker, expected)
    write_text(out / "README.txt", _NOTE.format(**asdict(config), licence=LICENCE))


def _folder_files(out: Path, record: SceneRecord) -> dict[str, Path]:
    return {"image": out / "images" / f"{record.name}.png", "ids": out / "masks" / f"{record.name}.png"}


def _clip_files(out: Path, record: SceneRecord) -> dict[str, Path]:
    clip = out / record.group / f"{record.group}_{record.order // _CLIP * _CLIP:05d}"
    stem = f"frame_{record.order}_endo"
    return {
        "image": clip / f"{stem}.png",
        "strokes": clip / f"{stem}_mask.png",
        "colours": clip / f"{stem}_color_mask.png",
        "codes": clip / f"{stem}_watershed_mask.png",
    }


def _picture(scene: Scene, kind: str) -> Image.Image:
    if kind == "image":
        return Image.fromarray(scene.image)
    if kind == "ids":
        picture = Image.fromarray(scene.mask)
        picture.putpalette(CHOLECSEG8K.palette().tobytes())
        return picture
    if kind == "colours":
        return Image.fromarray(CHOLECSEG8K.colourise(scene.mask))
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
