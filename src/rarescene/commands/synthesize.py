"""`rarescene synthesize`: pairs that show the classes asked for.

Pair i is a function of (weights, mask i or request i, seed, i, sampler, steps, precision) alone, and where
masks are drawn by a generator of their own, of (its weights, map sampling) too. Work is cut into blocks of
equally many indices, ranks and resumed runs take whole blocks, and so their files are equal to the byte.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.reports.cards import write_set_card
from rarescene.sources.mask_source import check_map_sampling, generator_of
from rarescene.sources.pair_source import (
    ImagesForMasks,
    RequestedPairs,
    open_images_for,
    open_pair_source,
)
from rarescene.sources.requests import TRAINING, requests_for
from rarescene.sources.set_writing import SetScene, write_set


@writes_folder("set", "scene set")
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
    from rarescene.training import to_pixels

    began = time.perf_counter()
    if count < 1:
        raise ConfigError(f"{count} pairs were asked for", "Set --count to 1 or more.")
    trained = read_record(run)
    joint = generator_of(run, trained, "images", "pairs").draws == "pairs"
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
    source: ImagesForMasks[int] | RequestedPairs
    if masks:
        source, different = open_images_for(
            run, masks, sampling,
            classes=classes, part=part, split=split, group_by=group_by, vary=vary, seed=seed,
        )  # fmt: skip
    else:
        of_requests = open_pair_source(run, maps, sampling=sampling, map_sampling=map_sampling)
        asked = requests_for(of_requests, requests=requests, classes=classes, part=part, seed=seed)
        source, different = RequestedPairs(of_requests, asked), asked.different

    def make(indices: range) -> list[SetScene]:
        seeds = [derive_seed(seed, "pair", index) for index in indices]
        pairs, details = source.sample(indices, seeds)
        sure = [None] * len(pairs) if pairs.confidence is None else pairs.confidence.numpy()
        ids = pairs.masks.numpy().astype(np.uint8)
        return [
            SetScene(image, mask, {**told, "generator": source.name, "seed": own}, confidence)
            for image, mask, told, own, confidence in zip(
                to_pixels(pairs.images), ids, details, seeds, sure, strict=True
            )
        ]

    written = write_set(
        out, run, source.table, source.provenance, source.made_by,
        count=count, seed=seed, block=source.block, make=make,
    )  # fmt: skip
    if written is not None:
        record, pairs = written
        seconds = time.perf_counter() - began
        ended = record.ended(seconds, {"pairs": len(pairs)})
        write_set_card(out, ended, trained, pairs)
        ended.write(out)
        if not masks:
            kept = [one.details["kept"] for one in pairs.records]
            share, whole = (np.mean([one[name] for one in kept]) for name in ("present", "kept"))
            say(
                f"{share:.1%} of the classes asked for are shown; "
                f"{whole:.1%} of the masks keep their requests as a whole"
            )
        what = f"{min(count, different)} maps" if masks else f"{different} different requests"
        say(f"{count} pairs for {what} in {out}, {seconds:.0f} s")
