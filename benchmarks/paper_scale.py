"""What CASDM costs at the paper's scale on a GPU: training and drawing in bf16, beside the matrix rate.

command:       python benchmarks/paper_scale.py
machine:       one GPU of 80 GB or more, or less with --accumulate 2, 5 or 10; 14 GB on disk, for a checkpoint
running time:  a few minutes on a large GPU (estimated; the result file has the last run's)

The committed configuration `paper` trains on phantom frames held in memory, through the loop that
`rarescene train casdm` uses: first with the class-aware MSE alone, then with the self-perceptual loss beside
it. Then the averaged network draws with DPM-Solver++ in 30 steps, one pair at a time and ten; every γ and β
is computed once a map as far as the memory set aside for them goes.

Operations are those of matrix multiplications, convolutions and attention, two to a multiply-add, as PyTorch
counts them with attention spelled out, for training on one scene. Their rate is put beside that of a large
bf16 matrix multiplication on the same machine.

Without CUDA it says so and exits with 2. `--tiny` runs the same code with the configuration `tiny` for a few
steps on whatever device there is: its figures mean nothing, and are written only if --results names a file.
Writes benchmarks/results/paper_scale.json.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import RESULTS, shipped, write_results
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from rarescene.generators import Casdm, CasdmConfig, CasdmLearner
from rarescene.scenes import ClassTable, PhantomConfig, SceneSet, augment, phantom_scenes
from rarescene.training import SceneBatches, fit, to_masks

SEED = 0
SAMPLER, STEPS = "dpm-solver++", 30


def matrix_rate(device: torch.device, size: int, windows: int = 10, repeats: int = 10) -> float:
    """Return the operations a second of the fastest of several windows of bf16 matrix multiplications."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(left)
    torch.mm(left, right, out=out)
    seconds = [
        timed(device, lambda: [torch.mm(left, right, out=out) for _ in range(repeats)])
        for _ in range(windows)
    ]
    return repeats * 2 * size**3 / min(seconds)


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Return the seconds of some work, with all that it set going on the device."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gigabytes(device: torch.device) -> float | None:
    """Return the most memory that tensors took on the GPU since the last call; None on a CPU."""
    if device.type != "cuda":
        return None
    gc.collect()  # what a training leaves in cycles is no part of what follows
    peak = torch.cuda.max_memory_allocated(device) / 1e9
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def in_memory(scenes: SceneSet, config: CasdmConfig) -> SceneBatches:
    """Return the batches of training, drawn from scenes that are rendered now and kept."""
    pairs = list(scenes)
    images, masks = np.stack([pair.image for pair in pairs]), np.stack([pair.mask for pair in pairs])

    def take(indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        return images[indices], masks[indices]

    def augmented(images: Tensor, masks: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        return augment(images, masks, seeds, config.augment, ignore_index=scenes.classes.ignore_index)

    return SceneBatches(take, range(len(pairs)), config.training.batch_size, SEED, augmented)


def operations_of_a_step(
    config: CasdmConfig, table: ClassTable, batches: SceneBatches, device: torch.device
) -> dict[str, int]:
    """Count the operations of a training step on one scene, without and with the self-perceptual loss."""
    # The gradient norms of the log are no part of a step.
    config = replace(config, training=replace(config.training, log_every=10**9))
    learner = CasdmLearner(config, table, SEED).to(device)
    batch = batches(0, 0, 1)
    batch = replace(batch, images=batch.images.to(device), masks=batch.masks.to(device))
    counts = {}
    for name, step in (("camse", 0), ("camse and casp", config.perceptual_from)):
        with counting() as counter, torch.autocast(device.type, torch.bfloat16):
            learner(batch, step)["loss"].backward()
        counts[name] = counter.get_total_flops()
    return counts


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count operations, with attention spelled out: not every fused kernel is known to the counter."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def training(
    config: CasdmConfig, table: ClassTable, batches: SceneBatches, device: torch.device, folder: Path
) -> tuple[nn.Module, dict[str, dict[str, Any]]]:
    """Train through both phases; return the averaged network, and of each phase its speed and peak memory."""
    peaks: list[float | None] = []

    def at_the_end_of_a_phase(step: int, network: nn.Module) -> Mapping[str, float]:
        peaks.append(peak_gigabytes(device))
        return {}

    peak_gigabytes(device)
    learner = CasdmLearner(config, table, SEED)
    fitted = fit(learner, batches, config.training, folder, seed=SEED, validate=at_the_end_of_a_phase)
    reports = [line for line in fitted.log if "scenes_per_second" in line]
    half = len(reports) // 2
    phases = {}
    for name, lines, peak in zip(
        ("camse", "camse and casp"), (reports[:half], reports[half:]), peaks, strict=True
    ):
        speeds = [line["scenes_per_second"] for line in lines[1:]]  # the first steps choose their kernels
        phases[name] = {
            "images_a_second": statistics.median(speeds),
            "images_a_second_of_each_report": speeds,
            "peak_gigabytes": peak,
        }
    return fitted.average, phases


def drawing(
    generator: Casdm, masks: Tensor, steps: int, repeats: int, device: torch.device
) -> dict[str, Any]:
    """Draw a pair for each map, several times over."""

    def draw() -> Tensor:
        return generator.generate(
            masks, seeds=range(len(masks)), sampler=SAMPLER, steps=steps, precision="bf16"
        )

    with counting() as counter:
        draw()
    operations = counter.get_total_flops() / len(masks)
    draw()  # with the kernels that count
    peak_gigabytes(device)
    seconds = [timed(device, draw) / len(masks) for _ in range(repeats)]
    return {
        "seconds_per_pair": statistics.median(seconds),
        "seconds_per_pair_of_each": seconds,
        "images_a_second": 1 / statistics.median(seconds),
        "operations_an_image": operations,
        "peak_gigabytes": peak_gigabytes(device),
    }


def with_share(found: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """Add the achieved rate of operations, and its share of the matrix rate."""
    achieved = found["images_a_second"] * found["operations_an_image"]
    return {**found, "operations_a_second": achieved, "share_of_matrix_rate": achieved / rate}


def line(name: str, found: Mapping[str, Any]) -> str:
    memory = "" if found["peak_gigabytes"] is None else f", {found['peak_gigabytes']:.1f} GB at most"
    per_pair = f"{found['seconds_per_pair']:.3f} s a pair, " if "seconds_per_pair" in found else ""
    return (
        f"{name}: {per_pair}{found['images_a_second']:.2f} images a second, "
        f"{found['operations_a_second'] / 1e12:.2f} TFLOP/s, "
        f"{found['share_of_matrix_rate']:.2f} of the matrix rate{memory}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, help="training steps of each of the two phases; 80, or 4 with --tiny"
    )
    parser.add_argument("--accumulate", type=int, default=1, help="parts that a batch is cut into")
    parser.add_argument("--repeats", type=int, default=5, help="how often the same maps are drawn for")
    parser.add_argument(
        "--tiny", action="store_true", help="the same code at the size of `tiny`, to see that it runs"
    )
    parser.add_argument(
        "--results", type=Path, help="JSON file; results/paper_scale.json, and none with --tiny"
    )
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        print(
            "The paper's scale needs a GPU, and torch sees none here; the figures are left open. "
            "`--tiny` shows that the code runs.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    began = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = "tiny" if options.tiny else "paper"
    steps = options.steps or (4 if options.tiny else 80)
    denoising, size = (2, 256) if options.tiny else (STEPS, 8192)

    published: CasdmConfig = shipped(name, "--data", "phantom:", "--out", "none")["model"]
    config = replace(
        published,
        self_perceptual=replace(published.self_perceptual, warmup_steps=steps, refresh_every=2 * steps),
        training=replace(
            published.training, steps=2 * steps, log_every=max(1, steps // 4), save_every=2 * steps,
            validate_every=steps, mixed_precision="bf16", channels_last=True, accumulate=options.accumulate,
        ),
    )  # fmt: skip
    scenes = phantom_scenes(PhantomConfig(videos=4, frames=10, height=config.height, width=config.width))
    batches = in_memory(scenes, config)

    rate = matrix_rate(device, size)
    print(f"matrix rate: {rate / 1e12:.2f} TFLOP/s (bf16, {size}²)")
    operations = operations_of_a_step(config, scenes.classes, batches, device)
    with tempfile.TemporaryDirectory(prefix="rarescene-") as folder:
        average, phases = training(config, scenes.classes, batches, device, Path(folder))
    trained = {
        phase: with_share(found | {"operations_an_image": operations[phase]}, rate)
        for phase, found in phases.items()
    }
    generator = Casdm(average, config, scenes.classes).to(device)  # type: ignore[arg-type]
    drawn = {}
    for batch in (1, 10):
        masks = to_masks(np.stack([scenes[index].mask for index in range(batch)]))
        drawn[str(batch)] = with_share(drawing(generator, masks, denoising, options.repeats, device), rate)

    parameters = sum(weight.numel() for weight in average.parameters())
    results = {
        "config": name,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "parameters": parameters,
        "image": [config.height, config.width],
        "matrix_rate": {"operations_a_second": rate, "size": size},
        "training": {
            "batch": config.training.batch_size, "accumulate": options.accumulate, "precision": "bf16",
            "channels_last": True, "steps_of_each_phase": steps, **trained,
        },
        "drawing": {"sampler": SAMPLER, "steps": denoising, "precision": "bf16", "batches": drawn},
        "seed": SEED,
        "seconds": time.perf_counter() - began,
    }  # fmt: skip
    print(f"{name}: {parameters / 1e6:.0f} M parameters, {config.width}×{config.height}, bf16")
    for phase, found in trained.items():
        print(line(f"training, {phase}, batch {config.training.batch_size}", found))
    for size_of_batch, found in drawn.items():
        print(line(f"drawing, {denoising} steps, batch {size_of_batch}", found))
    path = options.results or (None if options.tiny else RESULTS / "paper_scale.json")
    if path is not None:
        write_results(path, results)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
