"""Tables 1 to 4: IoU of every class, for each way to train PHiSeg and the U-Net ensemble.

Every column has the same network, optimiser steps, batches, seeds and test recordings. The paper's six
columns come first, then ours. A column that is not trained yet says so, and is filled by a later call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rarescene.evaluation import Comparison, ComparisonTable, compare
from rarescene.foundation.errors import ConfigError
from rarescene.recipes.gauda.published import COLUMNS as PUBLISHED_COLUMNS
from rarescene.recipes.gauda.published import TABLE_1, TABLE_2, TABLE_3, TABLE_4, Six
from rarescene.recipes.gauda.rare_class_deficits import losses
from rarescene.recipes.gauda.scale import COLUMNS, OURS, PAPER, TITLES, Column, DataName, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, seeds_of
from rarescene.recipes.outcome import NOT_TRAINED, Outcome, Sheet, gained, percent, tested

WORST = 3
SUMMARIES = ("label mean", "sample mean", "sample median", "rare mean", f"worst {WORST}")


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
        classes: every class, for its mean and interval.
        tested: the means and the rare classes, which are tested.
    """

    cells: Mapping[Column, Cells]
    classes: ComparisonTable
    tested: ComparisonTable

    def of(self, column: Column, measure: str) -> Comparison | None:
        """Return one entry; None where the column is not there, or nothing shows what is measured."""
        return self.tested.get(column.head, measure) or self.classes.get(column.head, measure)

    def entry(self, column: Column, measure: str) -> str:
        """Return a score with its interval, in per cent, or a dash."""
        one = self.of(column, measure)
        return percent(None) if one is None else percent(one.mean, one.interval)


def compared(study: GaudaStudy, segmenter: SegmenterName, score: Literal["iou", "dice"] = "iou") -> Compared:
    """Train what the sitting may train, and compare every column that is there with `none`.

    Raises:
        NothingToCompareError: there is no column besides `none`, or not even that.
    """
    found = {column: study.cells(segmenter, column) for column in COLUMNS}
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
    printed: Mapping[str, Six],
) -> Outcome:
    study = studies[data]
    found, rare, name = compared(study, segmenter), study.rare, TITLES[segmenter]
    title = f"GAUDA, Table {recipe[-1]} ({name} on {TITLES[data]}), here on {study.title}"
    names, seeds = study.data.scenes.classes.names, len(study.scale.seeds)
    out = Outcome(recipe, scale, title)
    title = f"{name} on {study.title}, IoU in per cent"
    published = tuple((row, *map(percent, values)) for row, values in printed.items())
    out.sheets += [
        _scores(f"{title}: the paper's columns", found, PAPER, names, seeds),
        Sheet(
            "The paper's scores, on its own data, size and split", ("class", *PUBLISHED_COLUMNS), published
        ),
        _scores(f"{title}: ours beside `none`", found, (PAPER[0], *OURS), names, seeds),
        *_changes(name, found, rare),
    ]
    training = study.scale.segmenters.training(segmenter)
    steps = f"{name}: {training.steps} steps of {training.batch_size} for every column"
    if segmenter == "unet_ensemble":
        members = study.scale.segmenters.unet_ensemble.model.members
        steps += f" and each of {members} members (the paper's has 10)"
    many = "One seed" if seeds == 1 else f"Means of {seeds} seeds"
    absent = ", ".join(column.name for column in COLUMNS if column not in found.cells)
    out.say(
        *study.notes(),
        f"{steps}; a validation, and with it a refresh, every {training.validate_every} steps.",
        f"{many}, with 95 % intervals over test recordings.",
        f"Worst {WORST}: each column's own {WORST} lowest classes.",
        "AS goes by validation scores (section 2.1); AS, uncertainty by the variance that GAUDA uses.",
        f"Rare classes: {', '.join(rare) or 'none'}, by the masks of all frames, test frames among "
        "them; duplicates and offline pairs are chosen by the same.",
        *([f"Not trained yet: {absent}; --strategies adds them."] if absent else []),
        *found.tested.notes,
        *found.tested.conclusions,
        *losses(study, segmenter, found.tested, found.cells),
    )
    out.values |= {"classes": found.classes.to_dict(), "tested": found.tested.to_dict()}
    for column, cells in found.cells.items():
        out.used(seeds_of(column.name, cells))
    return out


def _scores(
    title: str, found: Compared, columns: Sequence[Column], names: Sequence[str], seeds: int
) -> Sheet:
    measured = [name for name in SUMMARIES if found.of(PAPER[0], name) is not None]
    rows = [(name, *(found.entry(column, name) for column in columns)) for name in (*names, *measured)]
    rows.append(("seeds", *(str(seeds) if column in found.cells else NOT_TRAINED for column in columns)))
    return Sheet(title, ("class", *(column.head for column in columns)), tuple(rows))


def _changes(title: str, found: Compared, rare: Sequence[str]) -> list[Sheet]:
    """Return what each column gains over `none`: means, their effect sizes and tests, rare classes."""
    means = [name for name in SUMMARIES if name != "sample median" and found.of(PAPER[0], name) is not None]
    change = "change of IoU against none, in points, with 95 % interval"
    gains, tests = [], []
    for column in found.cells:
        if column is not PAPER[0]:
            rows = [found.of(column, name) for name in means]
            gains.append((column.head, *map(gained, rows)))
            tests.append((column.head, *(" / ".join(tested(one)) for one in rows)))
    sheets = [
        Sheet(f"{title}: {change}", ("column", *means), tuple(gains)),
        Sheet(f"{title}: the same, Cohen's d / Holm's p", ("column", *means), tuple(tests)),
    ]
    for words, group in (("the paper's columns", PAPER[1:]), ("ours", OURS)):
        there = [column for column in group if column in found.cells]
        if there and rare:
            lines = tuple((name, *(gained(found.of(column, name)) for column in there)) for name in rare)
            heads = ("rare class", *(column.head for column in there))
            sheets.append(Sheet(f"{title}: {change}, {words}", heads, lines))
    return sheets
