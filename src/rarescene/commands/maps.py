"""`rarescene maps`: segmentation maps for requests, checked, with what was kept and how new they are.

Map i is a function of (weights, request i, seed, i, sampling) alone, the number of tries included: a map that
does not keep its request is generated again from a seed that is derived from its own. Blocks of equally many
indices are generated at once, ranks and resumed runs take whole blocks, and so their files are equal to the
byte.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rarescene.diffusion import MapSamplingConfig
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Count, Seed
from rarescene.foundation.console import say
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.reports.maps import score_maps, write_sheet
from rarescene.sources.mask_source import SampledMaps
from rarescene.sources.requests import TRAINING, requests_for
from rarescene.sources.set_writing import SetScene, write_set

if TYPE_CHECKING:
    from rarescene.generators import GeneratedMap

SCORES, SHEET = "scores.json", "maps.png"


@takes_text_for_paths
@writes_folder("set", "scene set")
def maps(
    run: Path,
    *,
    out: Path,
    prompt: str = "",
    requests: str = TRAINING,
    classes: str = "",
    alone: bool = False,
    part: Literal["train", "validation", "test", "all"] = "train",
    count: Count = 8,
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    seed: Seed = 0,
    resume: bool = False,
) -> None:
    """Generate maps for requests, and say how many keep theirs, how diverse and how new they are.

    OUT becomes a scene set without images, which `rarescene synthesize --masks set:OUT` generates images for.
    In it `maps.png` shows maps under their requests, and `scores.json` holds the scores.

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
        map_sampling: how maps are generated, and how often a map that breaks its request is generated again.
        seed: seed of the requests and the noise.
        resume: keep the maps that are there and generate the rest.
    """
    began = time.perf_counter()
    source = SampledMaps.open(run, map_sampling)
    asked = requests_for(
        source, prompt=prompt, requests=requests, classes=classes, alone=alone, part=part, seed=seed
    )

    def make(indices: range) -> list[SetScene]:
        wanted = [asked.at(index) for index in indices]
        generated = source.generate_checked(wanted, [derive_seed(seed, "map", index) for index in indices])
        return [
            SetScene(None, one.mask, _described(one, index), one.confidence)
            for index, one in zip(indices, generated, strict=True)
        ]

    written = write_set(
        out, run, source.table, source.provenance.union(*asked.behind),
        {"generator": "maps", "weights": source.made_by["maps"], "prompt": prompt, "alone": alone,
         "map_sampling": source.made_by["map_sampling"], **asked.made_by},
        count=count, seed=seed, block=map_sampling.block, make=make,
    )  # fmt: skip
    if written is not None:
        record, drawn_set = written
        scores = score_maps(drawn_set, read_record(run))
        write_json(out / SCORES, scores)
        write_sheet(out / SHEET, drawn_set)
        seconds = time.perf_counter() - began
        record.ended(seconds, {"maps": len(drawn_set), "kept": scores["kept"]["after_redraws"]}).write(out)
        say(f"{count} maps for {asked.different} different requests in {out}, {seconds:.0f} s")


def _described(one: GeneratedMap, index: int) -> dict[str, Any]:
    """Return what the manifest says of a map."""
    return {
        "generator": "maps", "request": one.request.to_dict(), "kept": one.report.to_dict(),
        "kept_at_first": one.first.to_dict(), "tries": one.tries, "seed": one.seed, "order": index,
    }  # fmt: skip
