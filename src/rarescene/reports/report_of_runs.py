"""What the page of a report says, from the folders of runs of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarescene.evaluation.overlap import added_up
from rarescene.evaluation.run_metrics import read_metrics, read_scored
from rarescene.evaluation.significance import ComparisonTable
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_log
from rarescene.foundation.plugins import methods
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.generators import kinds_that_generate
from rarescene.reports.cards import PHANTOM_WARNING, how_made, origins_of
from rarescene.reports.charts import training_chart
from rarescene.reports.gallery import GalleryRow, GalleryScene, class_areas, gallery_rows, representative
from rarescene.reports.realism import Measure, places_of, realism_measures, set_realism
from rarescene.reports.refreshes_page import PAGE
from rarescene.reports.report_page import Report
from rarescene.reports.tables import RunScores, cell_of_run, metric_columns, scores_of_run
from rarescene.scenes import ClassTable, Scene, SceneSet, open_scenes
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.predicted_masks import PredictedMasks
from rarescene.scenes.statistics import display_size, rare_classes, statistics_of
from rarescene.sources.leakage import open_judge


@dataclass(frozen=True)
class Run:
    """A run folder, its record, and the name by which the page calls it."""

    name: str
    folder: Path
    record: RunRecord


def build_report(
    folders: Sequence[Path], *, title: str, classes: str = "", rows: int = 6, realism: bool = True
) -> Report:
    """Return the content of the page.

    Raises:
        CheckpointError: a folder is no run, or a segmenter has not been scored yet.
        ConfigError: the runs have different class tables, or cannot be compared.
    """
    runs = _named(folders)
    generators, sets, segmenters = (
        [run for run in runs if run.record.kind in kinds]
        for kinds in (
            (*kinds_that_generate("images"), *kinds_that_generate("pairs")),
            ("scene set",),
            ("segmenter", "scored masks"),
        )
    )
    if len({ClassTable.from_dict(run.record.class_table).fingerprint for run in runs}) != 1:
        raise ConfigError("the runs have different class tables", "Make one report for each data set.")
    for run in segmenters:
        read_metrics(run.folder)
    source = open_as_in((segmenters or runs)[0].record.provenance)
    scenes, table = source.scenes, source.scenes.classes

    statistics = statistics_of(source)
    rare = rare_classes(source, classes, statistics)
    scores, comparison, equal_steps, shown = _scores(segmenters, rare)
    phantom = any(run.record.provenance.phantom for run in runs)
    logs = {
        kind: {run.name: read_log(run.folder / "log.jsonl") for run in found}
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
        confidence={
            run.name: columns
            for run in shown
            if (columns := metric_columns(read_metrics(run.folder).measured))
        },
        comparison=comparison,
        equal_steps=equal_steps,
        realism={run.name: measures for run in sets if (measures := _realism(run))} if realism else {},
        gallery=(*_scored_rows(source, shown, rare, rows), *_synthetic_rows(sets, rare, rows)),
        gallery_rule="Chosen by a rule, not by eye: for each rare class in turn, scenes of median area.",
        curves=tuple(
            training_chart(name, found, value)
            for name, found, value in (
                ("image generator: class-aware MSE", logs["generator"], "camse"),
                ("image generator: class-aware self-perceptual loss", logs["generator"], "casp"),
                ("segmenters: training loss", logs["segmenter"], "loss"),
                ("segmenters: label-mean IoU on the validation recordings", logs["segmenter"], "validation"),
            )
            if any(value in line for log in found.values() for line in log)
        ),
        provenance=origins_of([run.record for run in runs]),
    )


def _named(folders: Sequence[Path]) -> list[Run]:
    """Return the runs, each called by its folder, or by its whole path where two folders have one name."""
    own = [folder.resolve().name for folder in folders]
    names = [name if own.count(name) == 1 else str(folder) for name, folder in zip(own, folders, strict=True)]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ConfigError(f"the run {twice} is given twice", "Give each folder once.")
    return [Run(name, folder, read_record(folder)) for name, folder in zip(names, folders, strict=True)]


def _scores(
    segmenters: Sequence[Run], rare: Sequence[str]
) -> tuple[tuple[RunScores, ...], ComparisonTable | None, bool, list[Run]]:
    """Return the columns, the comparison, whether it is fair, and the runs whose predictions are shown.

    A column is a run, or, where strategies were trained with several seeds, a strategy, its scores averaged
    over them; the gallery then shows the run with the first seed of each.
    """
    each = tuple(scores_of_run(run.name, run.record, read_metrics(run.folder)) for run in segmenters)
    if len(segmenters) < 2:
        return each, None, True, list(segmenters)
    scored = read_scored([run.folder for run in segmenters])
    if len(scored.strategies) < 2:
        return each, None, True, list(segmenters)
    table = scored.compared(scored.strategies[0], rare)
    if max(map(len, scored.folders.values())) == 1:
        return each, table, scored.equal_steps, list(segmenters)
    records = {run.folder: run.record for run in segmenters}
    columns, shown = [], []
    for strategy, scores in scored.averaged().items():
        metrics, folders = scored.metrics[strategy], scored.folders[strategy]
        first = min(folders)
        confusion = added_up(part for one in metrics.values() for part in one.recordings.values())
        cell = cell_of_run(records[folders[first]])
        columns.append(RunScores(strategy, scores, table.seeds, cell, confusion))
        shown.append(Run(f"{strategy}, seed {first}", folders[first], records[folders[first]]))
    return tuple(columns), table, scored.equal_steps, shown


def _realism(run: Run) -> tuple[Measure, ...]:
    """Compare a set's images with the real ones of the same maps, a few hundred at most."""
    scores = set_realism(run.folder, 512)
    return () if scores is None else realism_measures(scores)


def _scored_rows(
    source: Data, segmenters: Sequence[Run], rare: Sequence[str], rows: int
) -> tuple[GalleryRow, ...]:
    """Return test scenes with what each segmenter predicts there."""
    if not segmenters or not source.split.test:
        return ()
    targets = source.scenes.classes.ids_of(rare)
    test = source.scenes.subset(source.split.test)
    cache = decode(test, *display_size(test))
    chosen = representative(cache.class_pixels, targets, rows) or list(range(min(rows, len(test))))
    predictors = {run.name: _predictor(run, test) for run in segmenters}
    scenes = []
    for index in chosen:
        scene = test[index]
        predictions = {name: predict(scene) for name, predict in predictors.items()}
        shown = tuple(target for target in targets if (scene.mask == target).any())
        note = "test scene: never seen in training"
        name, group = scene.record.name, scene.record.group
        scenes.append(GalleryScene(name, group, scene.mask, scene.image, {}, predictions, shown, note))
    phantom = segmenters[0].record.provenance.phantom
    return gallery_rows(scenes, source.scenes.classes, phantom=phantom)


def _predictor(run: Run, test: SceneSet) -> Callable[[Scene], np.ndarray]:
    """Return what gives a run's mask of a test scene: its segmenter, or the masks that were scored."""
    if run.record.kind == "scored masks":
        masks = PredictedMasks.of(Path(run.record.config["masks"]), test)
        return lambda scene: masks.mask(scene.record, *scene.mask.shape)
    judge = open_judge(run.folder, run.record, test.classes)
    return lambda scene: judge.predict(scene.image[None])[0]


def _synthetic_rows(sets: Sequence[Run], rare: Sequence[str], rows: int) -> tuple[GalleryRow, ...]:
    """Return synthetic pairs, beside the frame that their map belongs to where there is one."""
    from rarescene.scenes import resize_image

    made: list[GalleryRow] = []
    for run in sets:
        pairs, config = open_scenes(f"set:{run.folder}"), run.record.config
        joint = config.get("generator") in kinds_that_generate("pairs")
        into = f"set:{config['into']}" if config.get("into") else ""
        real_data = config.get("masks") or into or config.get("compose")
        originals = open_scenes(real_data) if real_data else None
        places = {} if originals is None else places_of(originals)
        targets = pairs.classes.ids_of(rare)
        chosen = representative(class_areas(pairs), targets, rows) or list(range(min(rows, len(pairs))))
        scenes = []
        for index in chosen:
            scene = pairs[index]
            told = scene.record.details
            name = told.get("mask_of") or told.get("scene_of")
            real = None
            if originals is not None and name in places and originals.has_images and not config.get("vary"):
                real = resize_image(originals[places[name]].image, *scene.mask.shape)
            shown = tuple(target for target in targets if (scene.mask == target).any())
            if name is None:
                note = "generated with its mask" if joint else "generated for a map that is generated too"
            elif "labelled" in told:
                note = f"the frame {name}, of which {told['labelled']:.0%} are labelled"
            elif "inserted" in told:
                note = f"{told['inserted']} of {told['region_of']}, drawn into the real frame {name}"
            else:
                varied = ", flipped or rotated" if config.get("vary") else ""
                note = f"generated for the map of {name}{varied}"
            images = {"synthetic": scene.image} if pairs.has_images else {}
            group, title = scene.record.group, f"{run.name} {index}"
            scenes.append(GalleryScene(title, group, scene.mask, real, images, {}, shown, note))
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
        case "scored masks":
            return f"masks of {config['segmenter']}, predicted elsewhere, seed {record.seed}"
        case "scene set":
            chosen = f", chosen from {config['curation']['of']}" if "curation" in config else ""
            kept = int(record.metrics.get("pairs", config["count"]))
            many = f"{kept}" if kept == config["count"] else f"{kept} of {config['count']}"
            if "pseudolabel" in config:
                return f"{many} {how_made(config)}{chosen}"
            maps = ", for maps flipped and rotated, which no real frame shows" if config.get("vary") else ""
            maps = maps if config.get("masks") else ", for generated maps"
            maps = ", rare classes drawn into real frames" if "compose" in config else maps
            asked = (
                maps if "compose" in config or config["generator"] in kinds_that_generate("images") else ""
            )
            return f"{many} {how_made(config)}{asked}{chosen}"
        case kind:
            method = methods("generators").get(kind)
            thing = kind if method is None else method.thing
            return f"{thing}, {config['model']['training']['steps']} steps, seed {record.seed}"
