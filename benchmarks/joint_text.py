"""From words to image and mask in one step: does the joint generator hear number and place?

command:       python benchmarks/joint_text.py LABELS --images RUN --masks RUN --out runs/joint-text
machine:       2 cores, no GPU
running time:  about twenty minutes on one core

LABELS is a run of `train joint`, which hears the classes of a request and nothing else; --images and --masks are the VQ-GANs
that it was trained on. The same training is done once more with `condition: text`: same data, split, latents, steps, seed.
Both then draw pairs for the same requests, those of the masks of the test recordings, from which neither has learned.
Counted is what the drawn masks keep of each class asked for: is it shown, in as many pieces, in that place? What the generator
that hears no number and no place keeps of them is what comes true by itself.
A stopped run goes on when the command is repeated. Writes benchmarks/results/joint_text.json and docs/pictures/joint_text.png.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, write_results
from PIL import Image

from rarescene.commands.synthesize import synthesize
from rarescene.commands.train_joint import train_joint
from rarescene.diffusion import SamplingConfig
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.generators import JointLatentConfig
from rarescene.recipes.run_store import finished
from rarescene.scenes import KeptReport, Request, SceneSet, open_scenes

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SAMPLING = SamplingConfig(steps=20, precision="no", block=16)
ENLARGED = 2
COLUMNS = 8


def trained_on_text(labels: RunRecord, images: Path, masks: Path, out: Path, steps: int | None) -> Path:
    """Return a run that differs from the one on labels in its condition alone."""
    told = labels.provenance.options
    model = replace(config_from(JointLatentConfig, labels.config["model"]), condition="text")
    if steps:
        model = replace(model, training=replace(model.training, steps=steps))
    if not finished(out):
        train_joint(
            data=labels.provenance.spec, images=images, masks=masks, out=out, model=model, split=told["split"],
            fractions=told["fractions"], split_seed=told["split_seed"], seed=labels.seed, resume=True,
        )  # fmt: skip
    return out


def drawn(run: Path, data: str, out: Path, count: int) -> SceneSet:
    """Return pairs for the requests of the test recordings' masks."""
    if not finished(out):
        synthesize(run, out=out, requests=data, part="test", count=count, sampling=SAMPLING, resume=True)
    return open_scenes(f"set:{out}")


def judge(requests: list[Request], pairs: SceneSet) -> dict[str, Any]:
    """Return what the masks keep of the requests, over all classes asked for and by class; None: never asked."""
    table = pairs.classes
    reports = [request.kept_by(pair.mask, table) for request, pair in zip(requests, pairs, strict=True)]
    return {
        "whole": float(np.mean([report.kept for report in reports])),
        "all": shares(reports, range(len(table))),
        "classes": {name: shares(reports, [c]) for c, name in enumerate(table.names)},
    }


def shares(reports: list[KeptReport], classes: range | list[int]) -> dict[str, float | None]:
    """Return the share of requested classes that are shown, in number, in place; and how often each was asked."""
    asked = [entry for report in reports for entry in report.classes if entry.class_id in classes]
    found: dict[str, float | None] = {"asked": len(asked)}
    for name in ("present", "quantity", "place"):
        kept = [value for entry in asked if (value := getattr(entry, name)) is not None]
        found[name] = float(np.mean(kept)) if kept else None
    return found


def show(requests: list[Request], sets: dict[str, SceneSet], rare: list[str], path: Path) -> list[str]:
    """Paint pairs for the first requests that ask for the rare classes, a row a set; return the requests in words."""
    table = next(iter(sets.values())).classes
    ids = {table.id_of(name) for name in rare}
    colours = np.array([entry.colour for entry in table.classes], np.uint8)
    chosen: dict[str, int] = {}
    for index, request in enumerate(requests):
        words = [entry.to_words(table) for entry in request.classes if entry.class_id in ids]
        if words:
            chosen.setdefault("; ".join(words), index)
    indices = list(chosen.values())[:COLUMNS]
    rows = []
    for pairs in sets.values():
        rows.append(np.concatenate([pairs[i].image for i in indices], axis=1))
        rows.append(np.concatenate([colours[pairs[i].mask] for i in indices], axis=1))
    picture = Image.fromarray(np.concatenate(rows))
    picture.resize((picture.width * ENLARGED, picture.height * ENLARGED), Image.Resampling.NEAREST).save(path)
    return list(chosen)[:COLUMNS]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labels", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="by default as many as LABELS was trained for")
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--rare", default="blood,cystic duct,hepatic vein")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--results", type=Path, default=RESULTS / "joint_text.json")
    options = parser.parse_args()
    try:
        labels = read_record(options.labels, "joint_latent")
        data = labels.provenance.spec
        text = trained_on_text(labels, options.images, options.masks, options.out / "run", options.steps)
        sets = {
            "text": drawn(text, data, options.out / "text", options.count),
            "labels": drawn(options.labels, data, options.out / "labels", options.count),
        }
        requests = [Request.from_dict(record.details["request"]) for record in sets["text"].records]
        rare = options.rare.split(",")
        asked = show(requests, sets, rare, options.pictures / "joint_text.png")
        record = read_record(text)
        write_results(
            options.results,
            {
                "data": labels.provenance.describe(),
                "steps": record.config["model"]["training"]["steps"],
                "batch_size": record.config["model"]["training"]["batch_size"],
                "minutes": {
                    "labels": round((labels.seconds or 0) / 60, 1),
                    "text": round((record.seconds or 0) / 60, 1),
                },
                "pairs": options.count,
                "requests": len(set(requests)),
                "rare": rare,
                "shown": asked,
                "kept": {name: judge(requests, pairs) for name, pairs in sets.items()},
            },
        )
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
