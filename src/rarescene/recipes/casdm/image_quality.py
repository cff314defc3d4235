"""Tables 1 and 5 and Figure 4: images made for the maps of the test recordings, beside their real frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rarescene.evaluation import PairedScore, RealismScores, compare
from rarescene.recipes.casdm.published import ABLATION, IMAGE_QUALITY
from rarescene.recipes.casdm.study import Generator, Study
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, gained, percent
from rarescene.reports import class_areas, contact_sheet, representative
from rarescene.reports.realism import places_of, set_realism
from rarescene.scenes import open_scenes, resize_image

ROWS, SIDE = 6, 192
BY_RULE = "The maps are chosen by a rule: for each rare class, those of median area."

RARE = ("blood", "cystic duct", "hepatic vein")
"""The small and rare classes of the paper's Table 2."""

COMPARED: Mapping[str, Generator] = {"conditional DDPM": "conditional_ddpm", "SDM": "sdm", "CASDM": "casdm"}
ABLATED: Mapping[str, Generator] = {
    "plain": "plain",
    "+ class-aware MSE": "class_aware_mse",
    "+ class-aware self-perceptual": "class_aware_self_perceptual",
    "CASDM (both)": "casdm",
    "SDM, whole": "sdm",
}


def table1(study: Study, scale: str) -> Outcome:
    """Table 1: how real the images of three generators look, made for maps of the test part."""
    out = Outcome("casdm-table1", scale, "CASDM, Table 1: quality of the synthetic images")
    _measure(study, out, _made(study, COMPARED), IMAGE_QUALITY)
    return out


def table5(study: Study, scale: str) -> Outcome:
    """Table 5: four rows that differ in the loss alone, full SDM as a fifth; and whether a segmenter agrees.

    The last columns are ours: the IoU of the rare classes when segmenters that were trained on real frames
    look at the synthetic images of the test maps. It says whether the small classes can be recognised.
    """
    out = Outcome("casdm-table5", scale, "CASDM, Table 5: what each loss adds")
    made, judge = _made(study, ABLATED), study.judge
    _measure(study, out, made, ABLATION)
    judges = {seed: study.segmenter(judge, seed) for seed in study.scale.seeds}
    judged = {
        row: {seed: study.scores(run, folder) for seed, run in judges.items()} for row, folder in made.items()
    }
    table = compare(judged, study.data.scenes.classes.names, baseline="plain", rare=RARE)
    rows = []
    for row in made:
        means = [percent(table.of(row, name).mean) for name in (*RARE, "rare mean")]
        change = gained(table.of(row, "rare mean"))
        rows.append((row, *means, change, percent(table.of(row, "label mean").mean)))
    title = f"IoU in per cent of {len(judges)} {judge}s trained on real frames, on the synthetic images"
    out.sheets.append(Sheet(title, ("losses", *RARE, "rare mean", "against plain", "all"), tuple(rows)))
    out.say(*table.notes, study.targets_in_cells(judge, RARE))
    out.values["agreement"] = table.to_dict()
    out.used({f"{judge}, seed {seed}": run for seed, run in judges.items()})
    return out


def fig4(study: Study, scale: str) -> Outcome:
    """Figure 4: map, frame, and what each generator makes of the same test map."""
    out = Outcome("casdm-fig4", scale, "CASDM, Figure 4: images of three generators for the same maps")
    made, table = _made(study, COMPARED), study.data.scenes.classes
    out.say(*study.notes(), BY_RULE)
    out.used(made)
    sets = {name: open_scenes(f"set:{folder}") for name, folder in made.items()}
    first, places = next(iter(sets.values())), places_of(study.data.scenes)
    rows, titles = [], []
    for index in representative(class_areas(first), table.ids_of(RARE), ROWS):
        mask, name = first[index].mask, first.records[index].details["mask_of"]
        frame = resize_image(study.data.scenes[places[name]].image, *mask.shape)
        rows.append([table.colourise(mask), frame, *(one[index].image for one in sets.values())])
        titles.append(name)
    sheet = contact_sheet(rows, ["map", "frame", *sets], titles=titles, side=SIDE)
    out.pictures["casdm-fig4"] = np.asarray(sheet)
    return out


def _made(study: Study, rows: Mapping[str, Generator]) -> dict[str, Path]:
    """Return each row's pairs for the maps of the test part."""
    return {row: study.pairs(name, (), maps="test") for row, name in rows.items()}


def _measure(
    study: Study, out: Outcome, made: Mapping[str, Path], published: Mapping[str, Sequence[float]]
) -> None:
    """Put into the outcome how real each row's images look, beside what the paper printed."""
    scores: dict[str, RealismScores] = {}
    for row, folder in made.items():
        found = set_realism(folder, most=study.scale.scored)
        if found is None:  # maps of the test part always have a frame
            raise ValueError(f"the pairs in {folder} belong to no frames")
        scores[row] = found
    count = next(iter(scores.values())).synthetic_images
    out.sheets += [_quality(scores), _published(published)]
    out.say(
        *study.notes(),
        f"{count} test maps, an image of each generator for each of them.",
        *(note for one in scores.values() for note in one.notes),
        "One generator seed: the intervals are over test recordings, and say nothing of another training.",
    )
    out.values["realism"] = {row: one.to_dict() for row, one in scores.items()}
    out.used(made)


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


def _paired(score: PairedScore | None, digits: int) -> str:
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
