"""`rarescene score`: how well the masks do that any other model predicted, such as nnU-Net."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Seed, Share
from rarescene.foundation.console import progress, say, show
from rarescene.foundation.errors import DataError
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes.data import open_data


@takes_text_for_paths
@writes_folder("scores", "scored masks", goes_on=True)
def score(
    masks: Path,
    *,
    data: str,
    out: Path,
    label: str = "",
    part: Literal["test", "validation", "all"] = "test",
    split: str = "recording",
    fractions: tuple[Share, Share, Share] | None = None,
    split_seed: Seed = 0,
    group_by: str | None = None,
    seed: Seed = 0,
    quiet: bool = False,
) -> None:
    """Score masks that any other model predicted, with intervals over recordings, as `evaluate` scores ours.

    OUT joins `rarescene compare` and `rarescene report` beside our runs. Of masks of `rarescene predict` it
    is known what their segmenter has learned from; of others see for yourself that it was not these
    recordings.

    Args:
        masks: folder of predicted masks, one a scene, named like the scenes or as `rarescene export` named
            them. They hold class ids, or the data's own values or colours, or what a classes.json or
            nnU-Net's dataset.json beside them says.
        data: NAME:PATH or a YAML file.
        out: folder for the scores.
        label: what `compare` and `report` call the model, such as "nnU-Net"; by default the name of the
            folder of masks. Folders of one label and different seeds are averaged.
        part: part of the split that was predicted: test, validation or all.
        split: how DATA is split, as for the runs that it is compared with.
        fractions: shares of training, validation and test, likewise.
        split_seed: seed of the split, likewise.
        group_by: regular expression that tells the recordings of a folder apart, likewise.
        seed: with which the model was trained.
        quiet: write the scores and print no table.

    Raises:
        DataError: a scene has no mask or several, or a mask cannot be read for certain.
        LeakError: they are of `rarescene predict`, and its segmenter has seen recordings that are scored.
    """
    from rarescene.evaluation import METRICS, OverlapMeter, RunMetrics
    from rarescene.reports import overlap_table
    from rarescene.reports.tables import scores_of_run
    from rarescene.scenes.predicted_masks import PredictedMasks

    began = time.perf_counter()
    source = open_data(data, split, split_seed, fractions, group_by)
    table, chosen = source.scenes.classes, source.part(part)
    if not chosen:
        raise DataError(f"the {part} part of {data} is empty", "Choose another --part, or another --split.")
    scenes = source.scenes.subset(chosen)
    predicted = PredictedMasks.of(masks, scenes)
    if predicted.spare:
        say(f"note: {predicted.spare} files in {masks} belong to none of the {len(scenes)} {part} scenes")
    home = masks.resolve().parent
    if (home / RECORD).is_file() and (theirs := read_record(home)).kind == "predictions":
        theirs.provenance.seen.refuse(source.places(chosen), "the segmenter", home)
    name = label or masks.resolve().name
    record = RunRecord.begin(
        kind="scored masks", config={"segmenter": name, "masks": str(masks), "part": part}, seed=seed,
        provenance=source.provenance(None), class_table=table.to_dict(),
    )  # fmt: skip
    overlap = OverlapMeter(table.names, table.ignore_index)
    with progress("scoring") as advance:
        for done, record_of in enumerate(scenes.records, start=1):
            truth = scenes.mask(done - 1)
            shown = predicted.mask(record_of, *truth.shape)
            overlap.update(shown[None], truth[None], [record_of.group])
            advance(done, len(scenes))
    metrics = RunMetrics(
        segmenter=name, strategy="none", seed=seed, steps=None, batch_size=None, size=None,
        data=source.provenance(None).describe() | {"part": part, "at": "native"}, classes=table,
        scores=overlap.result(), recordings=overlap.recordings, measured={}, label=name,
    )  # fmt: skip
    write_json(out / METRICS, metrics.to_dict())
    record.ended(time.perf_counter() - began, {"scenes": len(scenes)}).write(out)
    if not quiet:
        show(overlap_table([scores_of_run(name, record, metrics)], table))
    say(f"written to {out / METRICS}")
