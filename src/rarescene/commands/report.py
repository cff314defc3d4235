"""`rarescene report`: one self-contained page about several runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rarescene.commands.compare import Scored, read_scored
from rarescene.foundation.console import CONSOLE, say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.generators.loading import METHODS, PAIR_METHODS
from rarescene.reports.cards import how_drawn
from rarescene.reports.from_json import cell_of_run, read_metrics, scores_of_run
from rarescene.reports.realism import places_of, set_realism
from rarescene.reports.refreshes_page import PAGE
from rarescene.scenes import ClassTable, open_scenes
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.statistics import display_size, rare_classes, statistics_of

if TYPE_CHECKING:
    from rarescene.reports import Comparison, Confidence, GalleryRow, Measure, Report, RunScores

KINDS = ((*METHODS, *PAIR_METHODS), ("scene set",), ("segmenter",))


@dataclass(frozen=True)
class Run:
    """A run folder, its record, and the name by which the page calls it."""

    name: str
    folder: Path
    record: RunRecord


def report(
    runs: list[Path],
    *,
    out: Path,
    title: str = "rarescene report",
    classes: str = "",
    rows: int = 6,
    realism: bool = True,
) -> None:
    """Write one HTML file: tables, bars per class, a gallery, training curves, and their provenance.

    Args:
        runs: folders of `train`, `synthesize` and `segment` runs, in any order and number.
        out: the HTML file.
        title: heading of the page.
        classes: comma-separated rare classes, which come first; by default those that the data's statistics
            call rare.
        rows: gallery rows for scored scenes, and as many for synthetic pairs.
        realism: whether the synthetic images are compared with the real ones of the same maps.
    """
    from rarescene.reports import verdict_on, verdict_text, write_report

    page = build_report(runs, title=title, classes=classes, rows=rows, realism=realism)
    write_report(page, out)
    for one in page.comparisons:
        CONSOLE.print(verdict_text(verdict_on(one)))
    say(f"written to {out}")


def build_report(
    folders: Sequence[Path], *, title: str, classes: str = "", rows: int = 6, realism: bool = True
) -> Report:
    """Return the content of the page.

    Raises:
        CheckpointError: a folder is no run, or a segmenter has not been scored yet.
        ConfigError: the runs have different class tables, or cannot be compared.
    """
    from rarescene.reports import PHANTOM_WARNING, Report, curve_plot, provenance

    runs = _named(folders)
    generators, sets, segmenters = ([run for run in runs if run.record.kind in kinds] for kinds in KINDS)
    if len({ClassTable.from_dict(run.record.class_table).fingerprint for run in runs}) != 1:
        raise ConfigError("the runs have different class tables", "Make one report for each data set.")
    for run in segmenters:
        read_metrics(run.folder)
    source = open_as_in((segmenters or runs)[0].record.provenance)
    scenes, table = source.scenes, source.scenes.classes

    statistics = statistics_of(scenes)
    rare = rare_classes(scenes, classes, statistics)
    scores, comparisons, shown = _scores(segmenters, rare)
    phantom = any(run.record.provenance.phantom for run in runs)
    logs = {
        kind: {run.name: read_json_lines(run.folder / "log.jsonl") for run in found}
        for kind, found in (("generator", generators), ("segmenter", segmenters))
    }
    return Report(
        title=title,
        summary=f"{scenes.name}: {len(scenes)} scenes of {len(scenes.groups)} recordings.",
        classes=table,
        rare=rare,
        warnings=tuple(
            word for word in (PHANTOM_WARNING if phantom else "", source.split.warning or "") if word
        ),
        phantom=phantom,
        compared={run.name: _in_words(run.record) + _page_of(run.folder) for run in runs},
        statistics=statistics,
        runs=scores,
        confidence={run.name: found for run in shown if (found := _confidence(run, table.names))},
        comparisons=comparisons,
        realism={run.name: measures for run in sets if (measures := _realism(run))} if realism else {},
        gallery=(*_scored_rows(source, shown, rare, rows), *_synthetic_rows(sets, rare, rows)),
        gallery_rule="Chosen by a rule, not by eye: for each rare class in turn, scenes of median area.",
        curves=tuple(
            curve_plot(name, found, value)
            for name, found, value in (
                ("image generator: class-aware MSE", logs["generator"], "camse"),
                ("image generator: class-aware self-perceptual loss", logs["generator"], "casp"),
                ("segmenters: training loss", logs["segmenter"], "loss"),
                ("segmenters: label-mean IoU on the validation recordings", logs["segmenter"], "validation"),
            )
            if any(value in line for log in found.values() for line in log)
        ),
        provenance=provenance([run.record for run in runs]),
    )


def _named(folders: Sequence[Path]) -> list[Run]:
    """Return the runs, each called by its folder, or by its whole path where two folders have one name."""
    counts = Counter(folder.resolve().name for folder in folders)
    names = [
        folder.resolve().name if counts[folder.resolve().name] == 1 else str(folder) for folder in folders
    ]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ConfigError(f"the run {twice} is given twice", "Give each folder once.")
    return [Run(name, folder, read_record(folder)) for name, folder in zip(names, folders, strict=True)]


def _confidence(run: Run, names: Sequence[str]) -> Confidence | None:
    from rarescene.reports import read_confidence

    return read_confidence(read_metrics(run.folder), names)


def _scores(
    segmenters: Sequence[Run], rare: Sequence[str]
) -> tuple[tuple[RunScores, ...], tuple[Comparison, ...], list[Run]]:
    """Return the columns, the comparisons, and the runs whose predictions the gallery shows.

    A column is a run, or, where strategies were trained with several seeds, a strategy, its scores averaged
    over them; the gallery then shows the run with the first seed of each.
    """
    from rarescene.reports import comparisons

    each = tuple(scores_of_run(run.name, run.record, read_metrics(run.folder)) for run in segmenters)
    if len({run.record.config["strategy"] for run in segmenters}) < 2:
        return each, (), list(segmenters)
    scored = read_scored([run.folder for run in segmenters])
    table = scored.compared(scored.strategies[0], rare)
    judged = comparisons(table.to_dict(), equal_steps=scored.equal_steps)
    if max(map(len, scored.runs.values())) == 1:
        return each, judged, list(segmenters)
    records = {run.folder: run.record for run in segmenters}
    firsts = {strategy: (min(by_seed), by_seed[min(by_seed)]) for strategy, by_seed in scored.runs.items()}
    shown = [Run(f"{name}, seed {seed}", folder, records[folder]) for name, (seed, folder) in firsts.items()]
    cells = {name: cell_of_run(records[folder]) for name, (_, folder) in firsts.items()}
    return _averaged(scored, cells), judged, shown


def _averaged(scored: Scored, cells: Mapping[str, float]) -> tuple[RunScores, ...]:
    """Return one column a strategy, averaged over its seeds."""
    from rarescene.reports import strategy_scores

    names = scored.table.names
    tables = {
        score: scored.compared(scored.strategies[0], names, score).to_dict() for score in ("iou", "dice")
    }
    some = next(iter(scored.metrics[scored.strategies[0]].values()))
    recordings = {
        strategy: [one["recordings"] for _, one in sorted(by_seed.items())]
        for strategy, by_seed in scored.metrics.items()
    }
    columns = strategy_scores(tables, some["scores"], recordings=recordings)
    return tuple(replace(column, stride=cells[column.name]) for column in columns)


def _realism(run: Run) -> tuple[Measure, ...]:
    """Compare a set's images with the real ones of the same maps, a few hundred at most."""
    from rarescene.reports import realism_measures

    scores = set_realism(run.folder, 512)
    return () if scores is None else realism_measures(scores.to_dict())


def _scored_rows(
    source: Data, segmenters: Sequence[Run], rare: Sequence[str], rows: int
) -> tuple[GalleryRow, ...]:
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
    cache = decode(test, *display_size(test))
    chosen = representative(cache.class_pixels, targets, rows) or list(range(min(rows, len(test))))
    networks = {run.name: (load_segmenter(run.folder / "model")[0], run.record.config) for run in segmenters}
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
                scene.record.name,
                scene.record.group,
                scene.mask,
                scene.image,
                {},
                predictions,
                shown,
                note="test scene: never seen in training",
            )
        )
    phantom = segmenters[0].record.provenance.phantom
    return gallery_rows(scenes, source.scenes.classes, phantom=phantom)


def _synthetic_rows(sets: Sequence[Run], rare: Sequence[str], rows: int) -> tuple[GalleryRow, ...]:
    """Return synthetic pairs, beside the frame that their map belongs to where there is one."""
    from rarescene.reports import GalleryScene, gallery_rows, representative
    from rarescene.scenes import resize_image

    made: list[GalleryRow] = []
    for run in sets:
        pairs, config = open_scenes(f"set:{run.folder}"), run.record.config
        joint = config["generator"] in PAIR_METHODS
        originals = open_scenes(config["masks"]) if config.get("masks") else None
        places = {} if originals is None else places_of(originals)
        targets = pairs.classes.ids_of(rare)
        areas = np.stack(
            [
                np.bincount(pairs.mask(index).ravel(), minlength=256)[: len(pairs.classes)]
                for index in range(len(pairs))
            ]
        )
        chosen = representative(areas, targets, rows) or list(range(min(rows, len(pairs))))
        scenes = []
        for index in chosen:
            scene = pairs[index]
            name = scene.record.details.get("mask_of")
            real = None
            if originals is not None and name in places and originals.has_images and not config["vary"]:
                real = resize_image(originals[places[name]].image, *scene.mask.shape)
            shown = tuple(target for target in targets if (scene.mask == target).any())
            varied = ", flipped or rotated" if config.get("vary") else ""
            scenes.append(
                GalleryScene(
                    f"{run.name} {index}",
                    scene.record.group,
                    scene.mask,
                    real,
                    {"synthetic": scene.image} if pairs.has_images else {},
                    {},
                    shown,
                    note=("drawn with its mask" if joint else "drawn for a generated map")
                    if name is None
                    else f"drawn for the map of {name}{varied}",
                )
            )
        made += gallery_rows(scenes, pairs.classes, errors=False, phantom=run.record.provenance.phantom)
    return tuple(made)


def _page_of(folder: Path) -> str:
    """Say where the page about a run's refreshes is, if it has one."""
    return f"; what each refresh decided: {folder / PAGE}" if (folder / PAGE).is_file() else ""


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
            maps = ", for maps flipped and rotated, which no real frame shows" if config.get("vary") else ""
            maps = maps if config.get("masks") else ", for generated maps"
            chosen = f", chosen from {config['curation']['of']}" if "curation" in config else ""
            drawn = "" if config["generator"] in PAIR_METHODS else maps
            return f"{config['count']} synthetic pairs, {how_drawn(config)}{drawn}{chosen}"
        case "joint_latent" | "datasetgan":
            return f"{PAIR_METHODS[record.kind]} pair generator, seed {record.seed}"
        case _:
            method = METHODS.get(record.kind, record.kind)
            return (
                f"{method} image generator, {config['model']['training']['steps']} steps, seed {record.seed}"
            )
