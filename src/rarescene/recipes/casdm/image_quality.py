"""Tables 1 and 5 and Figure 4: images drawn for the maps of the test recordings, beside their real frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rarescene.evaluation import RealismScores, compare
from rarescene.recipes.casdm.pictures import images_of_sets
from rarescene.recipes.casdm.published import ABLATION, IMAGE_QUALITY
from rarescene.recipes.casdm.study import Generator, Study
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent, points
from rarescene.reports.realism import set_realism

RARE = ("blood", "cystic duct", "hepatic vein")
"""The small and rare classes of the paper's Table 2."""

COMPARED: Mapping[str, Generator] = {
    "conditional DDPM": "conditional_ddpm",
    "SDM": "sdm",
    "CASDM": "casdm",
}
ABLATED: Mapping[str, Generator] = {
    "plain": "plain",
    "+ class-aware MSE": "class_aware_mse",
    "+ class-aware self-perceptual": "class_aware_self_perceptual",
    "CASDM (both)": "casdm",
    "SDM, whole": "sdm",
}


def table1(study: Study, scale: str) -> Outcome:
    """Table 1: how real the images of three generators look, drawn for maps of the test part."""
    drawn = {row: study.pairs(name, (), maps="test") for row, name in COMPARED.items()}
    scores = {row: _measured(study, folder) for row, folder in drawn.items()}
    return Outcome(
        "casdm-table1",
        scale,
        "CASDM, Table 1: quality of the synthetic images",
        (_quality(scores), _published(IMAGE_QUALITY)),
        (*study.notes(), *_reading(scores)),
        {"realism": {row: one.to_dict() for row, one in scores.items()}},
        {row: folder.name for row, folder in drawn.items()},
    )


def table5(study: Study, scale: str) -> Outcome:
    """Table 5: four rows that differ in the loss alone, full SDM as a fifth; and whether a segmenter agrees.

    The last columns are ours: the IoU of the rare classes when segmenters that were trained on real frames
    look at the synthetic images of the test maps. It says whether the small classes can be recognised.
    """
    drawn = {row: study.pairs(name, (), maps="test") for row, name in ABLATED.items()}
    scores = {row: _measured(study, folder) for row, folder in drawn.items()}
    judge = study.judge
    judges = {seed: study.segmenter(judge, seed) for seed in study.scale.seeds}
    judged = {
        row: {seed: study.scores(run, folder) for seed, run in judges.items()}
        for row, folder in drawn.items()
    }
    table = compare(judged, study.data.scenes.classes.names, baseline="plain", rare=RARE)
    found = {(one.strategy, one.measure): one for one in table.rows}
    rows = []
    for row in drawn:
        mean, change = found[row, "label mean"], found[row, "rare mean"]
        rows.append(
            (
                row, *(percent(found[row, name].mean) for name in RARE), percent(change.mean),
                points(change.difference, change.difference_interval), percent(mean.mean),
            )
        )  # fmt: skip
    agreement = Sheet(
        f"IoU in per cent of {len(judges)} {judge}s trained on real frames, on the synthetic images",
        ("losses", *RARE, "rare mean", "against plain", "all"),
        tuple(rows),
    )
    return Outcome(
        "casdm-table5",
        scale,
        "CASDM, Table 5: what each loss adds",
        (_quality(scores), _published(ABLATION), agreement),
        (*study.notes(), *_reading(scores), *table.notes, study.targets_in_cells(judge, RARE)),
        {
            "realism": {row: one.to_dict() for row, one in scores.items()},
            "agreement": table.to_dict(),
        },
        {row: folder.name for row, folder in drawn.items()}
        | {f"{judge}, seed {seed}": run.name for seed, run in judges.items()},
    )


def fig4(study: Study, scale: str) -> Outcome:
    """Figure 4: the same test maps drawn by each generator."""
    drawn = {row: study.pairs(name, (), maps="test") for row, name in COMPARED.items()}
    return Outcome(
        "casdm-fig4",
        scale,
        "CASDM, Figure 4: images of three generators for the same maps",
        (),
        (*study.notes(), "The maps are chosen by a rule: for each rare class, those of median area."),
        {},
        {row: folder.name for row, folder in drawn.items()},
        {"casdm-fig4": images_of_sets(study, drawn, RARE)},
    )


def _measured(study: Study, folder: Path) -> RealismScores:
    scores = set_realism(folder, most=study.scale.scored)
    if scores is None:  # maps of the test part always have a frame
        raise ValueError(f"the pairs in {folder} belong to no frames")
    return scores


def _quality(scores: Mapping[str, RealismScores]) -> Sheet:
    first = next(iter(scores.values()))
    heads = [part for distance in first.distances for part in (distance.frechet_name, distance.kernel_name)]
    rows = []
    for row, one in scores.items():
        distances = [
            f"{value:.{digits}f}"
            for distance in one.distances
            for value, digits in ((distance.frechet, 2), (distance.kernel, 3))
        ]
        rows.append((row, *distances, _paired(one.ms_ssim, 3), _paired(one.psnr, 2)))
    return Sheet(
        "Synthetic against real frames of the test recordings",
        ("generator", *(f"{head} ↓" for head in heads), "MS-SSIM ↑", "PSNR ↑"),
        tuple(rows),
    )


def _paired(score: Any, digits: int) -> str:
    if score is None:
        return MISSING
    text = f"{score.mean:.{digits}f}"
    if score.interval is not None:
        text += f" [{score.interval.low:.{digits}f}, {score.interval.high:.{digits}f}]"
    return text


def _published(rows: Mapping[str, Sequence[float]]) -> Sheet:
    return Sheet(
        "The paper's (CholecSeg8k at 256², frame-level split, FID of Inception)",
        ("generator", "FID ↓", "MS-SSIM ↑", "PSNR ↑"),
        tuple(
            (row, f"{fid:.2f}", f"{similarity:.2f}", f"{psnr:.2f}")
            for row, (fid, similarity, psnr) in rows.items()
        ),
    )


def _reading(scores: Mapping[str, RealismScores]) -> tuple[str, ...]:
    notes = dict.fromkeys(note for one in scores.values() for note in one.notes)
    count = next(iter(scores.values())).synthetic_images
    return (
        f"{count} test maps, an image of each generator for each of them.",
        *notes,
        "One generator seed: the intervals are over test recordings, and say nothing of another training.",
    )
