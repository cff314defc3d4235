"""Do rare classes in real frames help? Drawn and judged, against none and pasting; phantom scenes.

command:       python benchmarks/insertions.py --out runs/insertions
machine:       2 cores, no GPU
running time:  about an hour and a half in float32; with --arms and --seeds two processes share it

The demo's training recordings, split and shipped generator; tested on 90 further phantom recordings of 6 frames each,
which nobody has seen. The judge is a U-Net of another seed, trained on the same real frames alone. All arms take equal
steps of equal batches; arms that add scenes take them with the same probability. `paste` and `judged` take all four rare
classes, the `needed` ones those of them that the judge misses on the validation recordings (IoU below one half). What was
chosen (emphasis, margin, the share of trust) was chosen by what the judge sees of regions in training frames. The `needed`
arms were added after the first four had been looked at on other recordings, 101 to 190; all are scored on 301 to 390.
A stopped run goes on when the command is repeated. Writes benchmarks/results/insertions.json when all arms are there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import RESULTS, write_results

from rarescene.augmentation import OfflineConfig, PasteConfig
from rarescene.commands.evaluate import evaluate
from rarescene.commands.segment import segment
from rarescene.commands.synthesize import synthesize
from rarescene.diffusion import InsertionConfig, SamplingConfig
from rarescene.evaluation import ComparisonTable, compare
from rarescene.evaluation.overlap import class_iou
from rarescene.evaluation.run_metrics import METRICS, read_metrics
from rarescene.foundation.console import CONSOLE
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.files import read_json
from rarescene.foundation.plugins import method_for
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import TRAINING, WEIGHTS
from rarescene.recipes.run_store import finished
from rarescene.reports import comparison_table
from rarescene.scenes.data import decode, open_as_in
from rarescene.segmenters import UNetConfig
from rarescene.sources.leakage import open_judge
from rarescene.sources.trust import TrustConfig

RARE = "blood,cystic duct,hepatic vein,liver ligament"
FURTHER = "phantom:videos=90,frames=6,size=64,seed=0,first=301"
"""Recordings that neither generator nor segmenters have seen, few frames each."""
STEPS = replace(TRAINING, steps=400, save_every=200, validate_every=200)
JUDGED_BY = 7
SHARE = 0.35
"""How many of the scenes of a batch are pasted into, or drawn into."""
COUNT = 400
ARMS = ("none", "paste", "judged", "paste-needed", "judged-needed")
SEEDS = (0, 1, 2)
SETS = {"judged": 2, "judged-needed": 1}
"""The arms that take a set, and how many there are of it, each of a seed of its own."""


def judge(out: Path, source: Any) -> Path:
    return segmenter(out / "judge", source, "none", JUDGED_BY, RARE)


def needed(out: Path, source: Any) -> str:
    """Return the rare classes that the judge misses on the validation recordings."""
    scores = judge(out, source) / "validation.json"
    if not scores.is_file():
        evaluate(scores.parent, data=source.spec, part="validation", out=scores, quiet=True)
    found = {one["name"]: one["iou"] for one in read_json(scores)["scores"]["classes"]}
    return ",".join(name for name in RARE.split(",") if found[name] is not None and found[name] < 0.5)


def segmenter(out: Path, source: Any, arm: str, seed: int, classes: str, made: Path | None = None) -> Path:
    if not finished(out):
        strategies: dict[str, Any] = {
            "paste": PasteConfig(classes=classes, probability=SHARE),
            "offline": OfflineConfig(probability=SHARE),
        }
        strategy = "offline" if made else arm.removesuffix("-needed")
        segment(
            method_for("segmenters", UNetConfig()),
            model=UNetConfig(),
            data=source.spec,
            out=out,
            strategy=strategy,
            strategies={strategy: strategies[strategy]} if strategy in strategies else {},
            synthetic=made,
            training=STEPS,
            seed=seed,
            resume=True,
            **source.options,
        )
    if not (out / METRICS).is_file() or read_json(out / METRICS)["data"]["spec"] != FURTHER:
        evaluate(out, data=FURTHER, part="all", out=out / METRICS, quiet=True)
    return out


def inserted(out: Path, source: Any, arm: str, seed: int, classes: str) -> Path:
    made = out / f"{arm}-set-{seed}"
    if not finished(made):
        synthesize(
            WEIGHTS,
            compose=source.spec,
            classes=classes,
            count=COUNT,
            out=made,
            sampling=SamplingConfig(steps=12, block=16),
            insertion=InsertionConfig(),
            judge=judge(out, source),
            trust=TrustConfig(),
            seed=seed,
            resume=True,
        )
    return made


def measure(out: Path, arms: list[str], seeds: list[int]) -> dict[str, Any] | None:
    trained = read_record(WEIGHTS, "casdm")
    source = open_as_in(trained.provenance)
    for seed in seeds:
        for arm in arms:
            classes = needed(out, source) if arm.endswith("needed") else RARE
            made = inserted(out, source, arm, seed % SETS[arm], classes) if arm in SETS else None
            segmenter(out / f"{arm}-{seed}", source, arm, seed, classes, made)
    if not all((out / f"{arm}-{seed}" / METRICS).is_file() for seed in SEEDS for arm in ARMS):
        return None
    names = source.scenes.classes.names
    tables = {base: compared(out, base, names) for base in ("none", "paste", "paste-needed")}
    for table in tables.values():
        CONSOLE.print(comparison_table(table))
    return {
        "data": source.provenance().describe(),
        "tested_on": FURTHER,
        "rare": RARE.split(","),
        "scenes": COUNT,
        "share": SHARE,
        "steps": STEPS.steps,
        "batch_size": STEPS.batch_size,
        "needed": needed(out, source).split(","),
        "trust": {
            f"{arm}-{seed}": told(out / f"{arm}-set-{seed}")
            for arm, sets in SETS.items()
            for seed in range(sets)
        },
        "on_training_frames": {
            arm: learned(out, source, arm) for arm in ("none", "paste-needed", "judged-needed")
        },
        "against": {base: table.to_dict() for base, table in tables.items()},
    }


def compared(out: Path, base: str, names: Sequence[str]) -> ComparisonTable:
    runs = {arm: {seed: read_metrics(out / f"{arm}-{seed}").recordings for seed in SEEDS} for arm in ARMS}
    return compare(runs, names, baseline=base, rare=RARE.split(","))


def learned(out: Path, source: Any, arm: str) -> dict[str, list[float]]:
    """Return what an arm scores on its own training frames, IoU of each rare class, one number a seed."""
    found: dict[str, list[float]] = {name: [] for name in RARE.split(",")}
    scenes = decode(source.scenes, 64, 64).subset(source.split.train)
    for seed in SEEDS:
        run = out / f"{arm}-{seed}"
        scores = open_judge(run, read_record(run), scenes.classes).overlaps(scenes, scenes.recordings, arm)
        iou = class_iou(scores.values(), scenes.classes.names)
        for name, values in found.items():
            values.append(round(iou[name] or 0, 4))
    return found


def told(made: Path) -> dict[str, Any]:
    record = read_record(made)
    return {"kept": record.metrics["pairs"], **record.config["trust"]["real"]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--results", type=Path, default=RESULTS / "insertions.json")
    options = parser.parse_args()
    try:
        found = measure(options.out, options.arms, options.seeds)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    if found is None:
        print("some arms are not there yet; repeat the command without --arms and --seeds")
    else:
        write_results(options.results, found)
        print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
