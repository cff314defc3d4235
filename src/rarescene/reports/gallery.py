"""Pictures for people: rows of map, real, synthetic and prediction; overlays, error maps and contact sheets.

All pictures are uint8: images `(H, W, 3)` in RGB, masks `(H, W)` of class ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rarescene.foundation.files import atomic
from rarescene.reports.formatting import listing

if TYPE_CHECKING:
    from rarescene.scenes import ClassTable, SceneSet

FOUND = (240, 240, 240)
MISSED = (213, 94, 0)
INVENTED = (86, 180, 233)
ELSEWHERE = (48, 52, 56)
UNLABELLED = (110, 110, 110)

ERRORS = "errors, "

ERROR_LEGEND: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("found", FOUND),
    ("missed", MISSED),
    ("invented", INVENTED),
    ("other classes", ELSEWHERE),
    ("unlabelled", UNLABELLED),
)


@dataclass(frozen=True)
class Cell:
    """One picture of the gallery: uint8 `(H, W, 3)`, a label, and words for those who cannot see it.

    `flat` pictures are made of class ids and are enlarged without smoothing.
    """

    label: str
    picture: np.ndarray
    alt: str
    flat: bool = False


@dataclass(frozen=True)
class GalleryRow:
    """One scene of the gallery, cell by cell."""

    title: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class GalleryScene:
    """What one row of the gallery shows.

    Attributes:
        real: the real frame, or None where there is none.
        synthetic: pictures generated from the same labels, by name.
        predictions: masks predicted on the real frame, by the name of the run.
        targets: ids of the rare classes that the row is about.
    """

    name: str
    recording: str
    mask: np.ndarray
    real: np.ndarray | None = None
    synthetic: Mapping[str, np.ndarray] = field(default_factory=dict)
    predictions: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: tuple[int, ...] = ()
    note: str = ""


def representative(areas: np.ndarray, targets: Sequence[int], count: int) -> list[int]:
    """Return up to `count` scene indices, chosen by a rule and not by eye.

    For each target class in turn, of the scenes that show it, the one of median area comes first, then those
    next to it by area. A scene is taken once.

    Args:
        areas: pixels of each class in each scene, `(N, C)`.
        targets: class ids, in the order in which they take turns.
    """
    queues = [_from_the_median(areas[:, target]) for target in targets]
    chosen: list[int] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return chosen


def class_areas(scenes: SceneSet) -> np.ndarray:
    """Return the pixels of each class in each scene of a set that is not decoded, `(N, C)`."""
    masks = (scenes.mask(index) for index in range(len(scenes)))
    return np.stack([np.bincount(mask.ravel(), minlength=256)[: len(scenes.classes)] for mask in masks])


def gallery_rows(
    scenes: Sequence[GalleryScene],
    classes: ClassTable,
    *,
    errors: bool = True,
    phantom: bool = False,
    side: int = 384,
) -> tuple[GalleryRow, ...]:
    """Return the gallery: map, real, synthetic pictures, predictions, and where each errs on the targets.

    Args:
        errors: whether an error map follows each prediction; only in rows that have targets.
        phantom: whether the frames are phantom ones and must not be called real.
        side: larger pictures are made smaller until their longer side is this many pixels.
    """
    frame = "phantom frame" if phantom else "real"
    return tuple(_row(scene, classes, errors, frame, side) for scene in scenes)


def overlay(image: np.ndarray, mask: np.ndarray, classes: ClassTable, *, opacity: float = 0.35) -> np.ndarray:
    """Return the image tinted by its classes, with their borders in full colour; unlabelled pixels stay."""
    colours = classes.colourise(mask).astype(np.float32)
    strength = np.where(contours(mask), 1.0, opacity).astype(np.float32)
    strength[mask == classes.ignore_index] = 0.0
    mixed = image * (1 - strength[..., None]) + colours * strength[..., None]
    return np.rint(mixed).astype(np.uint8)


def contours(mask: np.ndarray) -> np.ndarray:
    """Return bool `(H, W)`: pixels whose right or lower neighbour belongs to another class."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1, :] |= mask[:-1, :] != mask[1:, :]
    return edge


def error_map(
    truth: np.ndarray, prediction: np.ndarray, targets: Sequence[int], ignore_index: int
) -> np.ndarray:
    """Return where the target classes were found, missed or invented, in the colours of `ERROR_LEGEND`.

    A target pixel predicted as another target counts as missed. Unlabelled pixels are neither.
    """
    wanted, given = np.isin(truth, targets), np.isin(prediction, targets)
    picture = np.empty((*truth.shape, 3), np.uint8)
    picture[:] = ELSEWHERE
    picture[given & ~wanted] = INVENTED
    picture[wanted] = MISSED
    picture[wanted & (truth == prediction)] = FOUND
    picture[truth == ignore_index] = UNLABELLED
    return picture


def enlarge(picture: np.ndarray, side: int, *, flat: bool = False) -> np.ndarray:
    """Return the picture with its longer side at `side` pixels.

    Pictures made of ids (`flat`) take the nearest pixel, so that no colour is invented; images are
    enlarged bicubically.
    """
    height, width = picture.shape[:2]
    longer = max(height, width)
    size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
    method = Image.Resampling.NEAREST if flat else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(size, method))


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[str],
    *,
    titles: Sequence[str] = (),
    side: int = 192,
    flat: Sequence[int] = (0,),
) -> Image.Image:
    """Return one picture of many, each column under its label.

    Args:
        rows: pictures, row by row; a row may be shorter than the others.
        labels: one a column.
        titles: one a row, written over it; or none.
        side: longer side of each picture, in pixels.
        flat: columns that show maps, enlarged without smoothing.

    Raises:
        ValueError: a row has more pictures than there are labels, or titles and rows differ in number.
    """
    if any(len(row) > len(labels) for row in rows):
        raise ValueError("a row has more pictures than there are labels")
    if titles and len(titles) != len(rows):
        raise ValueError("give one title a row, or none")
    gap, font = 8, ImageFont.load_default(size=14)
    head, line = 30, 24 if titles else 0
    pictures = [
        [enlarge(picture, side, flat=column in flat) for column, picture in enumerate(row)] for row in rows
    ]
    heights = [max((picture.shape[0] for picture in row), default=0) for row in pictures]
    width = gap + len(labels) * (side + gap)
    sheet = Image.new("RGB", (width, head + sum(height + line + gap for height in heights)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, label in enumerate(labels):
        pen.text((gap + column * (side + gap), 8), _fitted(label, side, font), fill="black", font=font)
    top = head
    for index, row in enumerate(pictures):
        if titles:
            title = _fitted(titles[index], width - 2 * gap, font)
            pen.text((gap, top + 2), title, fill=(90, 90, 90), font=font)
        for column, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (gap + column * (side + gap), top + line))
        top += heights[index] + line + gap
    return sheet


def write_picture(path: Path, picture: Image.Image | np.ndarray) -> None:
    """Write a picture as PNG, atomically."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with atomic(path) as temporary:
        image.save(temporary, "PNG")


def _from_the_median(areas: np.ndarray) -> list[int]:
    shown = np.flatnonzero(areas)
    by_area = shown[np.argsort(areas[shown], kind="stable")]
    middle = (len(by_area) - 1) // 2
    order = sorted(range(len(by_area)), key=lambda place: (abs(place - middle), place))
    return [int(by_area[place]) for place in order]


def _row(scene: GalleryScene, classes: ClassTable, errors: bool, frame: str, side: int) -> GalleryRow:
    present = [classes.names[index] for index in range(len(classes)) if np.any(scene.mask == index)]
    where = f"scene {scene.name} of recording {scene.recording}"
    targets = listing([classes.names[target] for target in scene.targets])
    cells: list[Cell] = []

    def add(label: str, picture: np.ndarray, alt: str, flat: bool = False) -> None:
        if max(picture.shape[:2]) > side:
            picture = enlarge(picture, side, flat=flat)
        cells.append(Cell(label, picture, alt, flat))

    add("map", classes.colourise(scene.mask), f"Labels of {where}: {listing(present)}", flat=True)
    if scene.real is not None:
        add(frame, scene.real, f"The {frame} of {where}")
    for name, picture in scene.synthetic.items():
        add(name, picture, f"Synthetic picture ({name}) from the labels of {where}")
    for name, found in scene.predictions.items():
        add(f"prediction, {name}", classes.colourise(found), f"Prediction of {name} on {where}", flat=True)
        if errors and scene.targets:
            mistakes = error_map(scene.mask, found, scene.targets, classes.ignore_index)
            add(f"{ERRORS}{name}", mistakes, f"Where {name} found, missed or invented {targets}", flat=True)
    title = f"{targets} · {scene.name}" if targets else scene.name
    return GalleryRow(title, tuple(cells), scene.note)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
