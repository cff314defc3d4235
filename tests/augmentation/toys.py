"""A segmenter, a generator and a loop small enough to be checked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch

from rarescene.foundation.protocols import Batch, Pairs, Strategy
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassRequest, ClassTable, Request, SceneClass

TABLE = ClassTable("toy", tuple(SceneClass(c, f"class {c}", (20 * c, 90, 200)) for c in range(5)))
HEIGHT, WIDTH = 6, 8
STEPS = 7
"""Denoising steps of the toy generator."""


class ToySegmenter:
    """Bayesian: draws from torch's own generator; what it says changes with `stage`."""

    def __init__(self, stage: int = 0) -> None:
        self.stage = stage

    def loss(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return images.mean()

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        # A class for every level of red, so that a pair of the toy generator agrees with its mask.
        classes = ((images[:, 0] + 1) * 2.5).long().clamp(0, 4)  # B,H,W
        return torch.nn.functional.one_hot(classes, 5).permute(0, 3, 1, 2).float()

    def posterior(self, images: torch.Tensor, samples: int) -> torch.Tensor:
        scale = torch.roll(torch.arange(1.0, 6.0), self.stage)[:, None, None]
        noise = torch.randn(samples, len(images), 5, *images.shape[-2:])
        return (noise * scale).softmax(2)


class OneAnswer:
    """A segmenter without a posterior."""

    loss, predict = ToySegmenter.loss, ToySegmenter.predict


def ask(class_id: int, seed: int) -> Request:
    """Return a request for the class, and one time in two for another as well."""
    other = (class_id + 1) % 5
    return Request((ClassRequest(class_id), ClassRequest(other)) if seed % 2 else (ClassRequest(class_id),))


def draw(
    requests: Sequence[Request], seeds: Sequence[int], progress: Callable[[int, int], None] | None = None
) -> Pairs:
    """Fill masks with the first class of each request, one in three with class 4; red tells the class."""
    for done in range(STEPS):
        if progress is not None:
            progress(done + 1, STEPS)
    ids = [4 if seed % 3 == 0 else request.ids[0] for request, seed in zip(requests, seeds, strict=True)]
    masks = torch.tensor(ids)[:, None, None].expand(-1, HEIGHT, WIDTH).contiguous()
    images = torch.stack(
        [
            torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed % 2**60))
            for seed in seeds
        ]
    )
    images[:, 0] = (masks + 0.5) / 2.5 - 1
    return Pairs(images, masks)


def a_batch(step: int, size: int) -> Batch:
    """Return the batch of a step, of which each pixel is of its own."""
    seeds = [derive_seed("toy", step, place) for place in range(size)]
    drawn = torch.Generator().manual_seed(step)
    images = torch.rand(size, 3, HEIGHT, WIDTH, generator=drawn) * 2 - 1
    return Batch(images, torch.randint(0, 5, (size, HEIGHT, WIDTH), generator=drawn), seeds)


VALIDATION = [a_batch(1000, 2), a_batch(1001, 1)]


def train(strategy: Strategy, first: int, last: int, size: int, every: int) -> list[Batch]:
    """Return what the steps `first` to `last` see; the loop validates after each `every` steps."""
    seen = []
    for step in range(first, last):
        seen.append(strategy.mix(a_batch(step, size)))
        if (step + 1) % every == 0:
            strategy.refresh(ToySegmenter(step // every), VALIDATION)
    return seen


def saved(strategy: Strategy) -> dict[str, object]:
    """Return a state as it comes back from a file."""
    return json.loads(json.dumps(strategy.state_dict(), allow_nan=False))


def same(ours: Sequence[Batch], theirs: Sequence[Batch]) -> bool:
    """Whether two trainings saw the same."""
    return len(ours) == len(theirs) and all(
        torch.equal(a.images, b.images) and torch.equal(a.masks, b.masks) and list(a.seeds) == list(b.seeds)
        for a, b in zip(ours, theirs, strict=True)
    )
