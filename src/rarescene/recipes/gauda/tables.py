"""Tables 1 to 4: IoU of every class, for each way to train PHiSeg and the U-Net ensemble.

Every column has the same network, optimiser steps, batches, seeds and test recordings. The paper's six
columns come first, then ours. A column that is not trained yet says so, and is filled by a later call.

Where a rare class loses against `none`, a note tells what is known of why: frames, requests, agreement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rarescene.augmentation.refresh_log import REFRESHES
from rarescene.evaluation import Comparison, ComparisonTable, compare
from rarescene.evaluation.bootstrap import known_or_none, mean_of_known
from rarescene.evaluation.confusion import hits_and_totals, scores_in_reference
from rarescene.evaluation.overlap import added_up
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_json_lines
from rarescene.recipes.gauda.published import COLUMNS as PUBLISHED_COLUMNS
from rarescene.recipes.gauda.published import TABLE_1, TABLE_2, TABLE_3, TABLE_4, Six
from rarescene.recipes.gauda.scale import COLUMNS, OURS, PAPER, TITLES, Column, DataName, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, seeds_of
from rarescene.recipes.outcome import NOT_TRAINED, Outcome, Sheet, gained, percent, tested
from rarescene.reports.formatting import count
from rarescene.scenes import Request, open_scenes
from rarescene.scenes.data import decode

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
        f"Rare classes: {', '.join(rare) or 'none'}, by the masks of the training part; "
        "duplicates and offline pairs are chosen by the same.",
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


def losses(
    study: GaudaStudy, segmenter: SegmenterName, table: ComparisonTable, cells: Mapping[Column, Cells]
) -> tuple[str, ...]:
    """Return a note for each rare class that any column scores lower than `none` does.

    A tenth of a point counts as lower. The note tells the loss with its interval, how often the class is
    shown by the training and test frames, how often GAUDA asked for it, how many of the pairs that were asked
    to show it do, and whether a segmenter trained on real frames recognises it there.
    """
    notes = []
    for name in study.rare:
        rows = [row for row in table.rows if row.measure == name and row.difference is not None]
        lost = [row for row in rows if round(row.difference or 0.0, 3) < 0]
        if lost:
            class_id = study.data.scenes.classes.id_of(name)
            reasons = (
                _shown(study, class_id),
                _asked(study, name, class_id, cells),
                _generated(study, segmenter, class_id, cells.get(PAPER[0])),
            )
            notes.append(f"{name} loses: {'; '.join(map(_loss, lost))}. {' '.join(filter(None, reasons))}")
    return tuple(notes)


def _loss(row: Comparison) -> str:
    text = f"{row.strategy} {gained(row)}"
    chance = row.difference_interval is None or row.difference_interval.high >= 0
    return f"{text}, which may be chance" if chance else text


def _shown(study: GaudaStudy, class_id: int) -> str:
    """Say how much of a class there is to learn from and to score."""
    scenes = study.data.scenes
    pixels = decode(scenes, *study.scale.size, images=scenes.has_images).class_pixels[:, class_id]
    said = []
    for part in ("train", "test"):
        indices = np.asarray(study.data.part(part))
        shown = indices[pixels[indices] > 0]
        recordings = {scenes.records[index].group for index in shown}
        size = f", {np.median(pixels[shown]):.0f} pixels in the median of them" if len(shown) else ""
        of = count(len(recordings), "recording")
        said.append(f"{len(shown) / len(indices):.1%} of the {part} frames, of {of}, show it{size}")
    return f"{'; '.join(said)}."


def _asked(study: GaudaStudy, name: str, class_id: int, cells: Mapping[Column, Cells]) -> str:
    """Say how often the refreshes of the online columns asked for a class."""
    said = []
    for column, runs in cells.items():
        if "gauda" not in column.strategies:
            continue
        lines = [line for run in runs.values() for line in read_json_lines(run / REFRESHES)]
        turns = [line for line in lines if line.get("classes")]
        chosen = sum(name in line["classes"] for line in turns)
        requests: Counter[bool] = Counter()
        for line in turns:
            for text, number in line.get("requests", {}).items():
                shows = class_id in Request.parse(text, study.data.scenes.classes).ids
                requests[shows] += number
        share = requests[True] / max(1, requests.total())
        often = f"chose it in {chosen} of {len(turns)} refreshes"
        said.append(f"{column.head} {often}, and {share:.0%} of its requests name it")
    return f"{'; '.join(said)}." if said else ""


def _generated(study: GaudaStudy, segmenter: SegmenterName, class_id: int, real: Cells | None) -> str:
    """Say how many pairs show a class that they were asked for, and whether it is recognised there."""
    planned = study.pairs("joint", classes=study.rare)
    if real is None or not planned.there:
        return ""
    made = open_scenes(f"set:{planned.path}")
    asked = [
        index
        for index, record in enumerate(made.records)
        if class_id in Request.from_dict(record.details["request"]).ids
    ]
    if not asked:
        return "None of the offline pairs was asked to show it."
    showing = float(np.mean([(made.mask(index) == class_id).any() for index in asked]))
    on_pairs, on_frames = (_iou(study, real, class_id, where) for where in (planned.path, None))
    return (
        f"Of {len(asked)} offline pairs asked to show it {showing:.0%} do; there {segmenter} of real frames "
        f"finds it with IoU {percent(on_pairs)}%, on test frames with {percent(on_frames)}%."
    )


def _iou(study: GaudaStudy, runs: Cells, class_id: int, pairs: Path | None) -> float | None:
    """Return the IoU of one class, of all recordings together, averaged over seeds."""
    ious = []
    for run in runs.values():
        scores = study.scores(run) if pairs is None else study.on_pairs(run, pairs)
        confusion = added_up(scores.values())
        ious.append(scores_in_reference(*hits_and_totals(confusion))[0][class_id])
    return known_or_none(float(mean_of_known(np.array(ious))))
