"""Does PHiSeg learn a distribution of masks, and not just one mask?

Phantom scenes whose annotators disagree: each time that a scene is shown in training, the liver's contour is drawn
wide (dilated) with probability 0.7, or tight (eroded) with 0.3, whatever the image shows. On held-out recordings,
both contours should turn up among PHiSeg's posterior samples about as often, and the generalised energy distance
to the annotators (0 is best) should be below that of a deterministic U-Net trained on the same scenes for as many
steps. Beside both stands the distance of one perfect contour, always the wide one.

An annotator decides on a contour as a whole. So the coarsest latent is one place for the whole scene, and γ is 1,
which is the evidence lower bound itself: with γ = 4, a nat of that latent would cost 1024 times one of the finest,
and the decision would be left to fine latents, each for its own piece of the contour.

Run: python benchmarks/ambiguity.py [--seeds 2] [--steps 1000] [--threads 1]
About a quarter of an hour on one core. Writes benchmarks/results/ambiguity.json.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from harness import RESULTS, write_results
from rich.progress import Progress
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor

from rarescene.evaluation import generalised_energy_distance
from rarescene.foundation.protocols import BayesianSegmenter
from rarescene.scenes.data import decode, open_data
from rarescene.segmenters import PHiSegConfig, SegmentationNetwork, UNetConfig, build_segmenter
from rarescene.training import TrainingConfig, learning_rate, to_images

DATA = "phantom:videos=20,frames=20,size=64,seed=1"
SIZE = 64
ORGAN = "liver"
SMALLEST = 0.06  # share of the image that the organ must cover, or there is no contour to disagree about
BY = 3  # pixels between the annotators' contours and the true one
WIDE = 0.7
SAMPLES = 64
TRAINING = TrainingConfig(steps=1000, batch_size=8, learning_rate=3e-3, warmup_steps=40, decay="cosine")
PHISEG = PHiSegConfig(widths=(16, 32, 48, 64, 64, 64, 64), latent_levels=6, convolutions=2, kl_growth=1.0)
UNET = UNetConfig(widths=(16, 32, 48, 64, 64, 64), dice=0.0)


class Scenes(NamedTuple):
    """Images `(N, 3, H, W)` and both annotators' masks of the organ, int64 `(N, H, W)`."""

    images: Tensor
    wide: Tensor
    tight: Tensor


def two_contours() -> tuple[Scenes, Scenes]:
    """Return the training and the test scenes that show the organ."""
    source = open_data(DATA, "recording", 0, (0.6, 0.0, 0.4))
    cache = decode(source.scenes, SIZE, SIZE)
    organ = cache.classes.id_of(ORGAN)
    parts = []
    for indices in (source.split.train, source.split.test):
        pixels, masks = cache.take([i for i in indices if cache.class_pixels[i][organ] >= SMALLEST * SIZE**2])
        contours = [
            torch.from_numpy(np.stack([change(mask == organ, iterations=BY) for mask in masks])).long()
            for change in (binary_dilation, binary_erosion)
        ]
        parts.append(Scenes(to_images(pixels), *contours))
    return parts[0], parts[1]


def learn(
    network: SegmentationNetwork, scenes: Scenes, training: TrainingConfig, seed: int
) -> dict[str, float]:
    """Train on scenes whose annotator is drawn anew each time; return the last terms of the loss."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.learning_rate, weight_decay=0.01)
    torch.manual_seed(seed)
    terms: dict[str, Tensor] = {}
    with Progress() as progress:
        for step in progress.track(range(training.steps), description=type(network).__name__):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(training, step)
            drawn = torch.randint(len(scenes.images), (training.batch_size,))
            wide = torch.rand(training.batch_size, 1, 1) < WIDE
            terms = network(scenes.images[drawn], torch.where(wide, scenes.wide[drawn], scenes.tight[drawn]))
            optimiser.zero_grad()
            terms["loss"].backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.gradient_clip)
            optimiser.step()
    return {name: value.item() for name, value in terms.items()}


def iou(masks: Tensor, contour: Tensor) -> Tensor:
    """Return the IoU of masks `(M, N, H, W)` with a contour `(N, H, W)`, `(M, N)`."""
    both, either = masks & contour.bool(), masks | contour.bool()
    return both.sum(dim=(2, 3)) / either.sum(dim=(2, 3)).clamp(min=1)


def judge(masks: Tensor, scenes: Scenes) -> dict[str, float]:
    """Compare drawn masks `(M, N, H, W)` with what the annotators draw."""
    annotators = torch.stack([scenes.wide] * round(10 * WIDE) + [scenes.tight] * round(10 * (1 - WIDE)))
    distance = generalised_energy_distance(masks, annotators, classes=2, counted=[1])
    wide, tight = iou(masks.bool(), scenes.wide), iou(masks.bool(), scenes.tight)
    # Clearly one of the two: nearer to it by more than a third of what lies between them.
    between = 1 - iou(scenes.wide.bool()[None], scenes.tight)
    clear = (wide - tight).abs() > between / 3
    return {
        "energy_distance": float(distance.mean()),
        "share_wide": float(((wide > tight) & clear).float().mean()),
        "share_tight": float(((tight > wide) & clear).float().mean()),
        "share_neither": float((~clear).float().mean()),
        "iou_with_the_nearer": float(torch.maximum(wide, tight).mean()),
    }


def measure(seed: int, train: Scenes, test: Scenes, training: TrainingConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": seed}
    for name, config in (("unet", UNET), ("phiseg", PHISEG)):
        torch.manual_seed(seed)
        network = build_segmenter(config, classes=2)
        began = time.process_time()
        terms = learn(network, train, training, seed)
        seconds = time.process_time() - began
        probabilities = (
            network.posterior(test.images, SAMPLES)
            if isinstance(network, BayesianSegmenter)
            else network.predict(test.images)[None]
        )
        found[name] = judge(probabilities.argmax(dim=2), test) | {"terms": terms, "cpu_seconds": seconds}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=TRAINING.steps)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = TrainingConfig(**asdict(TRAINING) | {"steps": options.steps})
    train, test = two_contours()
    perfect = judge(test.wide[None], test)
    runs = [measure(seed, train, test, training) for seed in range(options.seeds)]
    write_results(
        RESULTS / "ambiguity.json",
        {
            "data": {"spec": DATA, "organ": ORGAN, "pixels": BY, "share_wide": WIDE},
            "scenes": {"train": len(train.images), "test": len(test.images)},
            "samples": SAMPLES,
            "training": asdict(training),
            "models": {"unet": asdict(UNET), "phiseg": asdict(PHISEG)},
            "threads": options.threads,
            "always_the_wide_contour": perfect,
            "runs": runs,
        },
    )
    print(f"always the wide contour, perfectly: energy distance {perfect['energy_distance']:.3f}")
    for run in runs:
        for name in ("unet", "phiseg"):
            one = run[name]
            print(
                f"seed {run['seed']}, {name}: energy distance {one['energy_distance']:.3f}; wide "
                f"{one['share_wide']:.0%} (wanted {WIDE:.0%}), tight {one['share_tight']:.0%}, neither "
                f"{one['share_neither']:.0%}; {one['cpu_seconds']:.0f} s"
            )


if __name__ == "__main__":
    main()
