"""A synthetic set that is to join real data: what has to fit, and what would be a leak."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.run_record import RunRecord, Seen
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
    refuse_leaks(source, made.seen, told_apart(made), "the synthetic set", folder)
    return pairs


def refuse_leaks(source: Data, seen: Seen, ways: Mapping[str, str | None], who: str, folder: Path) -> None:
    """Refuse what was made from recordings that are held out here, or where that could not be seen.

    Args:
        source: the data that are trained on, and their split.
        seen: what `who`, in `folder`, was made from.
        ways: data set → `--group-by`: how its recordings were told apart.

    Raises:
        ConfigError: recordings were told apart in another way.
        LeakError: held-out recordings were seen.
    """
    group_by = source.options["group_by"]
    theirs = ways.get(source.scenes.name, group_by)
    if theirs != group_by:
        what = (
            f"was made with --group-by {theirs!r} and not {group_by!r}, "
            "so held-out recordings could not be recognised"
        )
        raise ConfigError(what, f"Repeat the option with which {who} was made.", folder)
    seen.refuse(source.places((*source.split.validation, *source.split.test)), who, folder)


def told_apart(record: RunRecord) -> Mapping[str, str | None]:
    """Return data set → `--group-by`, for all data behind a run: how their recordings were told apart."""
    ways: Mapping[str, str | None] = record.config.get("told_apart") or {
        record.data["name"]: record.config.get("group_by")
    }
    return ways


def told_apart_alike(*ways: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return all of them together. Raises `ConfigError` where one data set was told apart in two ways."""
    together: dict[str, str | None] = {}
    for name, group_by in (entry for way in ways for entry in way.items()):
        if together.setdefault(name, group_by) != group_by:
            what = (
                f"the recordings of {name} were told apart in two ways: {together[name]!r} and {group_by!r}"
            )
            raise ConfigError(f"{what}, so leaks could hide", "Repeat one --group-by in all commands.")
    return together


def open_finished(folder: Path, made: RunRecord) -> SceneSet:
    """Return the scenes of a synthetic set. Raises `DataError` unless the set is finished."""
    if made.finished is None:
        raise DataError(
            "the set is not finished", "End it: repeat the command that wrote it, with --resume.", folder
        )
    return open_scenes(f"set:{folder}")
