"""What GAUDA costs: wall time of a run that draws while it trains, over the same run without it, at equal steps.

command:       python benchmarks/gauda_cost.py RUN        (RUN: a joint generator, e.g. of `rarescene train joint`)
machine:       2 cores, no GPU; on a GPU add --config none --batch 100 --mixed-precision bf16 --precision bf16
running time:  2 × --repeats runs of --steps steps, about 10 minutes each (estimated; the result file has the
               last run's)

One process trains the same segmenter on the generator's own data and split, by turns without a strategy and
with `gauda`, with the same seed, and repeats. Both validate at the same steps on the same scenes, with as many
posterior samples. A refresh comes every 200 steps, a synthetic batch is as large as a training batch, and pairs
are drawn by DPM-Solver++ in 20 steps. The paper, with DDPM in 1000, paid 48 %.

Before a clock is started, operations are counted: those of a training step, of the posterior, and of a drawn
pair, two to a multiply-add. From them follows what the cost should be if all ran at one rate:

    (posterior + drawing − prediction) / (200 training steps + prediction)

The measured ratio is that of the whole runs, whose last interval has no refresh since nothing would use it. The
one of a long run is put beside it: what a refresh adds, over an interval between two. The ratio of processor
time is given as well, where all work is a processor's: it tells the same on a machine that others use too.
Writes benchmarks/results/gauda_cost.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from harness import RESULTS, shipped, write_results
from torch.utils.flop_counter import FlopCounterMode

from rarescene.augmentation import Gauda
from rarescene.augmentation.gauda_config import DrawingConfig, GaudaConfig
from rarescene.augmentation.refresh_log import REFRESHES
from rarescene.augmentation.validation import Validation, spread
from rarescene.cli import parse
from rarescene.diffusion import SamplingConfig
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.run_record import read_record
from rarescene.recipes.run_store import finished
from rarescene.scenes import Request
from rarescene.scenes.data import open_as_in
from rarescene.segmenters import build_segmenter
from rarescene.sources.pair_source import PairSource, open_pair_source

WANTED = 1.15


class Clock:
    """Seconds that go by inside methods, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def watching(self, owner: type, method: str, name: str) -> Iterator[None]:
        """Measure every call of a method while the context lasts."""
        original = getattr(owner, method)

        def measured(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return original(*given, **named)
            finally:
                wait()
                self.seconds.setdefault(name, []).append(time.perf_counter() - began)

        setattr(owner, method, measured)
        try:
            yield
        finally:
            setattr(owner, method, original)


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def count(work: Callable[[], object]) -> int:
    """Return the operations of some work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def operations(
    setting: dict[str, Any], pairs: PairSource[Request], gauda: GaudaConfig, scenes: int, members: int
) -> dict[str, float]:
    """Count what a training step, a validation and a refresh ask of the machine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build_segmenter(setting["model"], len(pairs.table), pairs.table.ignore_index).to(device)
    shape = (members, pairs.height, pairs.width)
    images = torch.zeros(members, 3, *shape[1:], device=device)
    masks = torch.zeros(shape, dtype=torch.int64, device=device)

    def train() -> None:
        network(images, masks)["loss"].backward()

    requests = [pairs.pool.sample(0, index) for index in range(pairs.block)]
    step = count(train) * setting["training"].batch_size
    predicted = count(lambda: network.predict(images[:1])) * scenes
    posterior = count(lambda: network.posterior(images[:1], gauda.samples)) * scenes
    drawing = count(lambda: pairs.generate(requests, range(len(requests)))) / len(requests) * gauda.size
    interval = setting["training"].validate_every * step + predicted
    return {
        "training_step": step, "prediction": predicted, "posterior": posterior, "drawing": drawing,
        "expected_ratio": 1 + (posterior + drawing - predicted) / interval,
    }  # fmt: skip


def train(setting: dict[str, Any], strategy: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train once, and return the seconds of the whole and of its parts."""
    from rarescene.commands.segment import segment
    from rarescene.foundation.plugins import by_command

    clock = Clock()
    given = {name: value for name, value in setting.items() if name != "segmenter"}
    began = time.process_time()
    with clock.watching(Validation, "validate", "standing"), clock.watching(Gauda, "mix", "mixing"):
        segment(by_command("segmenters")[setting["segmenter"]], out=out, **given, **strategy)
    processor = time.process_time() - began
    assert finished(out)
    drawn = [line.get("seconds", 0.0) for line in read_json_lines(out / REFRESHES)]
    return {
        "seconds": read_record(out).seconds,
        "processor_seconds": processor,
        "standing": clock.seconds.get("standing", []),
        "mixing": sum(clock.seconds.get("mixing", [])),
        "drawing": [seconds for seconds in drawn if seconds],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    trained = read_record(options.run)
    source, setting = open_as_in(trained.provenance), settings(options)
    members = getattr(setting["model"], "members", 1)
    size = options.size or setting["training"].batch_size * members
    block = min(options.block, size)
    gauda = GaudaConfig(
        size=size, samples=options.samples, drawing=DrawingConfig(when=options.when, block=block)
    )
    sampling = SamplingConfig(
        steps=options.denoising, precision=options.precision, block=block, guidance=options.guidance
    )
    pairs = open_pair_source(options.run, options.maps, sampling=sampling)
    setting |= {"data": trained.provenance.spec, "sampling": sampling, **source.options}
    scenes = len(spread(source.split.validation, options.validation_scenes))
    counted = operations(setting, pairs, gauda, scenes, members)
    print(f"expected from operations: {counted['expected_ratio']:.3f} of the run without")
    online = {"strategy": "gauda", "generator": options.run, "maps": options.maps, "gauda": gauda}
    runs: dict[str, list[dict[str, Any]]] = {"none": [], "gauda": []}
    with tempfile.TemporaryDirectory(prefix="rarescene-") as folder:
        first = replace(setting["training"], steps=max(2, options.every // 10), validate_every=0)
        train(setting | {"training": first}, {"strategy": "none"}, Path(folder) / "first")  # caches, kernels
        for turn in range(options.repeats):
            for name in ("none", "gauda") if turn % 2 == 0 else ("gauda", "none"):
                found = train(
                    setting,
                    online if name == "gauda" else {"strategy": name},
                    Path(folder) / f"{name}-{turn}",
                )
                runs[name].append(found)
                print(
                    f"{name}: {found['seconds']:.1f} s, {sum(found['standing']):.1f} s of them at validations"
                )
    return (
        {
            "segmenter": setting["segmenter"], "model": asdict(setting["model"]),
            "training": asdict(setting["training"]), "size": [pairs.height, pairs.width],
            "generator": dict(pairs.made_by), "gauda": asdict(gauda), "validation_scenes": scenes,
            "data": source.provenance().describe(), "operations": counted,
        }
        | judged(runs, options.every, setting["training"].steps)
        | {"runs": runs, "seconds": round(time.perf_counter() - began, 1)}
    )  # fmt: skip


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return segmenter and training, as a shipped configuration has them, at the steps of this benchmark."""
    command, words = f"segment {options.segmenter}", ["--data", "none", "--out", "none"]
    given = (
        parse(command, words)[1]
        if options.config == "none"
        else shipped(options.config or f"{options.segmenter}-tiny", *words, command=command)
    )
    training = replace(
        given["training"], steps=options.steps, batch_size=options.batch or given["training"].batch_size,
        validate_every=options.every, save_every=options.steps,
        mixed_precision=options.mixed_precision or given["training"].mixed_precision,
    )  # fmt: skip
    model = given["model"]
    if options.segmenter == "phiseg":  # a prediction is the mean of as many samples as GAUDA looks at
        model = replace(model, samples=options.samples)
    return {
        "segmenter": options.segmenter, "model": model, "training": training,
        "validation_scenes": options.validation_scenes, "seed": 0,
    }  # fmt: skip


def judged(runs: dict[str, list[dict[str, Any]]], every: int, steps: int) -> dict[str, Any]:
    """Return the ratio of each pair of runs and their median, and where the time goes."""
    ratios, of_processor = (
        [one[name] / other[name] for one, other in zip(runs["gauda"], runs["none"], strict=True)]
        for name in ("seconds", "processor_seconds")
    )
    plain = statistics.median(one["seconds"] for one in runs["none"])
    validating = statistics.median(seconds for one in runs["none"] for seconds in one["standing"])
    refreshing = statistics.median(seconds for one in runs["gauda"] for seconds in one["standing"][:-1])
    drawing = statistics.median(seconds for one in runs["gauda"] for seconds in one["drawing"])
    mixing = statistics.median(one["mixing"] for one in runs["gauda"]) / steps * every
    interval = plain * every / steps
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ratio_of_processor_time": None if torch.cuda.is_available() else statistics.median(of_processor),
        "ratio_of_a_long_run": 1 + (refreshing - validating + mixing) / interval,
        "wanted": WANTED,
        "seconds_of": {
            "an_interval_without": interval,
            "its_validation": validating,
            "validation_with_refresh": refreshing,
            "drawing": drawing,
            "posterior_and_the_rest": refreshing - drawing,
            "mixing_an_interval": mixing,
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a trained generator of pairs")
    parser.add_argument("--maps", type=Path, help="with an image generator: a run of `train maps`")
    parser.add_argument("--segmenter", choices=("phiseg", "unet-ensemble"), default="phiseg")
    parser.add_argument(
        "--config", help="shipped configuration; by default SEGMENTER-tiny, `none` for the paper's"
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--every", type=int, default=200, help="steps between two refreshes")
    parser.add_argument(
        "--batch", type=int, help="training batch, of each member; by default the configuration's"
    )
    parser.add_argument("--size", type=int, help="pairs of a synthetic batch; by default the training batch")
    parser.add_argument("--samples", type=int, default=10, help="posterior samples")
    parser.add_argument("--validation-scenes", type=int, help="by default all of the validation part")
    parser.add_argument("--denoising", type=int, default=20)
    parser.add_argument("--guidance", type=float, help="by default that of the generator")
    parser.add_argument("--precision", choices=("no", "bf16"), default="no", help="of the drawing")
    parser.add_argument("--mixed-precision", choices=("no", "bf16"), help="of the training")
    parser.add_argument("--block", type=int, default=16, help="pairs drawn at once")
    parser.add_argument("--when", choices=("at_refresh", "between_steps"), default="at_refresh")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / "gauda_cost.json")
    options = parser.parse_args()
    try:
        results = measure(options)
    except RareSceneError as error:
        print(error, file=sys.stderr)
        return 2
    write_results(options.results, results)
    spent = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f} s" for name, value in results["seconds_of"].items()
    )
    print(f"GAUDA takes {results['ratio']:.3f} of the run without (wanted: at most {WANTED})")
    print(f"a long run: {results['ratio_of_a_long_run']:.3f}; {spent}")
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
