"""Figures 3, 6, 7 and 12: how large the space is that a generator learns, and IoU, Dice and AP by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rarescene.evaluation import METRICS, Interval
from rarescene.foundation.files import read_json
from rarescene.recipes.gauda.published import CLASSES
from rarescene.recipes.gauda.scale import (
    COLUMNS,
    PAPER,
    SEGMENTERS,
    TITLES,
    Column,
    DataName,
    SegmenterName,
    read_scale,
)
from rarescene.recipes.gauda.study import Cells, GaudaStudy
from rarescene.recipes.gauda.tables import NOT_TRAINED, Compared, NothingToCompareError, compared
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent
from rarescene.reports import Bars, Chart, Line, bars_picture, charts_picture

WIDTH = 720


def fig3(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 3: variables of one training sample, in latents and in image space. Nothing is trained."""
    sizes = read_scale(scale)
    height, width = sizes.size
    factor = sizes.image_vqgan.network.factor
    latent = (height // factor) * (width // factor)
    channels = sizes.image_vqgan.network.channels, sizes.mask_vqgan.network.channels
    ours = latent * sum(channels)
    rows: list[tuple[str, str, int]] = [
        ("GAUDA, latents of image and mask", f"{channels[0]} + {channels[1]} channels", ours),
        ("an image and one binary mask, as SinGAN-Seg [41]", "3 + 1 channels", height * width * 4),
        ("two colour images, image and mask", "3 + 3 channels", height * width * 6),
    ]  # fmt: skip
    rows += [
        (
            f"image and one-hot mask of {TITLES[data]}",
            f"3 + {classes} channels",
            height * width * (3 + classes),
        )
        for data, classes in CLASSES.items()
    ]
    return Outcome(
        "gauda-fig3",
        scale,
        "GAUDA, Figure 3: dimensions of the space that is learned",
        (
            Sheet(
                f"Variables of one pair of {width}×{height}",
                ("what is learned", "form", "variables", "times ours"),
                tuple((name, form, f"{count:,}", f"{count / ours:.1f}") for name, form, count in rows),
            ),
        ),
        (
            f"Counted from the `{scale}` scale: sides are reduced {factor}-fold. The paper's figure is lost "
            "in the text that we have, and so are its image size and latent shape.",
            "In image space learn the methods that the paper compares with: a progressively growing StyleGAN "
            "[22] and categorical diffusion [29], an image and its map of classes, here one-hot; SinGAN-Seg "
            "[41], an image and a binary mask. Each is counted in that form at our size, not at its own.",
        ),
        {name: count for name, _, count in rows},
        {},
        {
            "gauda-fig3": bars_picture(
                "Variables of one training sample",
                [name for name, _, _ in rows],
                [Bars("variables", [float(count) for _, _, count in rows])],
                x_label="variables, by powers of ten",
                logarithmic=True,
            )
        },
    )


def fig6(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 6: IoU by method on CholecSeg8k."""
    return _iou("gauda-fig6", 6, "cholecseg8k", studies["cholecseg8k"], scale)


def fig7(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 7: IoU by method on CaDISv2."""
    return _iou("gauda-fig7", 7, "cadis", studies["cadis"], scale)


def fig12(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 12: Dice and average precision by method."""
    sheets, pictures, notes, values, runs = [], [], dict[str, None](), dict[str, Any](), dict[str, str]()
    nothing = None
    for data, study in studies.items():
        try:
            segmenters = _found(study, "dice")
        except NothingToCompareError as error:
            nothing = error
            notes[f"{study.title}: not trained."] = None
            continue
        for segmenter, found in segmenters.items():
            title = f"{TITLES[segmenter]} on {study.title}"
            precision = {column: _precision(cells) for column, cells in found.cells.items()}
            sheets.append(_dice_sheet(title, found, precision))
            means = ("label mean", "sample mean")
            bars = [
                *(_bars_of(found, measure, f"Dice, {measure}") for measure in means),
                *(
                    _over_seeds(precision, f"{measure}_mean", f"AP, {measure}")
                    for measure in ("label", "sample")
                ),
            ]
            pictures.append(_bars(title, bars, "Dice, and average precision"))
            values[f"{segmenter}, {data}"] = {
                "dice": found.tested.to_dict(),
                "average precision": {column.name: one for column, one in precision.items()},
            }
            runs |= _runs(segmenter, data, found)
        notes |= dict.fromkeys(f"{study.title}: {note}" for note in study.notes())
    if not sheets and nothing is not None:
        raise nothing
    return Outcome(
        "gauda-fig12",
        scale,
        "GAUDA, Figure 12: Dice and average precision",
        tuple(sheets),
        (
            *notes,
            "Dice: mean over seeds, 95 % intervals over test recordings. AP: mean over seeds, and the lowest "
            "and highest of them.",
        ),
        values,
        runs,
        {"gauda-fig12": np.concatenate(pictures)},
    )


def _iou(recipe: str, number: int, data: DataName, study: GaudaStudy, scale: str) -> Outcome:
    parts, sheets, values, runs = [], [], dict[str, Any](), dict[str, str]()
    charts = []
    for segmenter, found in _found(study, "iou").items():
        title = f"{TITLES[segmenter]} on {study.title}"
        measures = ("label mean", "sample mean")
        bars = [_bars_of(found, measure, measure) for measure in measures]
        parts.append(_bars(title, bars, "IoU"))
        charts.append(_frames(title, study, found))
        sheets.append(_sheet(title, found, measures))
        values[segmenter] = found.tested.to_dict()
        runs |= _runs(segmenter, data, found)
    parts.append(charts_picture(charts, columns=len(charts), width=WIDTH // len(charts), height=380))
    wide = max(part.shape[1] for part in parts)
    return Outcome(
        recipe,
        scale,
        f"GAUDA, Figure {number} (IoU on {TITLES[data]}), here on {study.title}",
        tuple(sheets),
        (
            *study.notes(),
            "Bars: mean over seeds, 95 % intervals over test recordings. Curves: every test frame's own IoU, "
            "seeds averaged, from the worst to the best; the long tail is on the left.",
        ),
        values,
        runs,
        {recipe: np.concatenate([_widened(part, wide) for part in parts])},
    )


def _found(study: GaudaStudy, score: Literal["iou", "dice"]) -> Mapping[SegmenterName, Compared]:
    """Return the segmenters that have something to compare.

    Raises:
        NothingToCompareError: none has.
    """
    found, last = {}, None
    for segmenter in SEGMENTERS:
        try:
            found[segmenter] = compared(study, segmenter, score)
        except NothingToCompareError as error:
            last = error
    if not found and last is not None:
        raise last
    return found


def _bars_of(found: Compared, measure: str, name: str) -> Bars:
    rows = [found.of(column, measure) for column in COLUMNS]
    return Bars(
        name,
        [None if row is None else row.mean for row in rows],
        [None if row is None else row.interval for row in rows],
    )


def _bars(title: str, bars: Sequence[Bars], x_label: str) -> np.ndarray:
    return bars_picture(title, [column.head for column in COLUMNS], bars, x_label=x_label, width=WIDTH)


def _frames(title: str, study: GaudaStudy, found: Compared) -> Chart:
    """Return a chart of all test frames' IoU, ascending, for the paper's columns that are there."""
    lines = []
    for place, column in enumerate(PAPER):
        if column in found.cells:
            sorted_iou = np.sort(frames_iou(study, found.cells[column]))
            x = np.linspace(0, 100, len(sorted_iou))
            lines.append(Line(column.head, x.tolist(), sorted_iou.tolist(), series=place))
    return Chart(title, tuple(lines), x_label="test frames, per cent", y_label="IoU of the frame")


def frames_iou(study: GaudaStudy, cells: Cells) -> np.ndarray:
    """Return the IoU of each test frame, averaged over seeds, by recording, `(N,)`."""
    seeds = []
    for run in cells.values():
        scores = study.scores(run)
        seeds.append(np.concatenate([scores[name].sample_iou for name in sorted(scores)]))
    mean: np.ndarray = np.mean(seeds, axis=0)
    return mean


def _sheet(title: str, found: Compared, measures: Sequence[str]) -> Sheet:
    def entry(column: Column, measure: str) -> str:
        one = found.of(column, measure)
        if one is None or one.mean is None:
            return NOT_TRAINED if column not in found.cells else MISSING
        interval = one.interval
        return percent(one.mean) + (
            "" if interval is None else f" [{percent(interval.low)}, {percent(interval.high)}]"
        )

    shown = (*measures, "sample median")
    return Sheet(
        f"{title}: {found.tested.score.replace('iou', 'IoU').replace('dice', 'Dice')} in per cent",
        ("method", *shown),
        tuple((column.head, *(entry(column, measure) for measure in shown)) for column in COLUMNS),
    )


def _dice_sheet(
    title: str, found: Compared, precision: Mapping[Column, Sequence[Mapping[str, Any]]]
) -> Sheet:
    dice = _sheet(title, found, ("label mean", "sample mean"))
    means = [_over_seeds(precision, score).values for score in ("label_mean", "sample_mean", "sample_median")]
    rows = [(*row, *map(percent, values)) for row, *values in zip(dice.rows, *means, strict=True)]
    heads = ("method", *(f"Dice, {head}" for head in dice.columns[1:]))
    return Sheet(
        f"{title}: Dice and average precision (AP) in per cent",
        (*heads, "AP, label mean", "AP, sample mean", "AP, sample median"),
        tuple(rows),
    )


def _precision(cells: Cells) -> list[dict[str, Any]]:
    """Return the average precision of each seed, as `evaluate` wrote it."""
    return [read_json(Path(run) / METRICS)["average_precision"] for run in cells.values()]


def _over_seeds(precision: Mapping[Column, Sequence[Mapping[str, Any]]], score: str, name: str = "") -> Bars:
    """Return the mean over seeds in each column, between the lowest and the highest of them."""
    columns = [
        [one[score] for one in precision.get(column, ()) if one[score] is not None] for column in COLUMNS
    ]
    return Bars(
        name,
        [float(np.mean(values)) if values else None for values in columns],
        [Interval(min(values), max(values)) if values else None for values in columns],
    )


def _runs(segmenter: SegmenterName, data: DataName, found: Compared) -> dict[str, str]:
    return {
        f"{segmenter}, {column.name}, seed {seed}, {data}": Path(run).name
        for column, cells in found.cells.items()
        for seed, run in cells.items()
    }


def _widened(picture: np.ndarray, width: int) -> np.ndarray:
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
