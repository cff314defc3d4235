"""Tables 2, 3 and 4 and Figure 6: segmenters trained on the frames, and on the frames plus synthetic pairs.

Every row of a table has the same optimiser steps, batches, seeds and test recordings; what is added differs.
As in the paper, each method adds as many pairs (or copies) as the scale says, for maps that show a target
class, and "+ CASDM + maps" adds the same number again from maps that were asked to show one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.evaluation import Comparison, ComparisonTable, compare
from rarescene.recipes.casdm.image_quality import RARE
from rarescene.recipes.casdm.pictures import maps_beside_real, predictions_of_runs
from rarescene.recipes.casdm.published import EXPANSIONS, TABLE_2, TABLE_3, TABLE_4, Row
from rarescene.recipes.casdm.scale import SegmenterName
from rarescene.recipes.casdm.study import Study
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent, points
from rarescene.scenes import open_scenes

WELL_REPRESENTED = ("liver ligament", "connective tissue", "L-hook electrocautery")
GASTRECTOMY = ("suction irrigation", "endotip", "spleen")
GASTRECTOMY_ROWS = ("original", "+ CASDM", "+ CASDM + maps")


def table2(study: Study, scale: str) -> Outcome:
    """Table 2: six training sets, for the small and rare classes."""
    title = "CASDM, Table 2: data expansion for under-represented classes"
    return _table("casdm-table2", scale, title, study, RARE, EXPANSIONS, TABLE_2)


def table3(study: Study, scale: str) -> Outcome:
    """Table 3: the same for classes that are well represented, where little is to be gained."""
    title = "CASDM, Table 3: data expansion for well-represented classes"
    return _table("casdm-table3", scale, title, study, WELL_REPRESENTED, EXPANSIONS, TABLE_3)


def table4(study: Study, scale: str) -> Outcome:
    """Table 4: gastrectomy, 32 classes."""
    title = "CASDM, Table 4: data expansion on SISVSE"
    return _table("casdm-table4", scale, title, study, GASTRECTOMY, GASTRECTOMY_ROWS, TABLE_4)


def fig5(study: Study, scale: str) -> Outcome:
    """Figure 5: maps from prompts beside maps of the training set."""
    pairs = study.pairs("casdm", RARE, maps="prompts")
    return Outcome(
        "casdm-fig5",
        scale,
        "CASDM, Figure 5: prompted and real maps",
        (),
        (*study.notes(), "The maps are chosen by a rule: for each rare class, those of median area."),
        {},
        {"pairs from prompted maps": pairs.name},
        {"casdm-fig5": maps_beside_real(study, pairs, RARE)},
    )


def fig6(study: Study, scale: str) -> Outcome:
    """Figure 6: what segmenters make of test frames that show a rare class."""
    name, seed = study.judge, study.scale.seeds[0]
    rows = ("original", "+ SDM", "+ CASDM + maps")
    runs = {row: (_expanded(study, name, row, RARE, seed),) for row in rows}
    return Outcome(
        "casdm-fig6",
        scale,
        f"CASDM, Figure 6: predictions of {name}",
        (),
        (
            *study.notes(),
            f"Seed {seed}. The frames are chosen by a rule: for each rare class, those of median area.",
        ),
        {},
        {row: run.name for row, (run,) in runs.items()},
        {"casdm-fig6": predictions_of_runs(study, runs, RARE)},
    )


@dataclass(frozen=True)
class _Compared:
    """One segmenter's rows against the first of them, by IoU and by Dice."""

    iou: ComparisonTable
    dice: ComparisonTable

    def of(self, score: str, row: str, measure: str) -> Comparison | None:
        """Return one entry; None where it was not measured."""
        table: ComparisonTable = getattr(self, score)
        return next((one for one in table.rows if (one.strategy, one.measure) == (row, measure)), None)


def _table(
    recipe: str,
    scale: str,
    title: str,
    study: Study,
    targets: Sequence[str],
    rows: Sequence[str],
    published: Mapping[str, Sequence[Row]],
) -> Outcome:
    sheets: list[Sheet] = []
    notes: dict[str, None] = dict.fromkeys(study.notes())
    values: dict[str, Any] = {}
    runs: dict[str, str] = {}
    segmenters = study.scale.segmenters
    for name in segmenters.names:
        by_row = {
            row: {seed: _expanded(study, name, row, targets, seed) for seed in study.scale.seeds}
            for row in rows
        }
        compared = _compared(study, by_row, targets)
        sheets += [_scores(name, compared, rows, targets, len(study.scale.seeds))]
        if name in published:
            sheets += [_published(name, rows, targets, published[name])]
        sheets += _changes(name, compared, rows, targets)
        notes |= dict.fromkeys(
            [
                f"{name}: {segmenters.training(name).steps} steps of {segmenters.training(name).batch_size} "
                "for every row.",
                study.targets_in_cells(name, targets),
                *compared.iou.notes,
            ]
        )
        values[name] = {"iou": compared.iou.to_dict(), "dice": compared.dice.to_dict()}
        runs |= {
            f"{name}, {row}, seed {seed}": run.name
            for row, seeds in by_row.items()
            for seed, run in seeds.items()
        }
    count = study.scale.pairs
    added = (
        f"Each method adds {count} pairs or copies, prompted maps {count} more; intervals over recordings."
    )
    kept = _kept_by_maps(study, targets)
    return Outcome(recipe, scale, title, tuple(sheets), (*notes, added, kept), values, runs)


def _expanded(study: Study, name: SegmenterName, row: str, targets: Sequence[str], seed: int) -> Path:
    """Return the segmenter of a row of the table."""
    match row:
        case "original":
            return study.segmenter(name, seed)
        case "+ duplicates":
            return study.segmenter(name, seed, "duplicate", classes=targets)
        case "+ conditional DDPM":
            made = [study.pairs("conditional_ddpm", targets)]
        case "+ SDM":
            made = [study.pairs("sdm", targets)]
        case "+ CASDM":
            made = [study.pairs("casdm", targets)]
        case "+ CASDM + maps":
            made = [study.pairs("casdm", targets), study.pairs("casdm", targets, maps="prompts")]
        case _:
            raise ValueError(f"no table has a row {row!r}")
    return study.segmenter(name, seed, "offline", synthetic=made)


def _kept_by_maps(study: Study, targets: Sequence[str]) -> str:
    """Return how many of the prompted maps keep what they were asked for."""
    drawn = open_scenes(f"set:{study.pairs('casdm', targets, maps='prompts')}")
    ids = drawn.classes.ids_of(targets)
    whole = np.mean([record.details["kept"]["kept"] for record in drawn.records])
    shown = np.mean([np.isin(drawn.mask(index), ids).any() for index in range(len(drawn))])
    return f"Of the prompted maps {shown:.0%} show a target class and {whole:.0%} keep all of their request."


def _compared(study: Study, runs: Mapping[str, Mapping[int, Path]], targets: Sequence[str]) -> _Compared:
    scores = {
        row: {seed: study.scores(run) for seed, run in by_seed.items()} for row, by_seed in runs.items()
    }
    names, first = study.data.scenes.classes.names, next(iter(runs))
    return _Compared(
        compare(scores, names, baseline=first, rare=targets, score="iou"),
        compare(scores, names, baseline=first, rare=targets, score="dice"),
    )


def _scores(name: str, compared: _Compared, rows: Sequence[str], targets: Sequence[str], seeds: int) -> Sheet:
    def entry(row: str, measure: str) -> str:
        means = (getattr(compared.of(score, row, measure), "mean", None) for score in ("iou", "dice"))
        return " / ".join(percent(mean) for mean in means)

    return Sheet(
        f"{name}: IoU / Dice in per cent, {'one seed' if seeds == 1 else f'mean of {seeds} seeds'}",
        ("training set", *targets, "all"),
        tuple((row, *(entry(row, measure) for measure in (*targets, "label mean"))) for row in rows),
    )


def _changes(
    name: str, compared: _Compared, rows: Sequence[str], targets: Sequence[str]
) -> tuple[Sheet, Sheet]:
    """Return what each row gains over the first: the means with effect size and p, then class by class."""

    def gained(row: str, measure: str) -> str:
        one = compared.of("iou", row, measure)
        return MISSING if one is None else points(one.difference, one.difference_interval)

    def tested(row: str, measure: str) -> tuple[str, str]:
        one = compared.of("iou", row, measure)
        effect = None if one is None else one.effect_size
        p_value = None if one is None else one.p_holm
        return (
            MISSING if effect is None else f"{effect:+.1f}".replace("-", "−"),
            MISSING if p_value is None else f"{p_value:.2f}",
        )

    head = f"{name}: change of IoU against {rows[0]}, in points, with 95 % interval"
    means = ("rare mean", "label mean")
    return (
        Sheet(
            f"{head}, Cohen's d and Holm's p",
            ("training set", "rare mean", "d", "p", "all", "d", "p"),
            tuple(
                (row, *(part for mean in means for part in (gained(row, mean), *tested(row, mean))))
                for row in rows[1:]
            ),
        ),
        Sheet(
            head,
            ("training set", *targets),
            tuple((row, *(gained(row, target) for target in targets)) for row in rows[1:]),
        ),
    )


def _published(name: str, rows: Sequence[str], targets: Sequence[str], given: Sequence[Row]) -> Sheet:
    return Sheet(
        f"{name}: the paper's figures, on its own data, size and split",
        ("training set", *targets, "all"),
        tuple(
            (row, *(f"{iou:.1f} / {dice:.1f}" for iou, dice in line))
            for row, line in zip(rows, given, strict=True)
        ),
    )
