"""Figures 3, 6, 7 and 12: how large the space is that a generator learns, and IoU, Dice and AP by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from rarescene.evaluation import Interval
from rarescene.evaluation.run_metrics import read_metrics
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
from rarescene.recipes.gauda.study import Cells, GaudaStudy, seeds_of
from rarescene.recipes.gauda.tables import Compared, NothingToCompareError, compared
from rarescene.recipes.outcome import NOT_TRAINED, Outcome, Sheet, percent
from rarescene.reports import Bars, Chart, Line, bars_picture, charts_picture
from rarescene.reports.formatting import SCORES

WIDTH = 720


def fig3(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 3: variables of one training sample, in latents and in image space. Nothing is trained."""
    sizes = read_scale(scale)
    height, width = sizes.size
    factor = sizes.image_vqgan.network.factor
    latent = (height // factor) * (width // factor)
    channels = sizes.image_vqgan.network.channels, sizes.mask_vqgan.network.channels
    ours = latent * sum(channels)
    forms = {
        "GAUDA, latents of image and mask": (f"{channels[0]} + {channels[1]} channels", ours),
        "an image and one binary mask, as SinGAN-Seg [41]": ("3 + 1 channels", height * width * 4),
        "two colour images, image and mask": ("3 + 3 channels", height * width * 6),
    }
    for data, classes in CLASSES.items():
        count = height * width * (3 + classes)
        forms[f"image and one-hot mask of {TITLES[data]}"] = (f"3 + {classes} channels", count)
    out = Outcome("gauda-fig3", scale, "GAUDA, Figure 3: dimensions of the space that is learned")
    out.values = {name: count for name, (_, count) in forms.items()}
    rows = ((name, form, f"{count:,}", f"{count / ours:.1f}") for name, (form, count) in forms.items())
    heads = ("what is learned", "form", "variables", "times ours")
    out.sheets.append(Sheet(f"Variables of one pair of {width}×{height}", heads, tuple(rows)))
    out.say(
        f"Counted from the `{scale}` scale: sides are reduced {factor}-fold. The paper's picture is lost "
        "in the text that we have, and so are its image size and latent shape.",
        "In image space learn the methods that the paper compares with: a progressively growing StyleGAN "
        "[22] and categorical diffusion [29], an image and its map of classes, here one-hot; SinGAN-Seg "
        "[41], an image and a binary mask. Each is counted in that form at our size, not at its own.",
    )
    bars = [Bars("variables", [float(count) for count in out.values.values()])]
    out.pictures["gauda-fig3"] = bars_picture(
        "Variables of one training sample", list(forms), bars, x_label="variables, by powers of ten",
        logarithmic=True,
    )  # fmt: skip
    return out


def fig6(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 6: IoU by method on CholecSeg8k."""
    return _iou("gauda-fig6", 6, "cholecseg8k", studies["cholecseg8k"], scale)


def fig7(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 7: IoU by method on CaDISv2."""
    return _iou("gauda-fig7", 7, "cadis", studies["cadis"], scale)


def fig12(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 12: Dice and average precision by method."""
    out = Outcome("gauda-fig12", scale, "GAUDA, Figure 12: Dice and average precision")
    pictures, nothing = [], None
    for data, study in studies.items():
        try:
            segmenters = _found(study, "dice")
        except NothingToCompareError as error:
            nothing = error
            out.say(f"{study.title}: {NOT_TRAINED}.")
            continue
        for segmenter, found in segmenters.items():
            title = f"{TITLES[segmenter]} on {study.title}"
            precision = {column: _precision(cells) for column, cells in found.cells.items()}
            out.sheets.append(_dice_sheet(title, found, precision))
            bars = [_bars_of(found, f"{one} mean", f"Dice, {one} mean") for one in ("label", "sample")]
            bars += [_over_seeds(precision, f"{one}_mean", f"AP, {one}") for one in ("label", "sample")]
            pictures.append(_bars(title, bars, "Dice, and average precision"))
            out.values[f"{segmenter}, {data}"] = {
                "dice": found.tested.to_dict(),
                "average precision": {column.name: one for column, one in precision.items()},
            }
            _used(out, segmenter, data, found)
        out.say(*study.titled_notes())
    if not out.sheets and nothing is not None:
        raise nothing
    out.say(
        "Dice: mean over seeds, 95 % intervals over test recordings. AP: mean over seeds, and the lowest "
        "and highest of them."
    )
    out.pictures["gauda-fig12"] = np.concatenate(pictures)
    return out


def _iou(recipe: str, number: int, data: DataName, study: GaudaStudy, scale: str) -> Outcome:
    title = f"GAUDA, Figure {number} (IoU on {TITLES[data]}), here on {study.title}"
    out, parts, charts = Outcome(recipe, scale, title), [], []
    for segmenter, found in _found(study, "iou").items():
        title = f"{TITLES[segmenter]} on {study.title}"
        measures = ("label mean", "sample mean")
        parts.append(_bars(title, [_bars_of(found, measure, measure) for measure in measures], "IoU"))
        charts.append(_frames(title, study, found))
        out.sheets.append(_sheet(title, found))
        out.values[segmenter] = found.tested.to_dict()
        _used(out, segmenter, data, found)
    parts.append(charts_picture(charts, columns=len(charts), width=WIDTH // len(charts), height=380))
    wide = max(part.shape[1] for part in parts)
    out.say(
        *study.notes(),
        "Bars: mean over seeds, 95 % intervals over test recordings. Curves: every test frame's own IoU, "
        "seeds averaged, from the worst to the best; the long tail is on the left.",
    )
    margins = [((0, 0), (0, wide - part.shape[1]), (0, 0)) for part in parts]
    padded = [np.pad(part, one, constant_values=255) for part, one in zip(parts, margins, strict=True)]
    out.pictures[recipe] = np.concatenate(padded)
    return out


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


def _sheet(title: str, found: Compared) -> Sheet:
    shown = ("label mean", "sample mean", "sample median")

    def entry(column: Column, measure: str) -> str:
        return found.entry(column, measure) if column in found.cells else NOT_TRAINED

    return Sheet(
        f"{title}: {SCORES[found.tested.score]} in per cent",
        ("method", *shown),
        tuple((column.head, *(entry(column, measure) for measure in shown)) for column in COLUMNS),
    )


def _dice_sheet(
    title: str, found: Compared, precision: Mapping[Column, Sequence[Mapping[str, Any]]]
) -> Sheet:
    dice = _sheet(title, found)
    means = [_over_seeds(precision, score).values for score in ("label_mean", "sample_mean", "sample_median")]
    heads = [f"{score}, {head}" for score in ("Dice", "AP") for head in dice.columns[1:]]
    return Sheet(
        f"{title}: Dice and average precision (AP) in per cent",
        ("method", *heads),
        tuple((*row, *map(percent, values)) for row, *values in zip(dice.rows, *means, strict=True)),
    )


def _precision(cells: Cells) -> list[dict[str, Any]]:
    """Return the average precision of each seed, as `evaluate` wrote it."""
    return [read_metrics(run).measured["average_precision"] for run in cells.values()]


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


def _used(out: Outcome, segmenter: SegmenterName, data: DataName, found: Compared) -> None:
    for column, cells in found.cells.items():
        out.used(seeds_of(f"{segmenter}, {column.name}", cells, f", {data}"))
