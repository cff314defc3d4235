"""`rarescene stats`: what a data set shows of each class, and which classes are rare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Share
from rarescene.foundation.console import progress, say, show
from rarescene.foundation.files import write_json
from rarescene.scenes.data import decode, open_data, say_doubt
from rarescene.scenes.statistics import (
    AREA_SHARE,
    FRAME_SHARE,
    PIXEL_SHARE,
    RECORDING_SHARE,
    display_size,
    nothing_rare,
)


@takes_text_for_paths
def stats(
    data: str,
    *,
    split: str | None = None,
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    frame_share: Share = FRAME_SHARE,
    area_share: Share = AREA_SHARE,
    pixel_share: Share = PIXEL_SHARE,
    recording_share: Share = RECORDING_SHARE,
    out: Path | None = None,
) -> None:
    """Show, per class, share of frames, area where present and recordings; mark the rare ones, and why.

    Below them stand the recordings. Trainings, tables and reports take those for rare that are so in the
    training part, which --split shows.

    Args:
        data: NAME:PATH or a YAML file.
        split: look at the training part of this split; by default at everything.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        frame_share: a class in fewer frames than this is rare.
        area_share: a class that covers less than this where it is present is rare.
        pixel_share: a class that has less than this of all pixels is rare.
        recording_share: a class in no more recordings than this is rare, of eight or more.
        out: JSON file to write as well.
    """
    from rarescene.reports import recordings_table, statistics_table
    from rarescene.scenes import class_statistics, open_scenes

    if split is None:
        scenes = open_scenes(data, group_by=group_by)
        say_doubt(scenes)
    else:
        source = open_data(data, split, split_seed, fractions, group_by)
        scenes = source.scenes.subset(source.split.train)
    cache = decode(scenes, *display_size(scenes), images=False)
    with progress("counting") as advance:
        found = class_statistics(
            cache, frame_share=frame_share, area_share=area_share, pixel_share=pixel_share,
            recording_share=recording_share, progress=advance,
        )  # fmt: skip
    if split is not None:
        found = replace(found, name=f"the training part of {found.name}")
    show(statistics_table(found, scenes.classes))
    if not found.rare:
        say(f"{nothing_rare(found, '--classes, or --duplicate.classes of a training,')}.")
    show(recordings_table(scenes.listed))
    if out is not None:
        write_json(out, found.to_dict())
        say(f"written to {out}")
