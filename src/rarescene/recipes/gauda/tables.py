"""Tables 1 to 4: IoU of every class, for each way to train PHiSeg and the U-Net ensemble.

Every column has the same network, optimiser steps, batches, seeds and test recordings. The paper's six
columns come first, then ours. A column that is not trained yet says so, and is filled by a later call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rarescene.evaluation import Comparison, ComparisonTable, compare
from rarescene.foundation.errors import ConfigError
from rarescene.recipes.gauda.published import COLUMNS as PUBLISHED_COLUMNS
from rarescene.recipes.gauda.published import TABLE_1, TABLE_2, TABLE_3, TABLE_4, Six
from rarescene.recipes.gauda.rare_class_deficits import losses
from rarescene.recipes.gauda.scale import OURS, PAPER, TITLES, Column, DataName, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent, points

WORST = 3
SUMMARIES = ("label mean", "sample mean", "sample median", "rare mean", f"worst {WORST}")
NOT_TRAINED = "not trained"


def table1(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 1: PHiSeg on CholecSeg8k."""
    return _table("gauda-table1", scale, studies, "phiseg", "cholecseg8k", TABLE_1)


def table2(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 2: the U-Net ensemble on CholecSeg8k."""
    return _table("gauda-table2", scale, studies, "unet_ensemble", "cholecseg8k", TABLE_2)


def table3(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 3: PHiSeg on CaDISv2."""
    return _table("gauda-table3", scale, studies, "phiseg", "cadis", TABLE_3)


def table4(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 4: the U-Net ensemble on CaDISv2."""
    return _table("gauda-table4", scale, studies, "unet_ensemble", "cadis", TABLE_4)


class NothingToCompareError(ConfigError):
    """A segmenter has no column besides `none`, or not even that."""


@dataclass(frozen=True)
class Compared:
    """The columns of one segmenter against `none`.

    Attributes:
        cells: the runs of each column that is there.
        classes: every class, for its mean and interval.
        tested: the means and the rare classes, which are tested.
    """

    cells: Mapping[Column, Cells]
    classes: ComparisonTable
    tested: ComparisonTable

    def of(self, column: Column, measure: str) -> Comparison | None:
        """Return one entry; None where the column is not there, or nothing shows what is measured."""
        for table in (self.tested, self.classes):
            for row in table.rows:
                if (row.strategy, row.measure) == (column.head, measure):
                    return row
        return None


def compared(study: GaudaStudy, segmenter: SegmenterName, score: Literal["iou", "dice"] = "iou") -> Compared:
    """Train what the sitting may train, and compare every column that is there with `none`.

    Raises:
        NothingToCompareError: there is no column besides `none`, or not even that.
    """
    found = {column: study.cells(segmenter, column) for column in PAPER + OURS}
    cells = {column: runs for column, runs in found.items() if runs is not None}
    if PAPER[0] not in cells or len(cells) < 2:
        remedy = "Name another with --strategies; `none` is trained with it."
        raise NothingToCompareError(f"{TITLES[segmenter]} has nothing to compare yet", remedy)
    scores = {
        column.head: {seed: study.scores(run) for seed, run in runs.items()} for column, runs in cells.items()
    }
    names = study.data.scenes.classes.names
    return Compared(
        cells,
        compare(scores, names, baseline="none", rare=names, score=score),
        compare(scores, names, baseline="none", rare=study.rare, worst=WORST, score=score),
    )


def _table(
    recipe: str,
    scale: str,
    studies: Mapping[DataName, GaudaStudy],
    segmenter: SegmenterName,
    data: DataName,
    published: Mapping[str, Six],
) -> Outcome:
    study = studies[data]
    found = compared(study, segmenter)
    names = study.data.scenes.classes.names
    title = f"{TITLES[segmenter]} on {study.title}, IoU in per cent"
    sheets = (
        _scores(f"{title}: the paper's columns", found, PAPER, names, len(study.scale.seeds)),
        _published(published),
        _scores(f"{title}: ours beside `none`", found, (PAPER[0], *OURS), names, len(study.scale.seeds)),
        *_changes(TITLES[segmenter], found, study.rare),
    )
    training = study.scale.segmenters.training(segmenter)
    steps = f"{TITLES[segmenter]}: {training.steps} steps of {training.batch_size} for every column"
    if segmenter == "unet_ensemble":
        steps += (
            f" and each of {study.scale.segmenters.unet_ensemble.model.members} members (the paper's has 10)"
        )
    notes = dict.fromkeys(
        [
            *study.notes(),
            f"{steps}; a validation, and with it a refresh, every {training.validate_every} steps.",
            f"{_seeds(study)}, with 95 % intervals over test recordings.",
            f"Worst {WORST}: each column's own {WORST} lowest classes.",
            "AS goes by validation scores (section 2.1); AS, uncertainty by the variance that GAUDA uses.",
            f"Rare classes: {', '.join(study.rare) or 'none'}, by the masks of all frames, test frames among "
            "them; duplicates and offline pairs are chosen by the same.",
            *_missing(found),
            *found.tested.notes,
            *found.tested.conclusions,
            *losses(study, segmenter, found.tested, found.cells),
        ]
    )
    return Outcome(
        recipe,
        scale,
        f"GAUDA, Table {recipe[-1]} ({TITLES[segmenter]} on {TITLES[data]}), here on {study.title}",
        sheets,
        tuple(notes),
        {"classes": found.classes.to_dict(), "tested": found.tested.to_dict()},
        {
            f"{column.name}, seed {seed}": Path(run).name
            for column, runs in found.cells.items()
            for seed, run in runs.items()
        },
    )


def _scores(
    title: str, found: Compared, columns: Sequence[Column], names: Sequence[str], seeds: int
) -> Sheet:
    def entry(column: Column, measure: str) -> str:
        one = found.of(column, measure)
        if one is None or one.mean is None:
            return MISSING
        text = percent(one.mean)
        if one.interval is not None:
            text += f" [{percent(one.interval.low)}, {percent(one.interval.high)}]"
        return text

    measured = [name for name in SUMMARIES if found.of(PAPER[0], name) is not None]
    trained = ("seeds", *(str(seeds) if column in found.cells else NOT_TRAINED for column in columns))
    return Sheet(
        title,
        ("class", *(column.head for column in columns)),
        (
            *((name, *(entry(column, name) for column in columns)) for name in (*names, *measured)),
            trained,
        ),
    )


def _published(rows: Mapping[str, Six]) -> Sheet:
    return Sheet(
        "The paper's figures, on its own data, size and split",
        ("class", *PUBLISHED_COLUMNS),
        tuple((name, *(percent(value) for value in values)) for name, values in rows.items()),
    )


def _changes(title: str, found: Compared, rare: Sequence[str]) -> tuple[Sheet, ...]:
    """Return what each column gains over `none`: means, their effect sizes and tests, rare classes."""
    columns = [column for column in found.cells if column is not PAPER[0]]
    means = [name for name in SUMMARIES if name != "sample median" and found.of(PAPER[0], name) is not None]

    def gained(column: Column, measure: str) -> str:
        one = found.of(column, measure)
        return MISSING if one is None else points(one.difference, one.difference_interval)

    def tested(column: Column, measure: str) -> str:
        one = found.of(column, measure)
        effect = None if one is None else one.effect_size
        p_value = None if one is None else one.p_holm
        d = MISSING if effect is None else f"{effect:+.1f}".replace("-", "−")
        return f"{d} / {MISSING if p_value is None else f'{p_value:.2f}'}"

    def sheet(words: str, entry: Callable[[Column, str], str], measures: Sequence[str]) -> Sheet:
        rows = tuple((column.head, *(entry(column, name) for name in measures)) for column in columns)
        return Sheet(f"{title}: {words}", ("column", *measures), rows)

    change = "change of IoU against none, in points, with 95 % interval"
    sheets = [sheet(change, gained, means), sheet("the same, Cohen's d / Holm's p", tested, means)]
    for words, group in (("the paper's columns", PAPER[1:]), ("ours", OURS)):
        there = [column for column in group if column in found.cells]
        if there and rare:
            rows = tuple((name, *(gained(column, name) for column in there)) for name in rare)
            heads = ("rare class", *(column.head for column in there))
            sheets.append(Sheet(f"{title}: {change}, {words}", heads, rows))
    return tuple(sheets)


def _seeds(study: GaudaStudy) -> str:
    count = len(study.scale.seeds)
    return "One seed" if count == 1 else f"Means of {count} seeds"


def _missing(found: Compared) -> tuple[str, ...]:
    absent = [column.name for column in PAPER + OURS if column not in found.cells]
    return (f"Not trained yet: {', '.join(absent)}; --strategies adds them.",) if absent else ()
