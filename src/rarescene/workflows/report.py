"""`rarescene report`: one self-contained page about several runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.scenes import ClassTable, SceneSet, open_scenes
from rarescene.workflows.compare import rare_classes, read_scored
from rarescene.workflows.evaluate import read_metrics
from rarescene.workflows.prepared import CONSOLE, Data, decode, open_data, progress

if TYPE_CHECKING:
    from rarescene.reports import Comparison, GalleryRow, Measure, Report, RunScores

Runs = Mapping[Path, RunRecord]


def report(
    runs: list[Path],
    *,
    out: Path,
    title: str = "rarescene report",
    classes: str = "",
    rows: int = 6,
    realism: bool = True,
) -> None:
    """Write one HTML file with tables, bars per class, a gallery, training curves and where everything comes from.

    Args:
        runs: folders of `train`, `synthesize` and `segment` runs, in any order and number.
        out: the HTML file.
        title: heading of the page.
        classes: comma-separated rare classes, which come first; by default those that the data's statistics call rare.
        rows: gallery rows for scored scenes, and as many for synthetic pairs.
        realism: whether the synthetic images are compared with the real ones of the same maps.
    """
    from rarescene.reports import verdict, verdict_text, write_report

    page = build_report(runs, title=title, classes=classes, rows=rows, realism=realism)
    write_report(page, out)
    for one in page.comparisons:
        CONSOLE.print(verdict_text(verdict(one)))
    CONSOLE.print(f"written to {out}")


def build_report(
    folders: Sequence[Path], *, title: str, classes: str = "", rows: int = 6, realism: bool = True
) -> Report:
    """Return the content of the page. Raises `CheckpointError` for a folder that is no run, or not scored yet."""
    from rarescene.reports import PHANTOM_WARNING, Report, curve_plot, provenance
    from rarescene.scenes import class_statistics

    records = {folder: read_record(folder) for folder in folders}
    kinds = {kind: {f: r for f, r in records.items() if r.kind == kind} for kind in ("casdm", "scene set", "segmenter")}
    segmenters, sets = kinds["segmenter"], kinds["scene set"]
    tables = {ClassTable.from_dict(record.class_table).fingerprint for record in records.values()}
    if len(tables) != 1:
        raise ConfigError("the runs have different class tables", "Make one report for each data set.")
    source = _data_of(next(iter(segmenters.values() or records.values())))
    table = source.scenes.classes

    height, width = _display_size(source.scenes)
    statistics = class_statistics(decode(source.scenes, height, width))
    rare = tuple(table.names[index] for index in table.ids_of(classes.split(","))) if classes else tuple(
        entry.name for entry in statistics.rare
    )
    scores, comparisons = _scores(segmenters, rare)
    phantom = any(record.data["name"] == "phantom" or "phantom" in record.data["spec"] for record in records.values())
    logs = {kind: {folder.name: _log(folder) for folder in kinds[kind]} for kind in ("casdm", "segmenter")}
    return Report(
        title=title,
        summary=f"{source.scenes.name}: {len(source.scenes)} scenes of {len(source.scenes.groups)} recordings.",
        classes=table,
        rare=rare,
        warnings=tuple(
            word for word in (PHANTOM_WARNING if phantom else "", source.split.warning or "") if word
        ),
        phantom=phantom,
        compared={folder.name: _in_words(record) for folder, record in records.items()},
        statistics=statistics,
        runs=scores,
        comparisons=comparisons,
        realism={folder.name: _realism(folder, record) for folder, record in sets.items()} if realism else {},
        gallery=(*_scored_rows(source, segmenters, rare, rows), *_synthetic_rows(sets, rare, rows)),
        gallery_rule="Scenes are chosen by a rule, not by eye: for each rare class in turn, those of median area.",
        curves=tuple(
            curve_plot(name, found, value)
            for name, found, value in (
                ("image generator: class-aware MSE", logs["casdm"], "camse"),
                ("image generator: class-aware self-perceptual loss", logs["casdm"], "casp"),
                ("segmenters: training loss", logs["segmenter"], "loss"),
                ("segmenters: label-mean IoU on the validation recordings", logs["segmenter"], "validation"),
            )
            if any(value in line for log in found.values() for line in log)
        ),
        provenance=provenance(list(records.values())),
    )


def _data_of(record: RunRecord) -> Data:
    settings = record.config
    return open_data(
        record.data["spec"], record.data["split"], settings.get("split_seed", 0), settings.get("fractions"),
        settings.get("group_by"),
    )  # fmt: skip


def _scores(segmenters: Runs, rare: Sequence[str]) -> tuple[tuple[RunScores, ...], tuple[Comparison, ...]]:
    from rarescene.reports import comparisons, run_scores
    from rarescene.segmenters import SEGMENTERS, output_cell

    found = []
    for folder, record in segmenters.items():
        metrics = read_metrics(folder)
        cell = output_cell(SEGMENTERS[record.config["segmenter"]](**_tuples(record.config["model"])))
        found.append(
            run_scores(
                folder.name, metrics["scores"], recordings=metrics["recordings"], seeds=[record.seed], stride=cell
            )
        )
    if len({record.config["strategy"] for record in segmenters.values()}) < 2:
        return tuple(found), ()
    scored = read_scored(list(segmenters))
    shown = [name for name in (rare or rare_classes(scored, "")) if name in scored.table.names]
    table = scored.compared(scored.strategies[0], shown)
    return tuple(found), comparisons(table.to_dict(), equal_steps=scored.equal_steps)


def _realism(folder: Path, record: RunRecord) -> tuple[Measure, ...]:
    """Compare a set's images with the real ones of the same maps, a few hundred at most."""
    from rarescene.evaluation import realism_scores
    from rarescene.reports import realism_measures
    from rarescene.scenes import resize_image
    from rarescene.training import to_images

    pairs, origins = open_scenes(f"set:{folder}"), _origins(record)
    usable = [index for index, entry in enumerate(pairs.records) if entry.details["mask_of"] in origins][:512]
    if len(usable) < 2 or record.config["vary"]:
        return ()
    originals, places = origins[""], origins

    def images(real: bool) -> Any:
        for start in range(0, len(usable), 16):
            batch = []
            for index in usable[start : start + 16]:
                scene = pairs[index]
                if real:
                    original = originals[places[scene.record.details["mask_of"]]].image
                    batch.append(resize_image(original, *scene.mask.shape))
                else:
                    batch.append(scene.image)
            yield to_images(np.stack(batch))

    with progress("realism") as advance:
        scores = realism_scores(
            images(True), images(False), groups=[pairs.records[index].group for index in usable],
            progress=lambda done: advance(done, len(usable)),
        )  # fmt: skip
    return realism_measures(scores.to_dict())


def _origins(record: RunRecord) -> dict[str, Any]:
    """Return where each scene of the data that gave the maps is, by name; the data themselves under the empty name."""
    scenes = open_scenes(record.config["masks"])
    return {"": scenes, **{entry.name: index for index, entry in enumerate(scenes.records)}}


def _scored_rows(source: Data, segmenters: Runs, rare: Sequence[str], rows: int) -> tuple[GalleryRow, ...]:
    """Return test scenes with what each segmenter predicts there."""
    import torch
    import torch.nn.functional as F

    from rarescene.reports import GalleryScene, gallery_rows, representative
    from rarescene.scenes import resize_image
    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images

    if not segmenters or not source.split.test:
        return ()
    targets = source.scenes.classes.ids_of(rare)
    test = source.scenes.subset(source.split.test)
    cache = decode(test, *_display_size(test))
    chosen = representative(cache.class_pixels, targets, rows) or list(range(min(rows, len(test))))
    networks = {folder.name: (load_segmenter(folder / "model")[0], record.config) for folder, record in segmenters.items()}
    scenes = []
    for index in chosen:
        scene = test[index]
        predictions = {}
        for name, (network, settings) in networks.items():
            image = to_images(resize_image(scene.image, settings["height"], settings["width"])[None])
            with torch.inference_mode():
                found = F.interpolate(network.predict(image), size=scene.mask.shape, mode="bilinear")
            predictions[name] = found.argmax(1)[0].numpy().astype(np.uint8)
        shown = tuple(target for target in targets if (scene.mask == target).any())
        scenes.append(
            GalleryScene(
                scene.record.name, scene.record.group, scene.mask, scene.image, {}, predictions, shown,
                note="test scene: never seen in training",
            )  # fmt: skip
        )
    return gallery_rows(scenes, source.scenes.classes)


def _synthetic_rows(sets: Runs, rare: Sequence[str], rows: int) -> tuple[GalleryRow, ...]:
    """Return synthetic pairs beside the real frame of the same map."""
    from rarescene.reports import GalleryScene, gallery_rows, representative
    from rarescene.scenes import resize_image

    made: list[GalleryRow] = []
    for folder, record in sets.items():
        pairs, origins = open_scenes(f"set:{folder}"), _origins(record)
        targets = pairs.classes.ids_of(rare)
        areas = np.stack([np.bincount(scene.mask.ravel(), minlength=256)[: len(pairs.classes)] for scene in pairs])
        chosen = representative(areas, targets, rows) or list(range(min(rows, len(pairs))))
        scenes = []
        for index in chosen:
            scene = pairs[index]
            name = scene.record.details["mask_of"]
            real = None
            if name in origins and not record.config["vary"]:
                real = resize_image(origins[""][origins[name]].image, *scene.mask.shape)
            shown = tuple(target for target in targets if (scene.mask == target).any())
            scenes.append(
                GalleryScene(
                    f"{folder.name} {index}", scene.record.group, scene.mask, real, {"synthetic": scene.image}, {}, shown,
                    note=f"drawn for the map of {name}",
                )  # fmt: skip
            )
        made += gallery_rows(scenes, pairs.classes, errors=False)
    return tuple(made)


def _display_size(scenes: SceneSet) -> tuple[int, int]:
    height, width = scenes[0].mask.shape
    scale = min(1.0, 256 / max(height, width))
    return round(height * scale), round(width * scale)


def _log(folder: Path) -> list[dict[str, float]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _in_words(record: RunRecord) -> str:
    config = record.config
    match record.kind:
        case "segmenter":
            training = config["training"]
            return (
                f"{config['segmenter']}, strategy {config['strategy']}, {training['steps']} steps of "
                f"{training['batch_size']}, seed {record.seed}"
            )
        case "scene set":
            return f"{config['count']} synthetic pairs, {config['sampling']['sampler']} in {config['sampling']['steps']} steps"
        case _:
            return f"image generator, {config['model']['training']['steps']} steps, seed {record.seed}"


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


