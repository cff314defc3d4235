"""Small scene sets for the tests of the exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rarescene.scenes import ClassTable, Export, ExportSource, Scene, SceneClass, SceneRecord, SceneSet, Split

TABLE = ClassTable(
    "test",
    tuple(
        SceneClass(index, name, (40 * index, 0, 255))
        for index, name in enumerate(("background", "liver", "grasper", "vein"))
    ),
)
REQUEST = {"classes": [{"class_id": 2, "count": 1, "place": "centre", "share": None}]}


def drawn(index: int, height: int = 12, width: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and a mask with every class and ignored pixels, both noise."""
    rng = np.random.default_rng(index)
    mask = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), (height, width))
    return rng.integers(0, 256, (height, width, 3), np.uint8), mask


def scene_set(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    name: str = "hospital",
    table: ClassTable = TABLE,
    licence: str = "CC BY-NC-SA 4.0",
    details: Mapping[str, object] | None = None,
) -> SceneSet:
    """Return a set of these images and masks; a scene's recording is what stands before the slash."""
    records = tuple(
        SceneRecord(key, key.partition("/")[0], order, details=dict(details or {}))
        for order, key in enumerate(pairs)
    )
    return SceneSet(name, table, records, lambda record: Scene(*pairs[record.name], record), licence)


def synthetic_set(count: int = 2, *, name: str = "pairs", size: tuple[int, int] = (12, 17)) -> SceneSet:
    """Return a set as `rarescene synthesize` writes it."""
    pairs = {f"video01/images/{index:06d}": drawn(100 + index, *size) for index in range(count)}
    details = {"synthetic": True, "generator": "casdm", "request": REQUEST, "seed": 7, "index": 0}
    return scene_set(pairs, name=name, licence="CC BY-NC-SA 4.0", details=details)


def data(names: Sequence[str], parts: tuple[int, int, int], *, phantom: bool = False) -> ExportSource:
    """Return scenes of these names, the first of which train, the next validate, the others test."""
    scenes = scene_set({name: drawn(index) for index, name in enumerate(names)})
    first, second = parts[0], parts[0] + parts[1]
    everything = tuple(range(len(names)))
    split = Split(everything[:first], everything[first:second], everything[second:], "test")
    return ExportSource.of_data(scenes, split, phantom=phantom)


def mixed() -> Export:
    """Return five frames, of which three train, and two synthetic scenes of another size."""
    frames = data([f"video0{video}/frame {video}" for video in range(1, 6)], (3, 1, 1))
    pairs = ExportSource.of_pairs(synthetic_set(size=(8, 9)), phantom=True, seen=["video01", "video02"])
    return Export.of("Test", [frames, pairs])
