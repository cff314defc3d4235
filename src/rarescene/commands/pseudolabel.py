"""`rarescene pseudolabel`: real frames without masks, labelled by a segmenter where it is sure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Share
from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import read_record
from rarescene.reports.cards import write_set_card
from rarescene.reports.gallery import class_areas
from rarescene.sources.pseudo_labels import BLOCK, SURE, open_pseudo_labels
from rarescene.sources.set_writing import write_set


@takes_text_for_paths
@writes_folder("set", "scene set")
def pseudolabel(
    run: Path,
    frames: str,
    *,
    out: Path,
    sure: Share = SURE,
    part: Literal["train", "validation", "test", "all"] = "all",
    split: str | None = None,
    group_by: str | None = None,
    resume: bool = False,
) -> None:
    """Label frames that have no masks where a segmenter is sure, so that they can join the training.

    Each pixel gets the class that the segmenter finds most probable; where it is not sure of that, the pixel
    is unlabelled, and no segmentation loss touches it. The set has the size of the segmenter's images. It
    joins as any set does: `segment --strategy offline --synthetic SET`; and `synthesize --compose DATA --into
    SET` puts rare classes into its frames.

    Args:
        run: folder of a `rarescene segment` run that was trained on real scenes alone.
        frames: a folder of images (nested ones are found), or a data set, NAME:PATH or a YAML file, whose
            masks are then not looked at, so that the labels can be compared with them. Recordings must be
            named as they are in the segmenter's data: those that it holds out are refused.
        out: folder of the scene set.
        sure: the least probability of a label, 0 to 1. A wrong label harms more than a missing one, and of a
            calibrated segmenter at most one in ten of the pixels at 0.9 is wrong.
        part: part of the split of a data set: train, validation, test or all.
        split: how it is split, if a part of it is taken; by default as the segmenter's data were.
        group_by: regular expression that tells the recordings apart; by default the segmenter's.
        resume: keep the scenes that are there and label the rest.

    Raises:
        CheckpointError: the segmenter learned from synthetic or pseudo-labelled scenes.
        LeakError: frames are of recordings that are held out.
    """
    began = time.perf_counter()
    if out.resolve().is_relative_to(Path(frames).resolve()) and Path(frames).is_dir():
        what = "lies among the frames, and its images would be taken for frames the next time"
        raise ConfigError(what, "Choose an --out that is not within the folder of the frames.", out)
    source = open_pseudo_labels(run, frames, sure=sure, part=part, split=split, group_by=group_by)
    trained = read_record(run, "segmenter")
    written = write_set(
        out, run, source.table, source.provenance, source.made_by, count=len(source), seed=trained.seed,
        block=BLOCK, make=source.label, doing="labelling",
        loosen="Lower --sure, or train the segmenter longer: it is sure of no pixel.",
    )  # fmt: skip
    if written is None:
        return
    record, scenes = written
    pixels = class_areas(scenes).sum(axis=0)  # (C,), those that are labelled
    height, width = source.judge.size
    labelled = float(pixels.sum() / (len(scenes) * height * width))
    seconds = time.perf_counter() - began
    ended = record.ended(seconds, {"pairs": len(scenes), "labelled": round(labelled, 6)})
    write_set_card(out, ended, trained, scenes)
    ended.write(out)
    say(f"{len(scenes)} frames in {out}, {seconds:.0f} s; {labelled:.1%} of their pixels are labelled")
    shares = dict(zip(source.table.names, (pixels / pixels.sum()).tolist(), strict=True))
    say("of these: " + ", ".join(f"{name} {share:.2%}" for name, share in shares.items() if share))
    if never := [name for name, share in shares.items() if not share]:
        say(
            f"note: sure of nowhere: {', '.join(never)}; where these lie the set says something else or "
            "nothing, and a segmenter that trains on it may unlearn them"
        )
    if len(scenes) < len(source):
        say(f"{len(source) - len(scenes)} were left out, since no pixel of them is sure")
