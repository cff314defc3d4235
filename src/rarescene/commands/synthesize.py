"""`rarescene synthesize`: pairs that show the classes asked for.

Pair i is a function of (weights, mask i or request i, seed, i, sampler, steps, precision) alone, and where
masks are drawn by a generator of their own, mask i is one of (its weights, request i, seed, i, map sampling).
The work is cut into blocks of equally many indices, ranks and resumed runs take whole blocks, and so their
files are equal to the byte.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.run_folder import fresh_folder
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.loading import METHODS, PAIR_METHODS
from rarescene.reports.cards import write_set_card
from rarescene.sources.mask_source import MapsOfRequests, MasksOfData, MaskSource
from rarescene.sources.pair_source import (
    IMAGE_STEPS,
    ImagesForMasks,
    PairsOfRequests,
    PairSource,
    generation_options,
    open_pair_drawer,
)
from rarescene.sources.requests import TRAINING, MapSamplingConfig, SamplingConfig, check_map_sampling
from rarescene.training.ranks import accelerator, processes


def synthesize(
    run: Path,
    *,
    out: Path,
    masks: str = "",
    maps: Path | None = None,
    requests: str = TRAINING,
    classes: str = "",
    count: int = 500,
    part: str = "train",
    split: str | None = None,
    group_by: str | None = None,
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 - frozen
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    vary: bool = False,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Draw synthetic pairs that show the classes asked for: a mask, and a new image for it.

    A joint generator or a DatasetGAN draws both at once, for a request. For an image generator, masks come
    from a data set (--masks), or are drawn as well, by a map generator that is asked for them (--maps): then
    too a request goes in, and a checked pair comes out.
    `torchrun --nproc_per_node N -m rarescene.cli synthesize …` shares the work among N processes.

    Args:
        run: folder of a run that trained a generator of pairs, for instance by `train joint`, or one of
            images, for instance by `train casdm`.
        out: folder of the scene set.
        masks: for an image generator: data set whose masks are drawn from, NAME:PATH or a YAML file.
        maps: instead of --masks: folder of a `train maps` run.
        requests: what drawn maps or pairs must show: "training", as the training masks have it; a text file
            with one request a line; or a data set whose masks are asked for again.
        classes: comma-separated; a mask that shows any of them, or a request for any of them, is used.
            Empty: every one.
        count: number of pairs.
        part: part of the split that masks come from: train, validation, test or all.
        split: how MASKS is split; by default as the generator's data were.
        group_by: regular expression that tells the recordings of a folder apart; by default the generator's.
        sampling: how images or pairs are drawn.
        map_sampling: how maps are drawn, and how often a map that breaks its request is drawn again.
        vary: flip and rotate the masks of --masks as the generator's training did.
        seed: seed of the noise.
        resume: keep the pairs that are there and draw the rest.
    """
    from rarescene.scenes import SceneSetWriter
    from rarescene.training import this_rank, to_pixels

    began = time.perf_counter()
    if count < 1:
        raise ConfigError(f"{count} pairs were asked for", "Set --count to 1 or more.")
    trained = read_record(run)
    joint = trained.kind in PAIR_METHODS
    if not joint and trained.kind not in METHODS:
        what = f"holds a run of kind {trained.kind!r}, and a generator of images or pairs is needed"
        raise CheckpointError(what, "Give the folder of such a run.", run)
    if joint and (masks or maps):
        remedy = "Leave --masks and --maps out, or give the run of an image generator."
        raise ConfigError(f"a {trained.kind} draws its own masks", remedy, run)
    if not joint and bool(masks) == bool(maps):
        remedy = "Give either --masks, a data set, or --maps, a run of `train maps`."
        raise ConfigError("where the masks come from is not clear", remedy)
    check_map_sampling(maps, map_sampling)
    if not masks and (vary or split or group_by):
        remedy = "Leave them out where masks are drawn."
        raise ConfigError("--vary, --split and --group-by speak of --masks", remedy)
    ranks = this_rank()
    if ranks.is_main_process:
        fresh_folder(out, resume, "set")
        if resume and (out / RECORD).is_file():
            read_record(out, "scene set")
    source: PairSource
    if joint:
        drawer = open_pair_drawer(run, sampling=sampling, device=ranks.device)
        source = PairsOfRequests(
            run, trained, drawer, requests=requests, classes=classes, part=part, seed=seed
        )
    else:
        sampling = sampling.settled(IMAGE_STEPS)
        source = _images(
            run, trained, masks, maps, requests=requests, classes=classes, part=part, split=split,
            group_by=group_by, sampling=sampling, map_sampling=map_sampling, vary=vary, seed=seed,
        )  # fmt: skip

    made_by = {"sampling": asdict(sampling), **source.made_by, "count": count, "seed": seed}
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by, **source.options, "told_apart": dict(source.told_apart)},
        seed=seed,
        data=source.data,
        recordings=trained.recordings,
        seen=source.seen,
        class_table=source.table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    header = {**made_by, "licence": source.data["licence"], "seen": source.seen.spans}
    blocks = -(-count // sampling.block)
    with ranks.main_process_first():  # it writes what the others then agree to
        writer = SceneSetWriter(
            out, source.table, header, rank=ranks.process_index, ranks=ranks.num_processes
        )
        if ranks.is_main_process:
            record.write(out)
    mine = range(ranks.process_index, blocks, ranks.num_processes)
    with progress(
        f"drawing, rank {ranks.process_index}" if ranks.num_processes > 1 else "drawing"
    ) as advance:
        for turn, block in enumerate(mine, start=1):
            indices = range(block * sampling.block, (block + 1) * sampling.block)  # the last block is padded
            wanted = [index for index in indices if index < count]
            if writer.done.issuperset(wanted):
                continue
            seeds = [derive_seed(seed, "pair", index) for index in indices]
            drawn, details = source.take(indices, seeds)
            pixels, ids = to_pixels(drawn.images), drawn.masks.cpu().numpy().astype(np.uint8)
            sure = None if drawn.confidence is None else drawn.confidence.cpu().numpy()
            for row, index in enumerate(wanted):
                told = details[row] | {"generator": source.name, "seed": seeds[row]}
                confidence = None if sure is None else sure[row]
                writer.add(index, pixels[row], ids[row], told, confidence=confidence)
            advance(turn, len(mine))
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        pairs, seconds = writer.finish(), time.perf_counter() - began
        ended = record.end(out, seconds, {"pairs": len(pairs)})
        write_set_card(out, ended, trained, pairs)
        if not masks:
            kept = [one.details["kept"] for one in pairs.records]
            share, whole = (np.mean([one[name] for one in kept]) for name in ("present", "kept"))
            say(
                f"{share:.1%} of the classes asked for are shown; "
                f"{whole:.1%} of the masks keep their requests as a whole"
            )
        what = f"{min(count, source.different)} maps" if masks else f"{source.different} different requests"
        say(f"{count} pairs for {what} in {out}, {seconds:.0f} s")


def _images(
    run: Path,
    trained: RunRecord,
    masks: str,
    maps: Path | None,
    *,
    requests: str,
    classes: str,
    part: str,
    split: str | None,
    group_by: str | None,
    sampling: SamplingConfig,
    map_sampling: MapSamplingConfig,
    vary: bool,
    seed: int,
) -> ImagesForMasks:
    """Return an image generator as a source of pairs, with its source of masks."""
    from rarescene.generators import load_image_generator
    from rarescene.training import this_rank

    generator, device = load_image_generator(run / "model"), this_rank().device
    options = generation_options(sampling)
    generator.check(options["steps"], options["guidance"])
    source: MaskSource
    if maps:
        source = drawing = MapsOfRequests(
            trained, generator, maps,
            requests=requests, classes=classes, part=part, map_sampling=map_sampling, seed=seed,
        )  # fmt: skip
        drawing.drawer.to(device)
    else:
        source = MasksOfData(
            trained, generator, run,
            masks=masks, classes=classes, part=part, split=split, group_by=group_by, vary=vary, seed=seed,
        )  # fmt: skip
    generator.to(device)
    return ImagesForMasks(run, trained, generator, source, sampling)
