"""Do images drawn for a real clip's maps show what the maps say? A segmenter that saw real frames is asked.

command:       python benchmarks/real_clip.py --data /path/to/CholecSeg8k-clip --out runs/clip
machine:       2 cores, no GPU
running time:  about 35 minutes (estimated; the result file has the last run's)

The first two thirds of a CholecSeg8k clip train CASDM, with the committed configuration `clip`, which then
draws one image for each map of the last third. SegFormers are trained on the same real frames and scored at
that size on the real last third, and on the synthetic images of the same maps. Figures are label-mean IoU
over the classes present, of three seeds. Wanted: at least 0.6 on the real frames, and at least 0.85 of it on
the synthetic ones.

Training and test show the same patient, camera and light: that real files work is shown, and nothing about
generalising. SegFormer's learning rate was chosen on validation recordings of phantom scenes. A stopped run goes on with --resume. OUT holds runs, report.html and gallery.png; they show real
frames, so they stay out of the project. Writes benchmarks/results/real_clip.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, shipped, write_results

from rarescene.commands.check import check
from rarescene.commands.evaluate import evaluate
from rarescene.commands.report import report
from rarescene.commands.segment import segment
from rarescene.commands.stats import stats
from rarescene.commands.synthesize import synthesize
from rarescene.commands.train import train
from rarescene.diffusion import SamplingConfig
from rarescene.evaluation.run_metrics import METRICS
from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.plugins import method_for
from rarescene.foundation.run_folder import fresh_folder
from rarescene.foundation.run_record import read_record
from rarescene.recipes.run_store import finished
from rarescene.reports import contact_sheet
from rarescene.scenes import open_scenes, write_image
from rarescene.scenes.data import decode, open_data
from rarescene.segmenters import SegFormerConfig, load_segmenter
from rarescene.training import to_images

SPLIT = "time"
PAIRS = 24
WANTED_REAL, WANTED_SHARE = 0.6, 0.85
ON_SYNTHETIC = "synthetic.json"
SHOWN = 8  # rows of the gallery


def train_generator(data: str, run: Path, steps: int | None) -> None:
    """Train CASDM as the committed configuration says; fewer steps are for trying this script."""
    fewer = [f"--model.training.steps={steps}"] if steps is not None else []
    train(**{**shipped("clip", "--data", data, "--out", str(run), *fewer), "resume": True})


def draw_pairs(data: str, generator: Path, out: Path, steps: int) -> None:
    """Draw an image for each map of the test part, in float32."""
    sampling = SamplingConfig(steps=steps, precision="no")
    synthesize(generator, masks=data, out=out, part="test", count=PAIRS, sampling=sampling, resume=True)


def train_segformer(data: str, run: Path, size: tuple[int, int], steps: int, seed: int) -> None:
    """Train SegFormer on the real frames of the training part, at the generator's size."""
    model = SegFormerConfig(enlarge=2)
    method = method_for("segmenters", model)
    training = replace(method.training(model), steps=steps, batch_size=8, validate_every=0)
    height, width = size
    segment(
        method, model=model, training=training, data=data, out=run, split=SPLIT, height=height, width=width,
        seed=seed, resume=True,
    )  # fmt: skip


def score(data: str, pairs: Path, run: Path) -> dict[str, Any]:
    """Score a SegFormer on the real test frames and on the synthetic images of the same maps."""
    evaluate(run, data=data, part="test", at="run", quiet=True)
    # The set keeps recording and frame of each map, so a map of a training frame would be refused here.
    evaluate(run, data=f"set:{pairs}", part="all", at="run", out=run / ON_SYNTHETIC, quiet=True)
    found: dict[str, Any] = {"seed": read_record(run).seed}
    for name, path in (("real", run / METRICS), ("synthetic", run / ON_SYNTHETIC)):
        scores = read_json(path)["scores"]
        shown = {entry["name"]: entry["iou"] for entry in scores["classes"] if entry["iou"] is not None}
        found[name] = {
            "label_mean_iou": scores["label_mean"]["iou"],
            "frames": scores["frames"],
            "iou": shown,
        }
    found["share"] = found["synthetic"]["label_mean_iou"] / found["real"]["label_mean_iou"]
    return found


def draw_gallery(data: str, pairs: Path, run: Path, path: Path) -> None:
    """Draw map, real frame, synthetic image, and what one SegFormer makes of either, evenly over the test."""
    settings = read_record(run).config
    size = settings["height"], settings["width"]
    made = open_scenes(f"set:{pairs}")
    order = sorted(range(len(made)), key=lambda index: made.records[index].order)
    chosen = [order[place] for place in np.linspace(0, len(order) - 1, SHOWN).round().astype(int)]
    real = decode(open_scenes(data), *size)
    names = {name: index for index, name in enumerate(real.names)}
    network, table = load_segmenter(run / "model")

    def predicted(image: np.ndarray) -> np.ndarray:
        ids = network.predict(to_images(image[None])).argmax(1)[0]
        return table.colourise(ids.numpy().astype(np.uint8))

    rows = []
    for index in chosen:
        drawn = made[index]
        frame = real[names[drawn.record.details["mask_of"]]].image
        rows.append(
            [table.colourise(drawn.mask), frame, drawn.image, predicted(frame), predicted(drawn.image)]
        )
    labels = ("map", "real", "synthetic", "predicted on real", "predicted on synthetic")
    titles = [f"frame {made.records[index].order}" for index in chosen]
    write_image(path, np.asarray(contact_sheet(rows, labels, titles=titles, flat=(0, 3, 4))))


def claim(out: Path, settings: dict[str, Any], resume: bool) -> None:
    """Take a folder for a run with these settings, or go on with one that has the same."""
    fresh_folder(out, resume, "benchmark")
    path = out / "settings.json"
    if path.is_file() and read_json(path) != settings:
        raise ConfigError(
            f"{out} holds a run with other settings", "Repeat its options, or choose another --out."
        )
    write_json(path, settings)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    data, out, began = f"cholecseg8k:{options.data}", options.out, time.perf_counter()
    settings = {
        "data": data,
        "steps": options.steps,
        "sampling_steps": options.sampling_steps,
        "segformer_steps": options.segformer_steps,
    }
    claim(out, settings, options.resume)
    generator, pairs = out / "casdm", out / "pairs"
    if check(data):
        raise DataError("the clip has faults", "They are listed above.", options.data)
    stats(data, out=out / "statistics.json")
    if not finished(generator):
        train_generator(data, generator, options.steps)
    if not finished(pairs):
        draw_pairs(data, generator, pairs, options.sampling_steps)
    trained = read_record(generator)
    size = trained.config["model"]["height"], trained.config["model"]["width"]
    segmenters = [out / f"segformer_{seed}" for seed in options.seeds]
    for seed, run in zip(options.seeds, segmenters, strict=True):
        if not finished(run):
            train_segformer(data, run, size, options.segformer_steps, seed)
    scores = [score(data, pairs, run) for run in segmenters]
    report([generator, pairs, *segmenters], out=out / "report.html", title="A real clip: CASDM and SegFormer")
    draw_gallery(data, pairs, segmenters[0], out / "gallery.png")

    return {
        "settings": settings,
        "data": trained.provenance.describe(),
        "warning": open_data(data, SPLIT, 0).split.warning,
        "size": size,
        "generator": trained.config["model"],
        # Of a run that went on after a stop, these are the seconds since then.
        "seconds": {
            "generator": trained.seconds,
            "pairs": read_record(pairs).seconds,
            "segformers": [read_record(run).seconds for run in segmenters],
            "all": time.perf_counter() - began,
        },
        "resumed": options.resume,
        "scores": scores,
        "real": statistics.mean(found["real"]["label_mean_iou"] for found in scores),
        "synthetic": statistics.mean(found["synthetic"]["label_mean_iou"] for found in scores),
        "share": statistics.mean(found["share"] for found in scores),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the clip, as it is distributed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true", help="go on with what is in OUT")
    parser.add_argument("--steps", type=int, help="training steps of CASDM; by default those of `clip`")
    parser.add_argument("--sampling-steps", type=int, default=30)
    parser.add_argument("--segformer-steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the SegFormers")
    parser.add_argument("--results", type=Path, default=RESULTS / "real_clip.json")
    options = parser.parse_args()
    try:
        results = measure(options)
        write_results(options.results, results)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    scores = results["scores"]
    for found in scores:
        real, synthetic = (found[kind]["label_mean_iou"] for kind in ("real", "synthetic"))
        print(f"seed {found['seed']}: real {real:.3f}, synthetic {synthetic:.3f}, share {found['share']:.3f}")
    print(f"written to {options.results}; look at {options.out / 'gallery.png'}")
    print(f"real frames: label-mean IoU {results['real']:.3f} (wanted: at least {WANTED_REAL})")
    print(
        f"synthetic images of the same maps: {results['synthetic']:.3f}, "
        f"over the seeds {results['share']:.3f} of the first (wanted: at least {WANTED_SHARE})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
