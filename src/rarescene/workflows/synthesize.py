"""`rarescene synthesize`: pairs that show the classes asked for.

Pair i is a function of (weights, mask i, seed, i, sampler, steps, precision) alone. The work is cut into
blocks of equally many indices, ranks and resumed runs take whole blocks, and so their files are equal to the
byte.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import file_hash
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import SceneCache
from rarescene.workflows.cards import write_set_card
from rarescene.workflows.prepared import (
    accelerator,
    class_ids,
    decode,
    fresh_folder,
    open_as_in,
    processes,
    progress,
    say,
)


@dataclass(frozen=True)
class SamplingConfig:
    """How pairs are drawn.

    Attributes:
        sampler: dpm-solver++, unipc, ddim or ddpm.
        steps: denoising steps, at most the timesteps of the generator's noise schedule.
        precision: "no" for float32, or "bf16".
        block: scenes drawn at once; part of what makes two sets equal to the byte.
    """

    sampler: Literal["dpm-solver++", "unipc", "ddim", "ddpm"] = "dpm-solver++"
    steps: int = 30
    precision: Literal["no", "bf16"] = "no"
    block: int = 8

    def __post_init__(self) -> None:
        for name in ("steps", "block"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"sampling.{name} is {getattr(self, name)}", f"Set sampling.{name} to 1 or more."
                )


def synthesize(
    run: Path,
    *,
    masks: str,
    out: Path,
    classes: str = "",
    count: int = 500,
    part: str = "train",
    split: str | None = None,
    group_by: str | None = None,
    sampling: SamplingConfig = SamplingConfig(),
    vary: bool = False,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Draw synthetic pairs: masks of a data set that show the classes asked for, and a new image for each.

    `torchrun --nproc_per_node N -m rarescene.cli synthesize …` shares the work among N processes.

    Args:
        run: folder of a `train casdm` run.
        masks: data set whose masks are drawn from, NAME:PATH or a YAML file.
        out: folder of the scene set.
        classes: comma-separated; a mask that shows any of them is used. Empty: every mask.
        count: number of pairs.
        part: part of the split that masks come from: train, validation, test or all.
        split: how MASKS is split; by default as the generator's data were.
        group_by: regular expression that tells the recordings of a folder apart; by default the generator's.
        sampling: how images are drawn.
        vary: flip and rotate the masks as the generator's training did.
        seed: seed of the noise.
        resume: keep the pairs that are there and draw the rest.
    """
    import torch

    from rarescene.generators import Casdm
    from rarescene.scenes import Request, SceneSetWriter, augment
    from rarescene.training import this_rank, to_masks, to_pixels

    began = time.perf_counter()
    if count < 1:
        raise ConfigError(f"{count} pairs were asked for", "Set --count to 1 or more.")
    trained = read_record(run, "casdm")
    generator = Casdm.load(run / "model")
    if sampling.steps > (most := generator.config.diffusion.timesteps):
        raise ConfigError(
            f"sampling.steps is {sampling.steps}", f"Take 1 to {most}, the timesteps of the generator."
        )
    ranks = this_rank()
    if ranks.is_main_process:
        fresh_folder(out, resume, "set")
        if resume and (out / RECORD).is_file():
            read_record(out, "scene set")
    source = open_as_in(trained, masks, split=split, group_by=group_by)
    table = source.scenes.classes
    if table.fingerprint != generator.table.fingerprint:
        raise CheckpointError(
            f"was trained on the classes of {generator.table.name!r}; those of {masks} are {table.name!r}",
            "Use a generator that was trained on the same class table.",
            run,
        )
    given = source.scenes.subset(source.part(part))
    cache = decode(given, generator.config.height, generator.config.width)
    shown = masks_that_show(cache, classes, f"the {part} part of {masks}")
    order = np.random.default_rng(derive_seed(seed, "masks")).permutation(shown)
    generator.to(ranks.device)

    data, seen = source.describe(trained), trained.seen.union(source.seen(part))
    made_by = {
        "generator": generator.name, "weights": file_hash(run / "model" / "weights.safetensors"),
        "masks": masks, "classes": classes, "count": count, "part": part, "vary": vary, "seed": seed,
        "sampling": asdict(sampling),
    }  # fmt: skip
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by, **source.options},
        seed=seed,
        data=data,
        recordings=trained.recordings,
        seen=seen,
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    header = {**made_by, "licence": data["licence"], "seen": seen.spans}
    blocks = -(-count // sampling.block)
    with ranks.main_process_first():  # it writes what the others then agree to
        writer = SceneSetWriter(out, table, header, rank=ranks.process_index, ranks=ranks.num_processes)
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
            places = [int(order[index % len(order)]) for index in indices]
            ids = to_masks(cache.take(places)[1])
            seeds = [derive_seed(seed, "pair", index) for index in indices]
            if vary:
                blank = torch.zeros(len(ids), 3, *ids.shape[1:])
                _, ids = augment(blank, ids, seeds, generator.config.augment, ignore_index=table.ignore_index)
            images = generator.generate(
                ids, seeds=seeds, sampler=sampling.sampler, steps=sampling.steps, precision=sampling.precision
            )
            pixels, drawn = to_pixels(images), ids.numpy().astype(np.uint8)
            for row, index in enumerate(wanted):
                origin = given.records[places[row]]
                details = {
                    "generator": generator.name, "request": Request.from_mask(drawn[row], table).to_dict(),
                    "seed": seeds[row], "group": origin.group, "order": origin.order, "mask_of": origin.name,
                }  # fmt: skip
                writer.add(index, pixels[row], drawn[row], details)
            advance(turn, len(mine))
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        pairs, seconds = writer.finish(), time.perf_counter() - began
        ended = record.end(out, seconds, {"pairs": len(pairs)})
        write_set_card(out, ended, trained, pairs)
        say(f"{count} pairs for {min(count, len(order))} maps in {out}, {seconds:.0f} s")


def masks_that_show(cache: SceneCache, classes: str, where: str) -> np.ndarray:
    """Return the scenes whose masks show any of the comma-separated classes; all of them where none is named.

    Raises:
        DataError: no mask shows them.
    """
    wanted = list(class_ids(cache.classes, classes))
    shown = np.flatnonzero(cache.class_pixels[:, wanted].any(axis=1)) if wanted else np.arange(len(cache))
    if not len(shown):
        remedy = "`rarescene stats` lists which recordings show a class; choose another part or split."
        raise DataError(f"no mask of {where} shows {classes}", remedy)
    return shown
