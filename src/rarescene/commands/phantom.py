"""`rarescene phantom`: write phantom scenes to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Count, Seed, Side
from rarescene.foundation.console import progress, say


@takes_text_for_paths
def phantom(
    out: Path,
    *,
    videos: Count = 12,
    frames: Count = 80,
    size: Side = 128,
    height: Side | None = None,
    width: Side | None = None,
    layout: Literal["folder", "cholecseg8k", "sisvse"] = "folder",
    classes: Literal["cholecseg8k", "sisvse"] | None = None,
    seed: Seed = 0,
    first: Count = 1,
) -> None:
    """Write procedural laparoscopic scenes. They are no surgical data.

    Files that are there already are kept, so a killed command can be repeated.

    Args:
        out: folder to write.
        videos: number of recordings, each with its own anatomy, light and camera.
        frames: frames of each recording.
        size: height and width in pixels.
        height: of the frames, if they are not square.
        width: likewise.
        layout: images/ and masks/ with a classes.json, or the files of CholecSeg8k or of SISVSE.
        classes: a cholecystectomy with the 13 classes of CholecSeg8k (the default, but for the layout of
            SISVSE), or a gastrectomy with the 32 of SISVSE.
        seed: seed of everything.
        first: number of the first recording; those of other numbers are other recordings.
    """
    from rarescene.scenes import PhantomConfig, write_phantom

    config = PhantomConfig(
        videos=videos,
        frames=frames,
        height=height or size,
        width=width or size,
        seed=seed,
        classes=classes or ("sisvse" if layout == "sisvse" else "cholecseg8k"),
        first=first,
    )
    with progress("phantom scenes") as advance:
        write_phantom(config, out, layout, progress=advance)
    say(f"{videos * frames} phantom scenes in {out}; name them {layout}:{out}")
