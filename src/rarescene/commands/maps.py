"""`rarescene maps`: segmentation maps for requests, checked, with what was kept and how new they are.

Map i is a function of (weights, request i, seed, i, sampling) alone, the number of tries included: a map that
does not keep its request is drawn again from a seed that is derived from its own. Blocks of equally many
indices are drawn at once, ranks and resumed runs take whole blocks, and so their files are equal to the byte.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import file_hash, write_json
from rarescene.foundation.run_folder import fresh_folder
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.reports.maps import score_maps, write_sheet
from rarescene.sources.mask_source import check_steps, describe_map, draw_maps
from rarescene.sources.requests import TRAINING, MapSamplingConfig, ask
from rarescene.training.ranks import accelerator, processes

if TYPE_CHECKING:
    pass

SCORES, SHEET = "scores.json", "maps.png"


def maps(
    run: Path,
    *,
    out: Path,
    prompt: str = "",
    requests: str = TRAINING,
    classes: str = "",
    alone: bool = False,
    part: str = "train",
    count: int = 8,
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Draw segmentation maps for requests, and say how many keep theirs, how diverse and how new they are.

    OUT becomes a scene set without images, which `rarescene synthesize --masks set:OUT` draws images for. In
    it `maps.png` shows maps under their requests, and `scores.json` holds the figures.

    Args:
        run: folder of a `train maps` run.
        out: folder of the scene set.
        prompt: what every map must show, for instance "cystic duct: one, centre; grasper: two, upper right".
        requests: instead of a prompt: "training", as the training maps have it; a text file with one such
            request a line; or a data set (NAME:PATH or a YAML file) whose masks are asked for again.
        classes: comma-separated; only requests that ask for any of them.
        alone: ask for the classes one at a time, and leave the rest of the scene free.
        part: part of the split that requests are taken from, where they come from a data set: train,
            validation, test or all.
        count: number of maps.
        map_sampling: how maps are drawn, and how often a map that breaks its request is drawn again.
        seed: seed of the requests and the noise.
        resume: keep the maps that are there and draw the rest.
    """
    from rarescene.generators import PromptedMaps
    from rarescene.scenes import SceneSetWriter
    from rarescene.training import this_rank

    began = time.perf_counter()
    if count < 1:
        raise ConfigError(f"{count} maps were asked for", "Set --count to 1 or more.")
    trained = read_record(run, "maps")
    generator = PromptedMaps.load(run / "model")
    check_steps(generator, map_sampling)
    table = generator.table
    asked = ask(
        run, trained, table,
        prompt=prompt, requests=requests, classes=classes, alone=alone, part=part, seed=seed,
    )  # fmt: skip
    ranks = this_rank()
    if ranks.is_main_process:
        fresh_folder(out, resume, "set")
        if resume and (out / RECORD).is_file():
            read_record(out, "scene set")
    generator.to(ranks.device)
    made_by = {
        "generator": generator.name, "weights": file_hash(run / "model" / "weights.safetensors"),
        "prompt": prompt, "requests": requests, "asked": asked.fingerprint, "classes": classes,
        "alone": alone, "part": part, "count": count, "seed": seed, "map_sampling": asdict(map_sampling),
    }  # fmt: skip
    seen = trained.seen.union(asked.seen)
    split = {name: trained.config[name] for name in ("split", "fractions", "split_seed", "group_by")}
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by, **split},
        seed=seed,
        data=trained.data,
        recordings=trained.recordings,
        seen=seen,
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    header = {**made_by, "licence": trained.data["licence"], "seen": seen.spans}
    blocks = -(-count // map_sampling.block)
    with ranks.main_process_first():
        writer = SceneSetWriter(out, table, header, rank=ranks.process_index, ranks=ranks.num_processes)
        if ranks.is_main_process:
            record.write(out)
    mine = range(ranks.process_index, blocks, ranks.num_processes)
    label = f"drawing, rank {ranks.process_index}" if ranks.num_processes > 1 else "drawing"
    with progress(label) as advance:
        for turn, block in enumerate(mine, start=1):
            indices = range(block * map_sampling.block, (block + 1) * map_sampling.block)
            wanted = [index for index in indices if index < count]
            if not writer.done.issuperset(wanted):
                drawn = draw_maps(generator, asked, indices, seed, map_sampling)
                for one, index in zip(drawn, wanted, strict=False):  # the last block is padded
                    writer.add(index, None, one.mask, describe_map(one, index), confidence=one.confidence)
            advance(turn, len(mine))
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        drawn_set, seconds = writer.finish(), time.perf_counter() - began
        scores = score_maps(drawn_set, trained)
        write_json(out / SCORES, scores)
        write_sheet(out / SHEET, drawn_set)
        record.end(out, seconds, {"maps": len(drawn_set), "kept": scores["kept"]})
        say(f"{count} maps for {asked.different} different requests in {out}, {seconds:.0f} s")
