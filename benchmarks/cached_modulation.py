"""What it saves to compute every SPADE γ and β once per map instead of at every denoising step.

Two measurements, each side by side in one process, interleaved, medians:

- `small`: the small widths at 128², cached against plain, both float32 (wanted: 1.5×). The last line printed
  is this ratio.
- `43M`: a 43 M network at 64², batch 8: cached, bfloat16 and channels-last against plain, uncached, float32
  and contiguous (wanted: 4×).

Run: python benchmarks/cached_modulation.py [--repeats 5] [--threads 2]
Leave the machine alone meanwhile: a step is hundreds of short parallel loops, each as slow as its slowest
core.
Writes benchmarks/results/cached_modulation.json.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from harness import RESULTS, write_results
from rich.progress import Progress
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rarescene.networks import SpadeUNet, SpadeUNetConfig, one_hot_layout

SEED = 0
CLASSES = 13
SMALL = SpadeUNetConfig(
    classes=CLASSES, base_channels=128, multipliers=(1, 1, 2, 3, 4), attention_strides=(8, 16)
)
MIDDLING = SpadeUNetConfig(
    classes=CLASSES, base_channels=64, multipliers=(1, 2, 3, 4), attention_strides=(4, 8)
)


def network(config: SpadeUNetConfig) -> SpadeUNet:
    """An untrained network whose zero-initialised layers take part."""
    torch.manual_seed(SEED)
    unet = SpadeUNet.build(config).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return unet


def inputs(batch: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    masks = torch.randint(0, CLASSES, (batch, size, size))
    return torch.randn(batch, 3, size, size), torch.full((batch,), 500), one_hot_layout(masks, CLASSES)


def side_by_side(
    plain: Callable[[], Tensor], fast: Callable[[], Tensor], repeats: int, advance: Callable[[], object]
) -> dict[str, Any]:
    """Time both in turns, so that whatever else the machine does meets both alike."""
    times: dict[str, list[float]] = {"plain": [], "fast": []}
    for _ in range(repeats):
        for name, step in (("plain", plain), ("fast", fast)):
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
            advance()
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {
        "seconds": times,
        "median_seconds": medians,
        "min_seconds": {name: min(taken) for name, taken in times.items()},
        "ratio": medians["plain"] / medians["fast"],
        "ratio_of_minima": min(times["plain"]) / min(times["fast"]),
    }


def counted(step: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """Return the output of a step, which also warms it up, and its multiply-adds."""
    with FlopCounterMode(display=False) as counter:
        output = step()
    return output, counter.get_total_flops() // 2


def measure(
    config: SpadeUNetConfig, size: int, batch: int, repeats: int, reduced: bool, advance: Callable[[], object]
) -> dict[str, Any]:
    """Compare cached with plain steps; `reduced` runs the cached ones in bfloat16 and channels-last."""
    reference = network(config)
    noisy, timesteps, layout = inputs(batch, size)
    fast, fast_noisy = reference, noisy
    if reduced:
        fast = copy.deepcopy(reference).bfloat16().to(memory_format=torch.channels_last)
        fast_noisy = noisy.contiguous(memory_format=torch.channels_last)
    started = time.perf_counter()
    modulation = fast.modulate(layout)
    modulate_seconds = time.perf_counter() - started

    plain_step = partial(reference, noisy, timesteps, layout)
    fast_step = partial(fast, fast_noisy, timesteps, modulation)
    plain_output, plain_operations = counted(plain_step)
    fast_output, fast_operations = counted(fast_step)
    result = side_by_side(plain_step, fast_step, repeats, advance)
    return {
        "parameters": sum(parameter.numel() for parameter in reference.parameters()),
        "image": [size, size],
        "batch": batch,
        "multiply_adds": {"plain": plain_operations, "cached": fast_operations},
        "multiply_adds_ratio": plain_operations / fast_operations,
        "modulation_bytes": modulation.bytes,
        "modulate_seconds": modulate_seconds,
        "equal_to_the_bit": torch.equal(plain_output, fast_output),
        "relative_error": float((fast_output - plain_output).norm() / plain_output.norm()),
        **result,
    }


def summary(name: str, wanted: float, result: dict[str, Any]) -> str:
    medians, size = result["median_seconds"], result["image"][0]
    error = (
        "equal to the bit" if result["equal_to_the_bit"] else f"relative error {result['relative_error']:.1e}"
    )
    return (
        f"{name}: {result['parameters'] / 1e6:.1f} M parameters, {size}², batch {result['batch']}: "
        f"plain {medians['plain']:.3f} s, cached {medians['fast']:.3f} s a step, {result['ratio']:.2f}× "
        f"(wanted {wanted}×; by the minima {result['ratio_of_minima']:.2f}×); {error}; "
        f"{result['multiply_adds_ratio']:.2f} times fewer multiply-adds; "
        f"{result['modulation_bytes'] / 1e6:.0f} MB, made in {result['modulate_seconds']:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="scenes a step at the small widths")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    with torch.inference_mode(), Progress() as progress:
        task = progress.add_task("steps", total=4 * options.repeats)
        advance = partial(progress.advance, task)
        small = measure(SMALL, 128, options.batch, options.repeats, reduced=False, advance=advance)
        middling = measure(MIDDLING, 64, 8, options.repeats, reduced=True, advance=advance)
    conditions = {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "load_average": list(os.getloadavg()),
        "seed": SEED,
    }
    write_results(RESULTS / "cached_modulation.json", conditions | {"small": small, "43M": middling})
    for name, wanted, result in (("small", 1.5, small), ("43M", 4.0, middling)):
        print(summary(name, wanted, result))
    print(f"ratio {small['ratio']:.3f}")


if __name__ == "__main__":
    main()
