"""What the demo measured: reads a finished demo and writes its figures down.

command:       make demo && .venv/bin/python benchmarks/demo.py --out demo
machine:       2 cores, no GPU
running time:  seconds, after the demo; the demo's own minutes are in the result file

Phantom scenes and one seed: an illustration of the road, no evidence about surgery. Writes
benchmarks/results/demo.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from harness import RESULTS, write_results

from rarescene.evaluation.run_metrics import METRICS, read_scored
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.files import read_json
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import FURTHER, rare_in
from rarescene.scenes.data import open_as_in

STRATEGIES = ("none", "paste", "offline")


def gather(out: Path) -> dict[str, Any]:
    """Return the demo's figures: minutes, scores of all strategies, and their differences."""
    pairs = read_record(out / "inserted", "scene set")
    runs = {strategy: read_record(out / strategy, "segmenter") for strategy in STRATEGIES}
    rare = rare_in(open_as_in(read_record(out, "demo").provenance))
    table = read_scored([out / strategy for strategy in STRATEGIES]).compared(STRATEGIES[0], rare)
    return {
        "data": pairs.provenance.describe(),
        "seed": pairs.seed,
        "rare": rare,
        "missed": str(pairs.config["classes"]).split(","),
        "tested_on": FURTHER,
        "minutes": round((read_record(out, "demo").seconds or 0) / 60, 2),
        "seconds": {"pairs": pairs.seconds, **{name: record.seconds for name, record in runs.items()}},
        "pairs": pairs.config["count"],
        "kept": pairs.metrics["pairs"],
        "training": {name: record.config["training"] for name, record in runs.items()},
        "scores": {name: read_json(out / name / METRICS)["scores"] for name in STRATEGIES},
        "comparison": table.to_dict(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of a finished demo")
    parser.add_argument("--results", type=Path, default=RESULTS / "demo.json")
    options = parser.parse_args()
    try:
        found = gather(options.out)
        write_results(options.results, found)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    for row in found["comparison"]["rows"]:
        change = "" if row["difference"] is None else f"  change {100 * row['difference']:+.1f}"
        mean = "absent" if row["mean"] is None else f"{100 * row['mean']:.1f}"
        print(f"{row['strategy']:>8}  {row['measure']:<16} {mean}{change}")
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
