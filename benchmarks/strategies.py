"""Do the shipped generator's pairs help, and more than copies do? Three strategies, three seeds, phantom scenes.

command:       python benchmarks/strategies.py --out runs/strategies
machine:       2 cores, no GPU
running time:  about 20 minutes

The demo's data and split, new images for its training maps, with the strategies none, duplicate and offline and the seeds 0, 1 and 2, all
at equal steps. A stopped run goes on when the command is repeated. Writes benchmarks/results/strategies.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import RESULTS, write_results

from rarescene.augmentation import DuplicateConfig
from rarescene.commands.evaluate import evaluate
from rarescene.commands.segment import segment
from rarescene.commands.synthesize import synthesize
from rarescene.diffusion import SamplingConfig
from rarescene.evaluation.run_metrics import METRICS, read_scored
from rarescene.foundation.console import CONSOLE
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.plugins import method_for
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import TRAINING as DEMO
from rarescene.recipes.demo import WEIGHTS
from rarescene.recipes.run_store import finished
from rarescene.reports import comparison_table
from rarescene.scenes import class_statistics
from rarescene.scenes.data import decode, open_as_in
from rarescene.segmenters import UNetConfig

STRATEGIES = ("none", "duplicate", "offline")
TRAINING = replace(DEMO, steps=800, save_every=800, validate_every=200)


def measure(out: Path, seeds: list[int], pairs: int) -> dict[str, Any]:
    began = time.perf_counter()
    trained = read_record(WEIGHTS, "casdm")
    data, source = trained.provenance.spec, open_as_in(trained.provenance)
    rare = [entry.name for entry in class_statistics(decode(source.scenes, 64, 64)).rare]
    made = out / "pairs"
    if not finished(made):
        sampling = SamplingConfig(steps=20, precision="bf16", block=16)
        synthesize(
            WEIGHTS, masks=data, out=made, classes=",".join(rare), count=pairs, sampling=sampling, resume=True
        )
    runs = []
    for seed in seeds:
        for strategy in STRATEGIES:
            run = out / f"{strategy}-{seed}"
            runs.append(run)
            if not finished(run):
                segment(
                    method_for("segmenters", UNetConfig()),
                    model=UNetConfig(),
                    data=data,
                    out=run,
                    strategy=strategy,
                    synthetic=made if strategy == "offline" else None,
                    strategies={"duplicate": DuplicateConfig(classes=",".join(rare))}
                    if strategy == "duplicate"
                    else {},
                    training=TRAINING,
                    seed=seed,
                    resume=True,
                    **source.options,
                )
            if not (run / METRICS).is_file():
                evaluate(run, data=data, quiet=True)
    table = read_scored(runs).compared(STRATEGIES[0], rare)
    CONSOLE.print(comparison_table(table))
    return {
        "data": source.provenance().describe(),
        "rare": rare,
        "pairs": pairs,
        "steps": TRAINING.steps,
        "batch_size": TRAINING.batch_size,
        "seconds": round(time.perf_counter() - began, 1),
        "comparison": table.to_dict(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--results", type=Path, default=RESULTS / "strategies.json")
    options = parser.parse_args()
    try:
        write_results(options.results, measure(options.out, options.seeds, options.pairs))
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
