"""The paper's figures: rows of maps, frames, synthetic images and predictions, chosen by rule, not by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rarescene.recipes.casdm.study import Study
from rarescene.reports import contact_sheet, error_map, overlay, representative
from rarescene.reports.realism import places_of
from rarescene.scenes import SceneSet, open_scenes, resize_image, resize_mask
from rarescene.scenes.data import decode

ROWS = 6
SIDE = 192


def images_of_sets(study: Study, sets: Mapping[str, Path], targets: Sequence[str]) -> np.ndarray:
    """Return Figure 4: map, frame, and the image of each set for the same map, uint8 `(H, W, 3)`."""
    table = study.data.scenes.classes
    pairs = {name: open_scenes(f"set:{folder}") for name, folder in sets.items()}
    first = next(iter(pairs.values()))
    originals = places_of(study.data.scenes)
    rows, titles = [], []
    for index in _chosen(first, targets):
        scene, name = first[index], first.records[index].details["mask_of"]
        frame = resize_image(study.data.scenes[originals[name]].image, *scene.mask.shape)
        drawn = [made[index].image for made in pairs.values()]
        rows.append([table.colourise(scene.mask), frame, *drawn])
        titles.append(name)
    return np.asarray(contact_sheet(rows, ["map", "frame", *pairs], titles=titles, side=SIDE))


def maps_beside_real(study: Study, prompted: Path, targets: Sequence[str]) -> np.ndarray:
    """Return Figure 5: prompted maps above, real ones of the training part below, uint8 `(H, W, 3)`."""
    table = study.data.scenes.classes
    made = open_scenes(f"set:{prompted}")
    height, width = made[0].mask.shape
    real = study.data.scenes.subset(study.data.split.train)
    cache = decode(real, height, width, images=False)
    chosen = representative(cache.class_pixels, table.ids_of(targets), ROWS)
    drawn = [table.colourise(made[index].mask) for index in _chosen(made, targets)]
    given = [table.colourise(resize_mask(real[index].mask, height, width)) for index in chosen]
    columns = range(max(len(drawn), len(given)))
    sheet = contact_sheet(
        [drawn, given], [""] * len(columns), titles=["prompted maps", "maps of the training recordings"],
        side=SIDE, flat=tuple(columns),
    )  # fmt: skip
    return np.asarray(sheet)


def predictions_of_runs(
    study: Study, runs: Mapping[str, tuple[Path, ...]], targets: Sequence[str]
) -> np.ndarray:
    """Return Figure 6: test frames with a target, their labels, and each run's prediction with its errors."""
    import torch

    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images

    scenes, table = study.data.scenes.subset(study.data.split.test), study.data.scenes.classes
    height, width = study.scale.casdm.height, study.scale.casdm.width
    ids = table.ids_of(targets)
    cache = decode(scenes, height, width)
    networks = {name: load_segmenter(run / "model")[0] for name, (run, *_) in runs.items()}
    rows, titles = [], []
    for index in representative(cache.class_pixels, ids, ROWS):
        pixels, mask = (part[0] for part in cache.take([index]))
        row = [overlay(pixels, mask, table), table.colourise(mask)]
        for network in networks.values():
            with torch.inference_mode():
                found = network.predict(to_images(pixels[None])).argmax(1)[0].numpy().astype(np.uint8)
            row += [table.colourise(found), error_map(mask, found, ids, table.ignore_index)]
        rows.append(row)
        shown = [name for name, class_id in zip(targets, ids, strict=True) if (mask == class_id).any()]
        titles.append(f"{', '.join(shown)} · {scenes.records[index].name}")
    labels = ["frame", "labels", *(label for name in networks for label in (name, f"errors, {name}"))]
    flat = tuple(range(1, len(labels)))
    return np.asarray(contact_sheet(rows, labels, titles=titles, side=SIDE, flat=flat))


def _chosen(pairs: SceneSet, targets: Sequence[str]) -> list[int]:
    masks = [pairs[index].mask for index in range(len(pairs))]
    areas = np.stack([np.bincount(mask.ravel(), minlength=256)[: len(pairs.classes)] for mask in masks])
    return representative(areas, pairs.classes.ids_of(targets), ROWS)
