"""Synthetic images beside the real ones of the same maps: the figures, for reports and recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rarescene.foundation.run_record import read_record
from rarescene.scenes import SceneSet, open_scenes
from rarescene.workflows.prepared import progress

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.evaluation import RealismScores

MOST = 1024
"""Pairs that are compared at most: the first ones of a set, whose order is a random one."""


def set_realism(folder: Path, most: int = MOST) -> RealismScores | None:
    """Compare the images of a synthetic set with the frames whose maps they were drawn for.

    Args:
        folder: what `rarescene synthesize` wrote.
        most: how many pairs at most.

    Returns:
        The scores; None where fewer than two pairs belong to a frame, as those of prompted maps do not, or
        where there are masks alone.
    """
    from rarescene.evaluation import realism_scores
    from rarescene.scenes import resize_image
    from rarescene.training import to_images

    made = read_record(folder, "scene set")
    if not made.config.get("masks"):
        return None
    pairs, originals = open_scenes(f"set:{folder}"), open_scenes(made.config["masks"])
    if not (pairs.has_images and originals.has_images):
        return None
    places = places_of(originals)
    usable = [index for index, entry in enumerate(pairs.records) if entry.details["mask_of"] in places][:most]
    if len(usable) < 2:
        return None
    # A flipped map has no real image of its own, so there are no pairs then.
    varied = made.config["vary"]

    def images(real: bool) -> Iterator[Tensor]:
        for start in range(0, len(usable), 16):
            batch = []
            for scene in (pairs[index] for index in usable[start : start + 16]):
                original = originals[places[scene.record.details["mask_of"]]].image if real else None
                batch.append(scene.image if original is None else resize_image(original, *scene.mask.shape))
            yield to_images(np.stack(batch))

    done = 0
    with progress("realism") as advance:

        def count(seen: int) -> None:
            nonlocal done
            done += seen
            advance(done, 2 * len(usable))

        groups = [pairs.records[index].group for index in usable]
        return realism_scores(images(True), images(False), paired=not varied, groups=groups, progress=count)


def places_of(scenes: SceneSet) -> dict[str, int]:
    """Return where each scene is, by its name."""
    return {entry.name: index for index, entry in enumerate(scenes.records)}
