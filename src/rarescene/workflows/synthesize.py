"""`rarescene synthesize`: pairs that show the classes asked for.

Pair i is a function of (weights, mask i, seed, i, sampler, steps, precision) alone. The work is cut into blocks of
equally many indices, ranks and resumed runs take whole blocks, and so their files are equal to the byte.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.files import file_hash
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import SceneCache
from rarescene.workflows.prepared import CONSOLE, decode, fresh_folder, open_data, progress


@dataclass(frozen=True)
class SamplingConfig:
    """How pairs are drawn.

    Attributes:
        sampler: dpm-solver++, ddpm, ddim or unipc.
        steps: denoising steps.
        precision: "no" for float32, or "bf16".
        block: scenes drawn at once; part of what makes two sets equal to the byte.
    """

    sampler: str = "dpm-solver++"
    steps: int = 30
    precision: Literal["no", "bf16"] = "no"
    block: int = 8


def synthesize(
    run: Path,
    *,
    masks: str,
    out: Path,
    classes: str = "",
    count: int = 500,
    part: str = "train",
    split: str | None = None,
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 - frozen
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
        split: how MASKS is split; by default as the generator's run was.
        sampling: how images are drawn.
        vary: flip and rotate the masks as the generator's training did.
        seed: seed of the noise.
        resume: keep the pairs that are there and draw the rest.
    """
    import torch
    from accelerate import PartialState

    from rarescene.generators import Casdm
    from rarescene.scenes import Request, SceneSetWriter, augment
    from rarescene.training import to_masks, to_pixels

    began = time.perf_counter()
    trained = read_record(run, "casdm")
    generator = Casdm.load(run / "model")
    ranks = PartialState()  # one process, or one of those that torchrun started
    if ranks.is_main_process:
        fresh_folder(out, resume, "set")
    settings = trained.config
    source = open_data(
        masks, split or settings["split"], settings["split_seed"], settings["fractions"], settings["group_by"]
    )
    table = source.scenes.classes
    if table.fingerprint != generator.table.fingerprint:
        raise CheckpointError(
            f"was trained on the classes of {generator.table.name!r}, and {masks} has those of {table.name!r}",
            "Use a generator that was trained on the same class table.",
            run,
        )
    given = source.scenes.subset(source.part(part))
    cache = decode(given, generator.config.height, generator.config.width)
    shown = masks_that_show(cache, classes, f"the {part} part of {masks}")
    order = np.random.default_rng(derive_seed(seed, "masks")).permutation(shown)
    generator.to(ranks.device)

    made_by = {
        "generator": generator.name, "weights": file_hash(run / "model" / "weights.safetensors"), "masks": masks,
        "classes": classes, "count": count, "part": part, "vary": vary, "seed": seed, "sampling": asdict(sampling),
    }  # fmt: skip
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by},
        seed=seed,
        data=source.describe(),
        recordings=trained.recordings,
        seen=trained.seen.union(source.seen(part)),
        class_table=table.to_dict(),
    )
    blocks = -(-count // sampling.block)
    with ranks.main_process_first():  # it writes what the others then agree to
        writer = SceneSetWriter(out, table, made_by, rank=ranks.process_index, ranks=ranks.num_processes)
        if ranks.is_main_process:
            record.write(out)
    mine = range(ranks.process_index, blocks, ranks.num_processes)
    with progress(f"drawing, rank {ranks.process_index}" if ranks.num_processes > 1 else "drawing") as advance:
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
        writer.finish()
        record.end(out, time.perf_counter() - began)
        CONSOLE.print(f"{count} pairs in {out}, {time.perf_counter() - began:.0f} s")


def masks_that_show(cache: SceneCache, classes: str, where: str) -> np.ndarray:
    """Return the scenes whose masks show any of the comma-separated classes; all of them where none is named.

    Raises:
        DataError: no mask shows them.
    """
    wanted = list(cache.classes.ids_of(name.strip() for name in classes.split(",") if name.strip()))
    shown = np.flatnonzero(cache.class_pixels[:, wanted].any(axis=1)) if wanted else np.arange(len(cache))
    if not len(shown):
        remedy = "`rarescene stats` lists which recordings show a class; choose another part or split."
        raise DataError(f"no mask of {where} shows {classes}", remedy)
    return shown
