"""Where a rare class loses against `none`, and what is known of why: frames, requests, pairs, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rarescene.augmentation.refresh_log import REFRESHES
from rarescene.evaluation import Comparison, ComparisonTable
from rarescene.evaluation.bootstrap import known_or_none, mean_of_known
from rarescene.evaluation.confusion import hits_and_totals, scores_in_reference
from rarescene.foundation.files import read_json_lines
from rarescene.recipes.gauda.scale import PAPER, Column, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy
from rarescene.recipes.outcome import gained, percent
from rarescene.reports.formatting import count
from rarescene.scenes import Request, open_scenes
from rarescene.scenes.data import decode


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
        lost = [row for row in table.rows if row.measure == name and _is_lower(row)]
        if lost:
            class_id = study.data.scenes.classes.id_of(name)
            reasons = (
                _shown(study, class_id),
                _asked(study, name, class_id, cells),
                _generated(study, segmenter, class_id, cells.get(PAPER[0])),
            )
            notes.append(f"{name} loses: {'; '.join(map(_loss, lost))}. {' '.join(filter(None, reasons))}")
    return tuple(notes)


def _is_lower(row: Comparison) -> bool:
    """Return whether a tenth of a point, as tables print it, is lost."""
    return row.difference is not None and round(row.difference, 3) < 0


def _loss(row: Comparison) -> str:
    text = f"{row.strategy} {gained(row)}"
    chance = row.difference_interval is None or row.difference_interval.high >= 0
    return f"{text}, which may be chance" if chance else text


def _shown(study: GaudaStudy, class_id: int) -> str:
    """Say how much of a class there is to learn from and to score."""
    scenes, (height, width) = study.data.scenes, study.scale.size
    pixels = decode(scenes, height, width, images=scenes.has_images).class_pixels[:, class_id]
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
        lines = [line for run in runs.values() for line in read_json_lines(Path(run) / REFRESHES)]
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
        confusion = np.sum([one.confusion for one in scores.values()], axis=0)
        ious.append(scores_in_reference(*hits_and_totals(confusion))[0][class_id])
    return known_or_none(float(mean_of_known(np.array(ious))))
