"""A synthetic set that is to join real data: what has to fit, and what would be a leak."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.evaluation.pair_scores import Judge
from rarescene.foundation.console import say
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError, LeakError
from rarescene.foundation.provenance import Place, Provenance
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.scenes import ClassTable, SceneSet, open_scenes
from rarescene.scenes.data import Data

if TYPE_CHECKING:
    import torch

    from rarescene.scenes import Request
    from rarescene.sources.pair_source import PairSource


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
        remedy = "Generate the pairs with a generator that was trained on the same class table."
        raise CheckpointError(
            f"has the classes of {pairs.classes.name!r}, not of {source.scenes.classes.name!r}",
            remedy,
            folder,
        )
    refuse_leaks(source, made.provenance, "the synthetic set", folder)
    return pairs


def open_frames_of_set(folder: Path, made: RunRecord, source: Data) -> SceneSet:
    """Return the scenes of a set whose images are frames of a camera, as of `open_pairs`.

    Raises:
        ConfigError: its images were generated, or changed.
    """
    frames = open_pairs(folder, made, source)
    if any(record.details.get("synthetic", True) for record in frames.records):
        remedy = "Give a set that `rarescene pseudolabel` wrote, or that was curated from one."
        raise ConfigError("holds images that were generated, and no real frames", remedy, folder)
    return frames


def refuse_leaks(source: Data, made: Provenance, who: str, folder: Path) -> None:
    """Refuse what was made from recordings that are held out here, or where that could not be seen.

    Args:
        source: the data that are trained on, and their split.
        made: where `who`, in `folder`, comes from.
        who: "the generator" or "the synthetic set".
        folder: of its run.

    Raises:
        ConfigError: recordings were told apart in another way.
        LeakError: held-out recordings were seen.
    """
    group_by = source.options["group_by"]
    theirs = made.grouping.get(source.scenes.name, group_by)
    if theirs != group_by:
        what = (
            f"was made with --group-by {theirs!r} and not {group_by!r}, "
            "so held-out recordings could not be recognised"
        )
        raise ConfigError(what, f"Repeat the option with which {who} was made.", folder)
    made.seen.refuse(source.places((*source.split.validation, *source.split.test)), who, folder)


def refuse_held_out(places: Iterable[Place], trained: Provenance, folder: Path) -> None:
    """Refuse frames of the recordings that a model's own data hold out, by which it is to be scored.

    Where the split of those data cut through a recording, the part of it that the model has learned from is
    not held out.

    Args:
        places: of the frames.
        trained: where the model, in `folder`, comes from.
        folder: of its run.

    Raises:
        LeakError: a frame is held out.
    """
    held = {name for part in ("validation", "test") for name in trained.recordings.get(part, ())}
    found = sorted(
        {group for group, order in places if group in held and not trained.seen.covers(group, order)}
    )
    if found:
        listed = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise LeakError(
            f"its data hold out recordings that the frames are of: {listed}",
            "Leave them out: what is learned from them could no longer be tested on them. Of a data set, "
            "--split FILE --part train takes the recordings that FILE lists.",
            folder,
        )


def open_finished(folder: Path, made: RunRecord) -> SceneSet:
    """Return the scenes of a synthetic set. Raises `DataError` unless the set is finished."""
    if made.finished is None:
        raise DataError(
            "the set is not finished", "End it: repeat the command that wrote it, with --resume.", folder
        )
    return open_scenes(f"set:{folder}")


def open_generator(
    run: Path,
    maps: Path | None,
    source: Data,
    sampling: SamplingConfig,
    map_sampling: MapSamplingConfig,
    device: torch.device | None = None,
) -> PairSource[Request]:
    """Return a source of pairs, or say why its pairs may not join the training on these data.

    Args:
        run: of the generator.
        maps: of the map generator, or None.
        source: the real data.
        sampling: how pairs are generated.
        map_sampling: how maps are generated.
        device: where to generate; None for where the training runs.

    Raises:
        CheckpointError: it is none, or has other classes.
        ConfigError: recordings were told apart in another way, so that a leak could not be seen.
        LeakError: it was made from recordings that are held out here.
    """
    from rarescene.sources.pair_source import open_pair_source
    from rarescene.training.ranks import is_main_process

    pairs = open_pair_source(run, maps, sampling=sampling, map_sampling=map_sampling, device=device)
    if pairs.table.fingerprint != source.scenes.classes.fingerprint:
        what = f"knows the classes of {pairs.table.name!r}, not of {source.scenes.classes.name!r}"
        raise CheckpointError(what, "Take a generator that was trained on the same class table.", run)
    refuse_leaks(source, pairs.provenance, "the generator", run)
    shown = {class_id for request in pairs.pool.requests for class_id in request.ids}
    unseen = [name for class_id, name in enumerate(pairs.table.names) if class_id not in shown]
    if unseen and is_main_process():
        say(f"note: the generator was never shown {', '.join(unseen)}; that is not asked for")
    return pairs


def agreed_size(
    pairs: PairSource[Request], run: Path, height: int | None, width: int | None
) -> tuple[int, int]:
    """Return the size of sampled pairs. Raises `ConfigError` if another one was asked for."""
    if (height or pairs.height, width or pairs.width) != (pairs.height, pairs.width):
        what = (
            f"generates {pairs.width}×{pairs.height}, and the segmenter is to see "
            f"{width or pairs.width}×{height or pairs.height}"
        )
        raise ConfigError(what, "Leave --height and --width out, or train a generator of that size.", run)
    return pairs.height, pairs.width


def real_segmenter(run: Path) -> RunRecord:
    """Return the record of a segmenter that may judge synthetic pairs.

    Raises:
        CheckpointError: it is none, or it was trained with synthetic pairs, which it would then agree with.
    """
    record = read_record(run, "segmenter")
    if pairs := record.config.get("synthetic") or record.config.get("generator"):
        what = f"was trained with synthetic pairs ({pairs}) and would agree with them"
        raise CheckpointError(what, "Give one that was trained on real scenes alone (--strategy none).", run)
    if record.finished is None:
        remedy = "End it: repeat its `rarescene segment` with --resume."
        raise CheckpointError("the segmenter is not fully trained", remedy, run)
    return record


def open_judge(run: Path, record: RunRecord, table: ClassTable) -> Judge:
    """Return a trained segmenter that says what it sees in scenes of these classes.

    Args:
        run: folder of `rarescene segment`.
        record: its run record.
        table: the class table of what it is asked about.

    Raises:
        CheckpointError: the weights are missing, or were trained for other classes.
    """
    from rarescene.segmenters import load_segmenter

    network, _ = load_segmenter(run / "model", table)
    return Judge(network, (record.config["height"], record.config["width"]), table)
