"""Does the cache keep training fed, and does a process's own memory stay the same however many frames it has?

command:       python benchmarks/data_path.py
machine:       2 cores, no GPU; Linux; 7 GB on disk for frames and cache (--folder names another place)
running time:  about 12 minutes, most of it for writing the frames (estimated; the result file has the last
               run's)

Phantom frames of 854×480 are written as PNGs and decoded once into a cache at 256². Then:

- speed, in one process and one thread, all files being fresh in the memory of the operating system: decoding
  and resizing pairs of PNGs, against the batches of the loader, which draws from the cache in random order
  and makes tensors. Wanted: 10 times as many images a second.
- memory: CASDM trains for some steps at 256² from a cache of a tenth of the frames, and, in another fresh
  process, from a cache of all of them. Both draw equally many batches, enough to pass over all frames.
  Compared is RssAnon in /proc/self/status, the memory that belongs to the process alone: its median over the
  second half of the steps, beside the range that it keeps there, since the allocator gives back what it likes
  when it likes. Wanted: it does not grow with the frames.

With --folder a stopped run goes on where it was, and the frames are kept.
Writes benchmarks/results/data_path.json. The last two lines are the ratio and the two figures of memory.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import RESULTS, shipped, write_results
from PIL import Image
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rarescene.foundation.files import atomic, write_json
from rarescene.foundation.protocols import Batch
from rarescene.generators import CasdmLearner
from rarescene.scenes import (
    PhantomConfig,
    SceneCache,
    SceneSet,
    open_scenes,
    phantom_scenes,
    resize_image,
    resize_mask,
    write_mask,
)
from rarescene.training import SceneBatches, fit

SEED = 0
WANTED = 10


def write_frames(config: PhantomConfig, folder: Path, processes: int) -> None:
    """Write all phantom frames, videos side by side; frames that are there already are kept."""
    write_json(folder / "classes.json", phantom_scenes(config).classes.to_dict())
    with fresh_processes(processes) as pool, bar() as progress:
        task = progress.add_task("writing videos", total=config.videos)
        written = [pool.submit(write_video, config, folder, video) for video in range(config.videos)]
        for video in as_completed(written):
            video.result()
            progress.advance(task)


def write_video(config: PhantomConfig, folder: Path, video: int) -> None:
    scenes = phantom_scenes(config)
    for record in scenes.records[video * config.frames : (video + 1) * config.frames]:
        image, mask = (folder / kind / f"{record.name}.png" for kind in ("images", "masks"))
        if image.is_file() and mask.is_file():
            continue
        scene = scenes.reader(record)
        with atomic(image) as temporary:
            # Three times as fast as the usual level 6; here about as small, and as slow to decode.
            Image.fromarray(scene.image).save(temporary, compress_level=1)
        write_mask(mask, scene.mask, scenes.classes)


def build_cache(scenes: SceneSet, size: int, root: Path) -> SceneCache:
    with bar() as progress:
        task = progress.add_task(f"decoding {len(scenes)}", total=len(scenes))
        return SceneCache.build(
            scenes, size, size, root, progress=lambda done, _: progress.update(task, completed=done)
        )


def images_a_second(count: int, work: Iterable[object]) -> float:
    """Return images a second of work that is done by going through it."""
    began = time.perf_counter()
    for _ in work:
        pass
    return count / (time.perf_counter() - began)


def speeds(scenes: SceneSet, cache: SceneCache, sample: int, batch_size: int) -> dict[str, float]:
    """Measure decoding, taking rows of the cache, and whole batches of the loader, in images a second."""
    torch.set_num_threads(1)
    height, width = cache.size
    order = np.random.default_rng(SEED).permutation(len(scenes))
    rows = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = SceneBatches(cache.take, range(len(cache)), batch_size, SEED)

    def decoded(index: int) -> tuple[np.ndarray, np.ndarray]:
        scene = scenes[index]
        return resize_image(scene.image, height, width), resize_mask(scene.mask, height, width)

    decoded(0), batches(0)  # the decoders are loaded, the loader's thread has begun
    chosen = order[:sample].tolist()
    steps = math.ceil(len(cache) / batch_size)
    return {
        "decode_and_resize": images_a_second(len(chosen), map(decoded, chosen)),
        "take": images_a_second(len(cache), map(cache.take, rows)),
        "batches": images_a_second(steps * batch_size, map(batches, range(steps))),
    }


def memory_of_training(cache_folder: Path, images: int, steps: int, batch_size: int) -> dict[str, Any]:
    """Train in this process, drawing `images` images meanwhile; return its own memory at each step, in MB."""
    cache = SceneCache.open(cache_folder)
    height, width = cache.size
    model = shipped("tiny", "--data", "cache", "--out", "none")["model"]
    training = replace(model.training, steps=steps, batch_size=batch_size, save_every=steps, log_every=steps)
    model = replace(model, height=height, width=width, training=training)
    draw = SceneBatches(cache.take, range(len(cache)), batch_size, SEED)
    draws = math.ceil(images / batch_size / steps)  # batches drawn for each that is trained on
    own: list[float] = []

    def batches(step: int, start: int, stop: int) -> Batch:
        *_, last = (draw(turn, start, stop) for turn in range(step * draws, (step + 1) * draws))
        own.append(rss_anon())
        return last

    with tempfile.TemporaryDirectory() as folder:
        fit(CasdmLearner(model, cache.classes, SEED), batches, training, Path(folder), seed=SEED)
    steady = own[steps // 2 :]
    return {
        "frames": len(cache),
        "images_drawn": steps * draws * batch_size,
        "at_each_step": own,
        "median": statistics.median(steady),
        "range": [min(steady), max(steady)],
    }


def rss_anon() -> float:
    """Return the memory that belongs to this process alone, in MB; pages of mapped files are not counted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6


def compare_memory(caches: Sequence[SceneCache], steps: int, batch_size: int) -> list[dict[str, Any]]:
    images = max(map(len, caches))
    found = []
    for cache in caches:
        print(f"training from a cache of {len(cache)} frames, in a process of its own")
        with fresh_processes(1) as pool:
            run: Future[dict[str, Any]] = pool.submit(
                memory_of_training, cache.folder, images, steps, batch_size
            )
            found.append(run.result())
    return found


def fresh_processes(count: int) -> ProcessPoolExecutor:
    """Return processes that inherit no memory from this one."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=101)
    parser.add_argument("--frames", type=int, default=80, help="frames a video")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=854)
    parser.add_argument("--size", type=int, default=256, help="height and width of the cached scenes")
    parser.add_argument(
        "--sample", type=int, default=200, help="pairs of PNGs that are decoded for the speed"
    )
    parser.add_argument("--batch", type=int, default=16, help="scenes a batch, for the speed")
    parser.add_argument("--steps", type=int, default=20, help="training steps, for the memory")
    parser.add_argument("--training-batch", type=int, default=4, help="scenes a step, for the memory")
    parser.add_argument("--processes", type=int, default=2, help="that write frames")
    parser.add_argument("--folder", type=Path, help="for frames and cache; kept. By default a temporary one")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--results", type=Path, default=RESULTS / "data_path.json")
    options = parser.parse_args()
    began = time.perf_counter()
    config = PhantomConfig(options.videos, options.frames, options.height, options.width, SEED)

    with ExitStack() as stack:
        folder = options.folder or Path(tempfile.mkdtemp(prefix="rarescene-data-path-"))
        if options.folder is None and not options.keep:
            stack.callback(partial(shutil.rmtree, folder, ignore_errors=True))
        count = options.videos * options.frames
        print(f"{count} phantom frames of {options.width}×{options.height} in {folder}")
        write_frames(config, folder / "phantom", options.processes)
        wrote = time.perf_counter() - began
        scenes = open_scenes(f"folder:{folder / 'phantom'}")
        few = scenes.subset(range(max(1, len(scenes) // 10)))
        started = time.perf_counter()
        caches = [build_cache(part, options.size, folder / "cache") for part in (few, scenes)]
        built = time.perf_counter() - started
        speed = speeds(scenes, caches[-1], options.sample, options.batch)
        small, large = compare_memory(caches, options.steps, options.training_batch)

    ratio = speed["batches"] / speed["decode_and_resize"]
    growth = (large["median"] - small["median"]) * 1e6 / (large["frames"] - small["frames"])
    results = {
        "frames": len(scenes),
        "frame_size": [options.height, options.width],
        "cached_size": [options.size, options.size],
        "seed": SEED,
        "seconds": {"writing": wrote, "decoding": built, "all": time.perf_counter() - began},
        "images_a_second": speed,
        "batch": options.batch,
        "ratio": ratio,
        "rss_anon_megabytes": [small, large],
        "growth_bytes_a_frame": growth,
        "bytes_of_a_cached_frame": options.size**2 * 4,
    }
    write_results(options.results, results)
    print(
        f"images a second: {speed['decode_and_resize']:.0f} decoded and resized, {speed['take']:.0f} taken "
        f"from the cache, {speed['batches']:.0f} as batches of tensors"
    )
    for run in (small, large):
        low, high = run["range"]
        print(f"own memory with {run['frames']} frames: {low:.1f} to {high:.1f} MB")
    print(f"from one to the other {growth:.0f} bytes a frame, whose pixels are {options.size**2 * 4}")
    print(f"wanted: a ratio of {WANTED}; written to {options.results}")
    print(f"ratio {ratio:.1f}")
    memory = ", ".join(f"{run['frames']}: {run['median']:.1f} MB" for run in (small, large))
    print(f"RssAnon {memory}")


if __name__ == "__main__":
    main()
