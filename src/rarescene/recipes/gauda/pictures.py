"""Figures 4 and 8: pairs beside frames, by class; frames where classic augmentation helps and harms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import read_record
from rarescene.recipes.gauda.figures import frames_iou
from rarescene.recipes.gauda.scale import PAPER, SEGMENTERS, TITLES, DataName, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, seeds_of
from rarescene.recipes.outcome import NOT_TRAINED, Outcome, Sheet, points
from rarescene.reports import contact_sheet, representative
from rarescene.scenes import open_scenes
from rarescene.scenes.data import decode
from rarescene.sources.leakage import open_judge

PAIRS = 3
"""Pairs a class in Figure 4."""

SHOWN = 3
"""Frames a data set in Figure 8, as in the paper."""

SHORT: Mapping[SegmenterName, str] = {"phiseg": "PHiSeg", "unet_ensemble": "ensemble"}
GAUDA, WITH_AUG = PAPER[4], PAPER[5]


def fig4(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 4: for each class a real frame, and pairs that show it."""
    out = Outcome("gauda-fig4", scale, "GAUDA, Figure 4: pairs of the joint generator")
    rows, titles = [], []
    for data, study in studies.items():
        folder = study.have(study.pairs("joint"))
        if folder is None:
            out.say(f"{study.title}: {NOT_TRAINED}.")
            continue
        of_classes = _by_class(study, folder)
        rows += list(of_classes.values())
        titles += [f"{name} · {study.title}" for name in of_classes]
        out.say(*study.titled_notes())
        out.used({f"pairs, {data}": folder, f"joint, {data}": study.joint().path})
    if not rows:
        raise ConfigError("there is no generator to show pairs of", "Leave --datasets out, to train one.")
    out.say("Chosen by a rule: for each class, the frame and the pairs of median area that show it.")
    labels = ["real frame", "its mask", *["pair", "its mask"] * PAIRS]
    sheet = contact_sheet(rows, labels, titles=titles, side=112, flat=range(1, len(labels), 2))
    out.pictures["gauda-fig4"] = np.asarray(sheet)
    return out


def fig8(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 8: test frames where classic augmentation helps the ensemble most and harms PHiSeg most."""
    title = "GAUDA, Figure 8: where classic augmentation helps one model and harms the other"
    out = Outcome("gauda-fig8", scale, title)
    shown = {f"{name}, {column.name}": (name, column) for name in SEGMENTERS for column in (GAUDA, WITH_AUG)}
    rows, titles = [], []
    for data, study in studies.items():
        cells = {words: study.cells(name, column) for words, (name, column) in shown.items()}
        known = {words: one for words, one in cells.items() if one is not None}
        if len(known) < len(cells):
            missing = (
                f"{TITLES[name]} with {one.head}" for key, (name, one) in shown.items() if key not in known
            )
            out.say(f"{study.title}, not trained yet: {', '.join(missing)}.")
            continue
        frames = {words: frames_iou(study, one) for words, one in known.items()}
        gains = {
            name: frames[f"{name}, {WITH_AUG.name}"] - frames[f"{name}, {GAUDA.name}"] for name in SEGMENTERS
        }
        order = _scored_frames(study)
        worst = np.argsort(gains["phiseg"] - gains["unet_ensemble"], kind="stable")[:SHOWN].tolist()
        chosen = [order[place] for place in worst]
        scenes, table = study.data.scenes, study.data.scenes.classes
        pixels, ids = decode(scenes, *study.scale.size).take(chosen)
        masks = [ids, *(_predict(study, one, chosen) for one in known.values())]
        for row, place in enumerate(worst):
            rows.append([pixels[row], *(table.colourise(one[row]) for one in masks)])
            # The font of pictures has a hyphen for a minus.
            change = ", ".join(f"{SHORT[name]} {100 * gains[name][place]:+.1f}" for name in SEGMENTERS)
            titles.append(f"{scenes.records[order[place]].name}: {change} points by aug · {study.title}")
        out.sheets.append(_helped(study.title, gains))
        out.values[data] = {
            "frames": [scenes.records[index].name for index in chosen],
            "gains": {name: [float(one[place]) for place in worst] for name, one in gains.items()},
        }
        out.say(*study.titled_notes())
        for words, one in known.items():
            out.used(seeds_of(words, one, f", {data}"))
    if not rows:
        raise ConfigError(out.notes[0], "Leave --datasets out, to train them.")
    labels = ["frame", "labels", *(f"{SHORT[name]}, {column.head}" for name, column in shown.values())]
    sheet = contact_sheet(rows, labels, titles=titles, side=192, flat=range(1, len(labels)))
    out.pictures["gauda-fig8"] = np.asarray(sheet)
    out.say(
        f"Chosen by a rule: the {SHOWN} test frames of each data set with the largest difference between "
        "what aug adds to the ensemble and to PHiSeg, by the frame's IoU averaged over seeds. The "
        "largest of many are extreme by chance as well: the table counts all frames.",
        f"Predictions of seed {next(iter(studies.values())).scale.seeds[0]}.",
    )
    return out


def _by_class(study: GaudaStudy, folder: Path) -> dict[str, list[np.ndarray]]:
    """Return a row of pictures for each class that both frames and pairs show."""
    scenes, table = study.data.scenes.subset(study.data.split.train), study.data.scenes.classes
    real, made = (decode(one, *study.scale.size) for one in (scenes, open_scenes(f"set:{folder}")))
    rows = {}
    for class_id, name in enumerate(table.names):
        of_frames = representative(real.class_pixels, [class_id], 1)
        of_pairs = representative(made.class_pixels, [class_id], PAIRS)
        if not of_frames:
            continue
        parts = [real.take(of_frames), made.take(of_pairs)] if of_pairs else [real.take(of_frames)]
        rows[name] = [
            picture
            for pixels, ids in parts
            for image, mask in zip(pixels, ids, strict=True)
            for picture in (image, table.colourise(mask))
        ]
    return rows


def _scored_frames(study: GaudaStudy) -> list[int]:
    """Return the test scenes in the order of `frames_iou`; those without a label are not scored."""
    records, split = study.data.scenes.records, study.data.split
    scenes = study.data.scenes
    shown = decode(scenes, *study.scale.size, images=scenes.has_images).class_pixels.sum(axis=1) > 0
    names = sorted({records[index].group for index in split.test})
    return [index for name in names for index in split.test if records[index].group == name and shown[index]]


def _predict(study: GaudaStudy, cells: Cells, indices: Sequence[int]) -> np.ndarray:
    """Return what the first seed of a column sees in these scenes, uint8 `(N, H, W)`."""
    run = cells[study.scale.seeds[0]]
    judge = open_judge(run, read_record(run), study.data.scenes.classes)
    return judge.predict(decode(study.data.scenes, *study.scale.size).take(list(indices))[0])


def _helped(title: str, gains: Mapping[SegmenterName, np.ndarray]) -> Sheet:
    """Return how many frames classic augmentation helps and harms, of each model and of both."""
    ensemble, phiseg = gains["unet_ensemble"], gains["phiseg"]
    cases = {
        "helps both": (ensemble > 0) & (phiseg > 0),
        "helps the ensemble, harms PHiSeg": (ensemble > 0) & (phiseg < 0),
        "helps PHiSeg, harms the ensemble": (ensemble < 0) & (phiseg > 0),
        "harms both": (ensemble < 0) & (phiseg < 0),
        "all": np.ones(len(phiseg), bool),
    }

    def mean(values: np.ndarray) -> str:
        return points(float(values.mean()) if len(values) else None)

    return Sheet(
        f"{title}: what aug adds to GAUDA, by the IoU of each test frame, in points",
        ("frames where aug …", "share", "ensemble, mean", "PHiSeg, mean"),
        tuple(
            (name, f"{which.mean():.1%}", mean(ensemble[which]), mean(phiseg[which]))
            for name, which in cases.items()
        ),
    )
