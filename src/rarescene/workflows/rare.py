"""Which classes are rare: one rule for every command that has to know, decided before anything is scored."""

from __future__ import annotations

from rarescene.scenes import SceneSet, SceneStatistics
from rarescene.workflows.prepared import class_ids, decode

SIDE = 256
"""Masks are counted with their longer side at most this long."""


def rare_classes(
    scenes: SceneSet, classes: str = "", statistics: SceneStatistics | None = None
) -> tuple[str, ...]:
    """Return the classes that are named, or else those that the statistics of the whole data set call rare.

    Args:
        scenes: the data set.
        classes: comma-separated names, or nothing.
        statistics: those of `statistics_of`, where they are known already.

    Raises:
        ConfigError: a class is not known.
    """
    named = tuple(scenes.classes.names[index] for index in class_ids(scenes.classes, classes))
    return named or tuple(entry.name for entry in (statistics or statistics_of(scenes)).rare)


def statistics_of(scenes: SceneSet) -> SceneStatistics:
    """Return the statistics of all masks of a data set, which are decoded once and kept."""
    from rarescene.scenes import class_statistics

    return class_statistics(decode(scenes, *display_size(scenes), images=scenes.has_images))


def display_size(scenes: SceneSet) -> tuple[int, int]:
    """Return the size of the first scene, made smaller until its longer side is at most `SIDE`."""
    height, width = scenes.mask(0).shape
    scale = min(1.0, SIDE / max(height, width))
    return round(height * scale), round(width * scale)
