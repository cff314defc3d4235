"""Tables 2, 3 and 4, Figures 5 and 6: segmenters trained on the frames, and on them plus synthetic pairs.

Every row of a table has the same optimiser steps, batches, seeds and test recordings; what is added differs.
As in the paper, each method adds as many pairs (or copies) as the scale says, for maps that show a target
class, and "+ CASDM + maps" adds the same number again from maps that were asked to show one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rarescene.evaluation import ComparisonTable, compare
from rarescene.foundation.run_record import read_record
from rarescene.recipes.casdm.image_quality import BY_RULE, RARE, ROWS, SIDE
from rarescene.recipes.casdm.published import EXPANSIONS, TABLE_2, TABLE_3, TABLE_4, Row
from rarescene.recipes.casdm.scale import SegmenterName
from rarescene.recipes.casdm.study import Generator, Study
from rarescene.recipes.outcome import Outcome, Sheet, gained, percent, tested
from rarescene.reports import class_areas, contact_sheet, error_map, overlay, representative
from rarescene.scenes import open_scenes, resize_mask
from rarescene.scenes.data import decode
from rarescene.sources.leakage import open_judge

WELL_REPRESENTED = ("liver ligament", "connective tissue", "L-hook electrocautery")
GASTRECTOMY = ("suction irrigation", "endotip", "spleen")
GASTRECTOMY_ROWS = ("original", "+ CASDM", "+ CASDM + maps")

GENERATORS: Mapping[str, Generator] = {
    "+ conditional DDPM": "conditional_ddpm",
    "+ SDM": "sdm",
    "+ CASDM": "casdm",
    "+ CASDM + maps": "casdm",
}
"""What makes the pairs of a row."""


def table2(study: Study, scale: str) -> Outcome:
    """Table 2: six training sets, for the small and rare classes."""
    title = "CASDM, Table 2: data expansion for under-represented classes"
    return _table(Outcome("casdm-table2", scale, title), study, RARE, EXPANSIONS, TABLE_2)


def table3(study: Study, scale: str) -> Outcome:
    """Table 3: the same for classes that are well represented, where little is to be gained."""
    title = "CASDM, Table 3: data expansion for well-represented classes"
    return _table(Outcome("casdm-table3", scale, title), study, WELL_REPRESENTED, EXPANSIONS, TABLE_3)


def table4(study: Study, scale: str) -> Outcome:
    """Table 4: gastrectomy, 32 classes."""
    title = "CASDM, Table 4: data expansion on SISVSE"
    return _table(Outcome("casdm-table4", scale, title), study, GASTRECTOMY, GASTRECTOMY_ROWS, TABLE_4)


def fig5(study: Study, scale: str) -> Outcome:
    """Figure 5: maps from prompts above, maps of the training part below."""
    out = Outcome("casdm-fig5", scale, "CASDM, Figure 5: prompted and real maps")
    folder, table = study.pairs("casdm", RARE, maps="prompts"), study.data.scenes.classes
    out.say(*study.notes(), BY_RULE)
    out.used({"pairs from prompted maps": folder})
    made, real = open_scenes(f"set:{folder}"), study.data.scenes.subset(study.data.split.train)
    height, width = made[0].mask.shape
    areas = class_areas(made), decode(real, height, width, images=False).class_pixels
    prompted, given = (representative(one, table.ids_of(RARE), ROWS) for one in areas)
    rows = [
        [table.colourise(made[index].mask) for index in prompted],
        [table.colourise(resize_mask(real[index].mask, height, width)) for index in given],
    ]
    columns, titles = range(max(map(len, rows))), ["prompted maps", "maps of the training recordings"]
    sheet = contact_sheet(rows, [""] * len(columns), titles=titles, side=SIDE, flat=columns)
    out.pictures["casdm-fig5"] = np.asarray(sheet)
    return out


def fig6(study: Study, scale: str) -> Outcome:
    """Figure 6: what segmenters make of test frames that show a rare class."""
    name, seed = study.judge, study.scale.seeds[0]
    out = Outcome("casdm-fig6", scale, f"CASDM, Figure 6: predictions of {name}")
    rows = ("original", "+ SDM", "+ CASDM + maps")
    runs = {row: _expanded(study, name, row, RARE, seed) for row in rows}
    out.say(
        *study.notes(),
        f"Seed {seed}. The frames are chosen by a rule: for each rare class, those of median area.",
    )
    out.used(runs)
    out.pictures["casdm-fig6"] = _predictions(study, runs, RARE)
    return out


def _table(
    out: Outcome,
    study: Study,
    targets: Sequence[str],
    rows: Sequence[str],
    published: Mapping[str, Sequence[Row]],
) -> Outcome:
    out.say(*study.notes())
    segmenters, seeds = study.scale.segmenters, study.scale.seeds
    for name in segmenters.names:
        by_row = {row: {seed: _expanded(study, name, row, targets, seed) for seed in seeds} for row in rows}
        compared = _compared(study, by_row, targets)
        out.sheets.append(_scores(name, compared, rows, targets, len(seeds)))
        if name in published:
            out.sheets.append(_published(name, rows, targets, published[name]))
        out.sheets += _changes(name, compared["iou"], rows, targets)
        training = segmenters.training(name)
        out.say(
            f"{name}: {training.steps} steps of {training.batch_size} for every row.",
            study.targets_in_cells(name, targets),
            *compared["iou"].notes,
        )
        out.values[name] = {score: table.to_dict() for score, table in compared.items()}
        for row, runs in by_row.items():
            out.used({f"{name}, {row}, seed {seed}": run for seed, run in runs.items()})
    count = study.scale.pairs
    out.say(
        f"Each method adds {count} pairs or copies, prompted maps {count} more; intervals over recordings.",
        _kept_by_maps(study, targets),
    )
    return out


def _expanded(study: Study, name: SegmenterName, row: str, targets: Sequence[str], seed: int) -> Path:
    """Return the segmenter of a row of the table."""
    if row == "original":
        return study.segmenter(name, seed)
    if row == "+ duplicates":
        return study.segmenter(name, seed, "duplicate", classes=targets)
    made = [study.pairs(GENERATORS[row], targets)]
    if row == "+ CASDM + maps":
        made.append(study.pairs("casdm", targets, maps="prompts"))
    return study.segmenter(name, seed, "offline", synthetic=made)


def _kept_by_maps(study: Study, targets: Sequence[str]) -> str:
    """Return how many of the prompted maps keep what they were asked for."""
    made = open_scenes(f"set:{study.pairs('casdm', targets, maps='prompts')}")
    whole = np.mean([record.details["kept"]["kept"] for record in made.records])
    shown = (class_areas(made)[:, made.classes.ids_of(targets)] > 0).any(axis=1).mean()
    return f"Of the prompted maps {shown:.0%} show a target class and {whole:.0%} keep all of their request."


def _compared(
    study: Study, runs: Mapping[str, Mapping[int, Path]], targets: Sequence[str]
) -> dict[str, ComparisonTable]:
    """Return the rows against the first of them, by IoU and by Dice."""
    scores = {
        row: {seed: study.scores(run) for seed, run in by_seed.items()} for row, by_seed in runs.items()
    }
    names, first = study.data.scenes.classes.names, next(iter(runs))
    return {
        "iou": compare(scores, names, baseline=first, rare=targets, score="iou"),
        "dice": compare(scores, names, baseline=first, rare=targets, score="dice"),
    }


def _scores(
    name: str,
    compared: Mapping[str, ComparisonTable],
    rows: Sequence[str],
    targets: Sequence[str],
    seeds: int,
) -> Sheet:
    def entry(row: str, measure: str) -> str:
        means = (getattr(table.get(row, measure), "mean", None) for table in compared.values())
        return " / ".join(percent(mean) for mean in means)

    return Sheet(
        f"{name}: IoU / Dice in per cent, {'one seed' if seeds == 1 else f'mean of {seeds} seeds'}",
        ("training set", *targets, "all"),
        tuple((row, *(entry(row, measure) for measure in (*targets, "label mean"))) for row in rows),
    )


def _changes(name: str, iou: ComparisonTable, rows: Sequence[str], targets: Sequence[str]) -> list[Sheet]:
    """Return what each row gains over the first: the means with effect size and p, then class by class."""
    head = f"{name}: change of IoU against {rows[0]}, in points, with 95 % interval"
    means, classes = [], []
    for row in rows[1:]:
        found = [iou.get(row, mean) for mean in ("rare mean", "label mean")]
        means.append((row, *(part for one in found for part in (gained(one), *tested(one)))))
        classes.append((row, *(gained(iou.get(row, target)) for target in targets)))
    heads = ("training set", "rare mean", "d", "p", "all", "d", "p")
    return [
        Sheet(f"{head}, Cohen's d and Holm's p", heads, tuple(means)),
        Sheet(head, ("training set", *targets), tuple(classes)),
    ]


def _published(name: str, rows: Sequence[str], targets: Sequence[str], given: Sequence[Row]) -> Sheet:
    return Sheet(
        f"{name}: the paper's scores, on its own data, size and split",
        ("training set", *targets, "all"),
        tuple(
            (row, *(f"{iou:.1f} / {dice:.1f}" for iou, dice in line))
            for row, line in zip(rows, given, strict=True)
        ),
    )


def _predictions(study: Study, runs: Mapping[str, Path], targets: Sequence[str]) -> np.ndarray:
    """Return test frames with a target, their labels, and each run's prediction with its errors."""
    scenes, table = study.data.scenes.subset(study.data.split.test), study.data.scenes.classes
    ids, cache = table.ids_of(targets), decode(scenes, study.scale.casdm.height, study.scale.casdm.width)
    judges = {name: open_judge(run, read_record(run), table) for name, run in runs.items()}
    rows, titles = [], []
    for index in representative(cache.class_pixels, ids, ROWS):
        pixels, mask = (part[0] for part in cache.take([index]))
        row = [overlay(pixels, mask, table), table.colourise(mask)]
        for judge in judges.values():
            found = judge.predict(pixels[None])[0]
            row += [table.colourise(found), error_map(mask, found, ids, table.ignore_index)]
        rows.append(row)
        shown = [name for name, class_id in zip(targets, ids, strict=True) if (mask == class_id).any()]
        titles.append(f"{', '.join(shown)} · {scenes.records[index].name}")
    labels = ["frame", "labels", *(label for name in judges for label in (name, f"errors, {name}"))]
    flat = range(1, len(labels))
    return np.asarray(contact_sheet(rows, labels, titles=titles, side=SIDE, flat=flat))
