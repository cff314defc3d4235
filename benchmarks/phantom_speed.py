"""Phantom scenes a second on one core, drawn in memory.

Run: OMP_NUM_THREADS=1 python benchmarks/phantom_speed.py
Writes benchmarks/results/phantom_speed.json.
"""

from __future__ import annotations

import time

from harness import RESULTS, write_results

from rarescene.scenes import PhantomConfig, phantom_scenes


def scenes_a_second(height: int, width: int, scenes: int) -> tuple[float, float]:
    """Return scenes a second of processor time and of wall time; the making of textures counts."""
    drawn = phantom_scenes(
        PhantomConfig(videos=max(1, scenes // 80), frames=80, height=height, width=width, seed=1)
    )
    drawn[0]  # the first scene loads the modules
    processor, wall = time.process_time(), time.perf_counter()
    for index in range(scenes):
        drawn[index]
    return scenes / (time.process_time() - processor), scenes / (time.perf_counter() - wall)


if __name__ == "__main__":
    found = {}
    for height, width, scenes in ((64, 64, 960), (128, 128, 480), (480, 854, 80)):
        busy, wall = scenes_a_second(height, width, scenes)
        print(
            f"{width}×{height}: {busy:7.1f} scenes a second of processor time ({1000 / busy:6.2f} ms each), "
            f"{wall:7.1f} of wall time"
        )
        found[f"{width}x{height}"] = {"scenes_a_second_of_processor_time": busy, "of_wall_time": wall}
    write_results(RESULTS / "phantom_speed.json", found)
