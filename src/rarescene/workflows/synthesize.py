"""`rarescene synthesize`: pairs that show the classes asked for.

Pair i is a function of (weights, mask i, seed, i, sampler, steps, precision) alone, and where masks are drawn
too, mask i is one of (weights of the map generator, request i, seed, i, map sampling). The work is cut into
blocks of equally many indices, ranks and resumed runs take whole blocks, and so their files are equal to the
byte.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import file_hash
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.workflows.asking import TRAINING, MapSamplingConfig
from rarescene.workflows.cards import METHODS, write_set_card
from rarescene.workflows.mask_sources import MapsOfRequests, MasksOfData, MaskSource
from rarescene.workflows.prepared import accelerator, fresh_folder, processes, progress, say


@dataclass(frozen=True)
class SamplingConfig:
    """How pairs are drawn.

    Attributes:
        sampler: dpm-solver++, unipc, ddim or ddpm.
        steps: denoising steps, at most the timesteps of the generator's noise schedule.
        guidance: scale of classifier-free guidance, for SDM alone; by default what it was trained for.
        precision: "no" for float32, or "bf16".
        block: scenes drawn at once; part of what makes two sets equal to the byte.
    """

    sampler: Literal["dpm-solver++", "unipc", "ddim", "ddpm"] = "dpm-solver++"
    steps: int = 30
    guidance: float | None = None
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
    out: Path,
    masks: str = "",
    maps: Path | None = None,
    requests: str = TRAINING,
    classes: str = "",
    count: int = 500,
    part: str = "train",
    split: str | None = None,
    group_by: str | None = None,
    sampling: SamplingConfig = SamplingConfig(),
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    vary: bool = False,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Draw synthetic pairs that show the classes asked for: a mask, and a new image for it.

    Masks come from a data set (--masks), or are drawn as well, by a map generator that is asked for them
    (--maps): then a request goes in, and a checked pair comes out.
    `torchrun --nproc_per_node N -m rarescene.cli synthesize …` shares the work among N processes.

    Args:
        run: folder of a run that trained an image generator, for instance by `train casdm`.
        out: folder of the scene set.
        masks: data set whose masks are drawn from, NAME:PATH or a YAML file.
        maps: instead of --masks: folder of a `train maps` run.
        requests: what its maps must show: "training", as the training maps have it; a text file with one
            request a line; or a data set whose masks are asked for again.
        classes: comma-separated; a mask that shows any of them, or a request for any of them, is used.
            Empty: every one.
        count: number of pairs.
        part: part of the split that masks come from: train, validation, test or all.
        split: how MASKS is split; by default as the generator's data were.
        group_by: regular expression that tells the recordings of a folder apart; by default the generator's.
        sampling: how images are drawn.
        map_sampling: how maps are drawn, and how often a map that breaks its request is drawn again.
        vary: flip and rotate the masks of --masks as the generator's training did.
        seed: seed of the noise.
        resume: keep the pairs that are there and draw the rest.
    """
    from rarescene.generators import load_image_generator
    from rarescene.scenes import SceneSetWriter
    from rarescene.training import this_rank, to_pixels

    began = time.perf_counter()
    if count < 1:
        raise ConfigError(f"{count} pairs were asked for", "Set --count to 1 or more.")
    if bool(masks) == bool(maps):
        remedy = "Give either --masks, a data set, or --maps, a run of `train maps`."
        raise ConfigError("where the masks come from is not clear", remedy)
    if maps and (vary or split or group_by):
        raise ConfigError("--vary, --split and --group-by speak of --masks", "Leave them out with --maps.")
    trained = read_record(run)
    if trained.kind not in METHODS:
        what = f"holds a {trained.kind}, and an image generator is needed"
        raise CheckpointError(what, "Give the folder of such a run.", run)
    generator = load_image_generator(run / "model")
    generator.check(sampling.steps, sampling.guidance)
    ranks = this_rank()
    if ranks.is_main_process:
        fresh_folder(out, resume, "set")
        if resume and (out / RECORD).is_file():
            read_record(out, "scene set")
    source: MaskSource
    if maps:
        source = drawing = MapsOfRequests(
            trained, generator, maps,
            requests=requests, classes=classes, part=part, map_sampling=map_sampling, seed=seed,
        )  # fmt: skip
        drawing.drawer.to(ranks.device)
    else:
        source = MasksOfData(
            trained, generator, run,
            masks=masks, classes=classes, part=part, split=split, group_by=group_by, vary=vary, seed=seed,
        )  # fmt: skip
    generator.to(ranks.device)

    seen = trained.seen.union(source.seen)
    made_by = {
        "generator": generator.name, "weights": file_hash(run / "model" / "weights.safetensors"),
        **source.made_by, "count": count, "seed": seed, "sampling": asdict(sampling),
    }  # fmt: skip
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by, **source.options, "told_apart": dict(source.told_apart)},
        seed=seed,
        data=source.data,
        recordings=trained.recordings,
        seen=seen,
        class_table=generator.table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    header = {**made_by, "licence": source.data["licence"], "seen": seen.spans}
    blocks = -(-count // sampling.block)
    with ranks.main_process_first():  # it writes what the others then agree to
        writer = SceneSetWriter(
            out, generator.table, header, rank=ranks.process_index, ranks=ranks.num_processes
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
            given = source.take(indices, seeds)
            images = generator.generate(
                given.ids, seeds=seeds, sampler=sampling.sampler, steps=sampling.steps,
                guidance=sampling.guidance, precision=sampling.precision,
            )  # fmt: skip
            pixels, drawn = to_pixels(images), given.ids.numpy().astype(np.uint8)
            for row, index in enumerate(wanted):
                details = given.details[row] | {"generator": generator.name, "seed": seeds[row]}
                writer.add(index, pixels[row], drawn[row], details, confidence=given.confidence[row])
            advance(turn, len(mine))
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        pairs, seconds = writer.finish(), time.perf_counter() - began
        ended = record.end(out, seconds, {"pairs": len(pairs)})
        write_set_card(out, ended, trained, pairs)
        if maps:
            kept = np.mean([one.details["kept"]["kept"] for one in pairs.records])
            say(f"{kept:.1%} of the maps keep their requests as a whole")
        what = f"{source.different} different requests" if maps else f"{min(count, source.different)} maps"
        say(f"{count} pairs for {what} in {out}, {seconds:.0f} s")
