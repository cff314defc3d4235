"""How synthetic images compare with real ones: distances and paired measures of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from rarescene.evaluation.config import RealismConfig
from rarescene.foundation.console import progress
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.run_record import read_record
from rarescene.scenes import SceneCache, SceneSet, open_scenes

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.evaluation import RealismScores

MOST = 1024
"""Images that are compared at most: the first pairs of a set, whose order is a random one."""
BATCH = 16


@dataclass(frozen=True)
class Measure:
    """One number about synthetic or reconstructed pictures, such as a Fréchet distance.

    Attributes:
        name: what is measured, with the extractor's name where there is one.
        reference: the same between two halves of the real frames, to read the other against; or None.
        note: what it is computed on, or why it is missing.
    """

    name: str
    value: float | None
    better: Literal["lower", "higher", "neither"]
    reference: float | None = None
    note: str = ""


def realism_measures(scores: RealismScores) -> tuple[Measure, ...]:
    """Return what is known of synthetic images, number by number."""
    counts = f"{scores.synthetic_images:,} synthetic against {scores.real_images:,} real images"
    measures = []
    for one in scores.distances:
        spread = one.kernel_deviation
        apart = "" if spread is None else f", standard deviation over subsets {spread:.2g}"
        measures.append(Measure(one.frechet_name, one.frechet, "lower", note=counts))
        measures.append(Measure(one.kernel_name, one.kernel, "lower", note=counts + apart))
    paired = "against the real frame of the same map"
    for name, score, note in (
        ("MS-SSIM", scores.ms_ssim, f"{paired}; {scores.ms_ssim_settings}"),
        ("PSNR, dB", scores.psnr, paired),
    ):
        if score is not None:
            bounds = score.interval
            shown = "" if bounds is None else f"; 95 % interval {bounds.low:.3g} to {bounds.high:.3g}"
            measures.append(Measure(name, score.mean, "higher", note=note + shown))
    return tuple(measures)


def realism_config(inception: Path | None) -> RealismConfig:
    """Return the usual settings with these Inception weights. Raises `CheckpointError` if there are none."""
    if inception is not None and not inception.is_file():
        remedy = "Give the TorchScript file inception-2015-12-05.pt, or none for FD-EffNetLite0."
        raise CheckpointError("there are no Inception weights", remedy, inception)
    return RealismConfig(inception_weights=inception)


def distances_to_real(
    pairs: SceneCache, test: SceneCache, training: SceneCache | None, config: RealismConfig, most: int = MOST
) -> tuple[Measure, ...]:
    """Return the distances of synthetic images to test frames, beside those of training frames to them.

    All three sets give equally many images, since the distances depend on the number.

    Args:
        test: real frames of recordings that nothing was trained on, at the same size.
        training: real training frames at the same size, or None.
        most: images of each at most.
    """
    from rarescene.evaluation import realism_scores

    sides = {"synthetic": pairs} | ({} if training is None else {"training": training})
    count = min(most, len(test), *map(len, sides.values()))
    found = {}
    for name, side in sides.items():
        with progress(f"realism, {name}") as advance:
            scores = realism_scores(
                _spread(test, count), _spread(side, count), config=config, paired=False,
                progress=_adding(advance, 2 * count),
            )  # fmt: skip
        found[name] = realism_measures(scores)
    others = found.get("training", (None,) * len(found["synthetic"]))
    return tuple(
        replace(
            one, reference=None if other is None else other.value,
            note=f"{count:,} images against {count:,} test frames",
        )
        for one, other in zip(found["synthetic"], others, strict=True)
    )  # fmt: skip


def paired_measures(folder: Path, most: int = MOST) -> tuple[Measure, ...]:
    """Return MS-SSIM and PSNR against the frames whose masks a set was made for, where there are such."""
    scores = set_realism(folder, most)
    found = () if scores is None else realism_measures(scores)
    return tuple(one for one in found if one.better == "higher")


def measures_to_dict(measures: tuple[Measure, ...]) -> dict[str, object]:
    """Return JSON values."""
    return {"measures": [asdict(one) for one in measures]}


def set_realism(folder: Path, most: int = MOST, config: RealismConfig | None = None) -> RealismScores | None:
    """Compare the images of a synthetic set with the frames whose maps they were made for.

    None where fewer than two pairs belong to a frame, as those of prompted maps do not, or where there are
    masks alone.
    """
    from rarescene.evaluation import realism_scores
    from rarescene.scenes import resize_image
    from rarescene.training import to_images

    made = read_record(folder, "scene set")
    if not made.config.get("masks"):
        return None
    pairs, originals = open_scenes(f"set:{folder}"), open_scenes(made.config["masks"])
    if not (pairs.has_images and originals.has_images):
        return None
    places = places_of(originals)
    usable = [index for index, entry in enumerate(pairs.records) if entry.details["mask_of"] in places][:most]
    if len(usable) < 2:
        return None
    # A flipped map has no real image of its own, so there are no pairs then.
    varied = made.config["vary"]

    def images(real: bool) -> Iterator[Tensor]:
        for start in range(0, len(usable), BATCH):
            batch = []
            for scene in (pairs[index] for index in usable[start : start + BATCH]):
                original = originals[places[scene.record.details["mask_of"]]].image if real else None
                batch.append(scene.image if original is None else resize_image(original, *scene.mask.shape))
            yield to_images(np.stack(batch))

    groups = [pairs.records[index].group for index in usable]
    with progress("realism") as advance:
        return realism_scores(
            images(True), images(False), config=config, paired=not varied, groups=groups,
            progress=_adding(advance, 2 * len(usable)),
        )  # fmt: skip


def places_of(scenes: SceneSet) -> dict[str, int]:
    """Return where each scene is, by its name."""
    return {entry.name: index for index, entry in enumerate(scenes.records)}


def _adding(advance: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    """Return a function of how many more are done, for a bar that wants to know how many are."""
    count = 0

    def add(more: int) -> None:
        nonlocal count
        count += more
        advance(count, total)

    return add


def _spread(scenes: SceneCache, count: int) -> Iterator[Tensor]:
    """Yield the images of `count` scenes at even distances, in batches `(B, 3, H, W)` in [-1, 1]."""
    from rarescene.training import to_images

    chosen = np.linspace(0, len(scenes) - 1, count).round().astype(int)
    for start in range(0, count, BATCH):
        yield to_images(scenes.take(chosen[start : start + BATCH].tolist())[0])
