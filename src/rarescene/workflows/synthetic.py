"""A synthetic set that is to join real data: what has to fit, and what would be a leak."""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.run_record import RunRecord
from rarescene.scenes import SceneSet, open_scenes
from rarescene.workflows.prepared import Data


def open_pairs(folder: Path, made: RunRecord, source: Data) -> SceneSet:
    """Return the synthetic scenes, or say why they may not join the training on these data.

    Raises:
        DataError: the set is not finished.
        CheckpointError: it has other classes.
        ConfigError: recordings were told apart in another way, so that a leak could not be seen.
        LeakError: it was made from recordings that are held out here.
    """
    pairs = open_finished(folder, made)
    if pairs.classes.fingerprint != source.scenes.classes.fingerprint:
        remedy = "Draw the pairs with a generator that was trained on the same class table."
        raise CheckpointError(
            f"has the classes of {pairs.classes.name!r}, not of {source.scenes.classes.name!r}",
            remedy,
            folder,
        )
    group_by, theirs = source.options["group_by"], made.config.get("group_by")
    if made.data["name"] == source.scenes.name and theirs != group_by:
        what = (
            f"was made with --group-by {theirs!r} and not {group_by!r}, "
            "so held-out recordings could not be recognised"
        )
        raise ConfigError(what, "Repeat the option with which the set and its generator were made.", folder)
    made.seen.refuse(
        source.places((*source.split.validation, *source.split.test)), "the synthetic set", folder
    )
    return pairs


def open_finished(folder: Path, made: RunRecord) -> SceneSet:
    """Return the scenes of a synthetic set. Raises `DataError` unless the set is finished."""
    if made.finished is None:
        raise DataError(
            "the set is not finished", "End it: repeat the command that wrote it, with --resume.", folder
        )
    return open_scenes(f"set:{folder}")
