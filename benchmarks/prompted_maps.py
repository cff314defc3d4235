"""Do prompted maps keep their requests? One class asked for at a time, on phantom scenes and on real label maps.

command:       python benchmarks/prompted_maps.py --out runs/maps [--cadis CaDIS]
machine:       2 cores, no GPU
running time:  about half an hour

Trains `maps-tiny` on the training recordings of the demo's phantom scenes, and, for 1000 steps, on the label maps of CaDIS
(Setting 2); then asks for single classes, with the numbers and places that occur in training, and counts what is kept at the
first draw and after redraws. Three ways to paint a map are compared at a short, equal budget. A stopped run goes on when the command is repeated. Writes benchmarks/results/prompted_maps.json.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import RESULTS, shipped, write_results

from rarescene.commands.maps import SCORES, SHEET, maps
from rarescene.commands.train import train
from rarescene.diffusion import MapSamplingConfig
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.files import read_json
from rarescene.foundation.plugins import method_for
from rarescene.foundation.run_record import read_record
from rarescene.recipes.run_store import finished

PHANTOM: dict[str, Any] = {
    "data": "phantom:videos=20,frames=80,size=64,seed=0",
    "fractions": (0.5, 0.1, 0.4),
}
SAMPLING = MapSamplingConfig(steps=20, guidance=3.0, precision="bf16", block=16)
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
PER_CLASS, SCENES = 10, 64


def trained(out: Path, name: str, options: dict[str, Any], **changes: Any) -> Path:
    """Return the run of a map generator, `maps-tiny` with these changes."""
    config = shipped("maps-tiny", "--data", options["data"], "--out", "run", command="train maps")["model"]
    if steps := changes.pop("steps", None):
        changes["training"] = replace(config.training, steps=steps)
    run = out / name
    if not finished(run):
        train(
            method_for("generators", config),
            out=run,
            model=replace(config, **changes),
            seed=0,
            resume=True,
            **options,
        )
    return run


def drawn(run: Path, kind: str, count: int, sampling: MapSamplingConfig) -> dict[str, Any]:
    """Return the scores of maps for single classes (`alone`) or for whole scenes."""
    made = run.with_name(f"{run.name}-{kind}")
    if not finished(made):
        maps(run, out=made, alone=kind == "alone", count=count, map_sampling=sampling, resume=True)
    scores: dict[str, Any] = read_json(made / SCORES)
    return scores


def measure(run: Path) -> dict[str, Any]:
    """Return how a map generator was trained, and what its maps keep."""
    record = read_record(run, "maps")
    training = record.config["model"]["training"]
    return {
        "data": record.provenance.describe(),
        "training": {
            "steps": training["steps"],
            "batch_size": training["batch_size"],
            "minutes": round((record.seconds or 0) / 60, 1),
        },
        "alone": drawn(run, "alone", PER_CLASS * len(record.class_table["classes"]), SAMPLING),
        "scenes": drawn(run, "scenes", SCENES, SAMPLING),
    }


def compare_representations(out: Path, steps: int) -> dict[str, Any]:
    """Paint maps in colours, in bits and in a channel a class, at an equal and short budget."""
    found = {}
    for name in ("colours", "bits", "one_hot"):
        run = trained(out, f"phantom-{name}", PHANTOM, steps=steps, representation=name)
        classes = len(read_record(run).class_table["classes"])
        once = replace(SAMPLING, tries=1)
        found[name] = drawn(run, "alone", PER_CLASS * classes, once)["classes"]["first_draw"]
    return {"steps": steps, "first_draw": found}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cadis", help="folder of CaDISv2; its label maps are enough")
    parser.add_argument(
        "--short", type=int, default=250, help="steps of each representation that is compared"
    )
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--results", type=Path, default=RESULTS / "prompted_maps.json")
    options = parser.parse_args()
    try:
        results: dict[str, Any] = {"phantom": measure(trained(options.out, "phantom", PHANTOM))}
        write_results(options.results, results)
        shutil.copyfile(options.out / "phantom-alone" / SHEET, options.pictures / "prompted_maps.png")
        if options.cadis:
            cadis = {"data": f"cadis:{options.cadis},images=no", "fractions": (0.7, 0.1, 0.2)}
            results["cadis"] = measure(trained(options.out, "cadis", cadis, width=112, steps=1000))
            write_results(options.results, results)
        results["representations"] = compare_representations(options.out, options.short)
        write_results(options.results, results)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
