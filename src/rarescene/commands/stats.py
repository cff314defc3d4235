"""`rarescene stats`: what a data set shows of each class, and which classes are rare."""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.console import CONSOLE, progress, say
from rarescene.foundation.files import write_json
from rarescene.scenes.data import decode
from rarescene.scenes.statistics import display_size


def stats(
    data: str,
    *,
    group_by: str | None = None,
    frame_share: float = 0.10,
    area_share: float = 0.01,
    out: Path | None = None,
) -> None:
    """Show, per class, share of frames, area where present and recordings; mark the rare ones, and why.

    Args:
        data: NAME:PATH or a YAML file.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        frame_share: a class in fewer frames than this is rare.
        area_share: a class that covers less than this where it is present is rare.
        out: JSON file to write as well.
    """
    from rarescene.reports import statistics_table
    from rarescene.scenes import class_statistics, open_scenes

    scenes = open_scenes(data, group_by=group_by)
    cache = decode(scenes, *display_size(scenes), images=False)
    with progress("counting") as advance:
        found = class_statistics(cache, frame_share=frame_share, area_share=area_share, progress=advance)
    CONSOLE.print(statistics_table(found, scenes.classes))
    if out is not None:
        write_json(out, found.to_dict())
        say(f"written to {out}")
