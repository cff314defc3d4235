"""Do prompted maps keep their requests? One class asked for at a time, on phantom scenes and on real label maps.

command:       python benchmarks/prompted_maps.py --out runs/maps [--cadis CaDIS]
machine:       2 cores, no GPU
running time:  about half an hour

Trains `maps-tiny` on the training recordings of the demo's phantom scenes, and, for 1000 steps, on the label maps of CaDIS
(Setting 2); then asks for single classes, with the numbers and places that occur in training, and counts what is kept at the
first draw and after redraws. A stopped run goes on when the command is repeated. Writes benchmarks/results/prompted_maps.json.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import RESULTS, shipped, write_results

from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.files import read_json
from rarescene.foundation.run_record import RECORD, read_record
from rarescene.workflows.asking import MapSamplingConfig
from rarescene.workflows.maps import SCORES, maps
from rarescene.workflows.train_maps import train_maps

PHANTOM: dict[str, Any] = {
    "data": "phantom:videos=20,frames=80,size=64,seed=0",
    "fractions": (0.5, 0.1, 0.4),
}
SAMPLING = MapSamplingConfig(steps=20, guidance=3.0, precision="bf16", block=16)
PER_CLASS = 16


def finished(run: Path) -> bool:
    return (run / RECORD).is_file() and read_record(run).finished is not None


def measure(out: Path, name: str, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Train on one data set, ask for single classes and for whole scenes, and return the scores."""
    config = shipped("maps-tiny", "--data", options["data"], "--out", "run", command="train maps")["model"]
    if steps := changes.pop("steps", None):
        changes["training"] = replace(config.training, steps=steps)
    config = replace(config, **changes)
    run = out / name
    if not finished(run):
        train_maps(out=run, model=config, seed=0, resume=True, **options)
    trained = read_record(run, "maps")
    found: dict[str, Any] = {
        "data": dict(trained.data),
        "training": {
            "steps": config.training.steps,
            "batch_size": config.training.batch_size,
            "minutes": round((trained.seconds or 0) / 60, 1),
        },
    }
    classes = len(trained.class_table["classes"])
    for kind, alone, count in (("alone", True, PER_CLASS * classes), ("scenes", False, 8 * PER_CLASS)):
        drawn = out / f"{name}-{kind}"
        if not finished(drawn):
            maps(run, out=drawn, alone=alone, count=count, map_sampling=SAMPLING, resume=True)
        found[kind] = read_json(drawn / SCORES)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cadis", help="folder of CaDISv2; its label maps are enough")
    parser.add_argument("--results", type=Path, default=RESULTS / "prompted_maps.json")
    options = parser.parse_args()
    try:
        results = {"phantom": measure(options.out, "phantom", PHANTOM)}
        if options.cadis:
            cadis = {"data": f"cadis:{options.cadis},images=no", "fractions": (0.7, 0.1, 0.2)}
            results["cadis"] = measure(options.out, "cadis", cadis, width=112, steps=1000)
        write_results(options.results, results)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
