"""A synthetic batch on its way: requests, pairs for them, and which are kept, until each place is taken."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from rarescene.augmentation.background_sampling import BackgroundSampling, Gate
from rarescene.augmentation.gauda_config import GaudaConfig
from rarescene.augmentation.synthetic_batch import SyntheticBatch
from rarescene.evaluation import pair_agreement, pair_iou
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable, Request

Progress = Callable[[int, int], None]

Agree = Callable[[Any], Any]
"""Gives on every rank the value that rank 0 passes; called on all ranks in the same order."""

Ask = Callable[[int, int], Request]
"""Gives, of a class id and a seed, a request that names the class, such as a training label set."""


Predict = Callable[[Tensor], Tensor]
"""Class probabilities `(B, C, H, W)` of images, by a segmenter that checks pairs."""

Fate = Literal["kept", "request", "agreement"]
"""Whether a pair is kept, or what it is dropped for."""


class Generate(Protocol):
    """Generates a pair for each request; pair i depends on request i and seed i alone."""

    def __call__(
        self, requests: Sequence[Request], seeds: Sequence[int], progress: Progress | None = None, /
    ) -> Pairs:
        """Return the pairs; after each denoising step `progress` is called with those done and all."""
        ...


class BatchSynthesis:
    """Makes a synthetic batch in rounds. Place i is for class i of the chosen ones, over and over.

    A round asks for the places that are left, has their pairs sampled, and curates them. A pair that is
    dropped leaves its place to the next round, with another request for the same class. It ends when each
    place is taken, or no more may be sampled.

    Args:
        config: of GAUDA.
        table: the classes.
        ask: gives the request of a place and round.
        generate: generates the pairs, a block of `config.drawing.block` at a time.
        agree: makes each rank follow the first, in what was sampled, when it was whole and what is kept.
        number: of the refresh that asks for it; with place and round it decides every request and seed.
        classes: the chosen classes.

    Attributes:
        requests: of the round under way.
        sampling: the pairs of this round on their way in the background; None while they are curated.
        kept: the pairs that were kept, by place.
        dropped: how many curation dropped, by reason.
        sampled: pairs sampled so far.
        seconds: what sampling them took.
    """

    def __init__(
        self,
        config: GaudaConfig,
        table: ClassTable,
        ask: Ask,
        generate: Generate,
        agree: Agree,
        number: int,
        classes: Sequence[int],
    ) -> None:
        self.config, self.table, self.ask, self.generate, self.agree = config, table, ask, generate, agree
        self.number, self.classes = number, list(classes)
        self.kept: dict[int, SyntheticBatch] = {}
        self.sampled, self.dropped, self.seconds = 0, Counter[str](), 0.0
        self.sampling: BackgroundSampling[SyntheticBatch] | None = None
        self._steps = 0  # training steps since the sampling of this round began
        self._pairs: SyntheticBatch | None = None  # this round's, once they are sampled
        self._fates: list[Fate] = []  # of those that are checked
        self._request(0, range(config.size))

    def _request(self, number: int, places: Sequence[int]) -> None:
        """Ask for what a round is to show in these places."""
        self.round, self.places = number, list(places)
        self.targets = [self.classes[place % len(self.classes)] for place in places]
        self.seeds = [derive_seed(self.config.seed, "pair", self.number, number, place) for place in places]
        self.requests = [self.ask(*one) for one in zip(self.targets, self.seeds, strict=True)]

    @property
    def whole(self) -> bool:
        """Whether nothing is left to sample."""
        return not self.places

    @property
    def batch(self) -> SyntheticBatch | None:
        """The pairs that were kept, in the order of their places; None without any."""
        return SyntheticBatch.joined([self.kept[place] for place in sorted(self.kept)]) if self.kept else None

    def begin(self, predict: Predict | None) -> None:
        """Sample and curate all of it now, or begin to sample in the background."""
        if self.config.drawing.when != "at_refresh":
            self._sample_in_background()
            return
        while not self.whole:
            began = time.perf_counter()
            with torch.inference_mode():
                pairs = self._work()(None)
            self.seconds += time.perf_counter() - began
            self._pairs = self.agree(pairs)
            self._curate(len(self.places), predict)

    def advance(self, ticks: int | None, predict: Predict | None) -> None:
        """Do what is done between two training steps: sample, or check a block of what is sampled.

        Args:
            ticks: denoising steps that are made; None to wait for the whole round, once it is to be taken up.
            predict: the segmenter under training. It does not change while it checks, and the training waits.
        """
        held_to_agreement = self.config.sieving.min_agreement is not None
        if self._pairs is None:
            self._sample_on(ticks)
            if self._pairs is None or held_to_agreement:
                return
        self._curate(self.config.drawing.block if held_to_agreement else len(self.places), predict)
        if self._pairs is None and not self.whole:
            self._sample_in_background()

    def _work(self) -> Callable[[Gate | None], SyntheticBatch]:
        # A thread that does it holds nothing of this object, so that it ends when this is forgotten.
        return partial(_sample, self.generate, self.requests, self.seeds, self.config.drawing.block)

    def _sample_in_background(self, ticks: int = 0) -> None:
        """Begin to sample this round, the first `ticks` denoising steps of it now."""
        self.sampling = BackgroundSampling(self._work())
        if self.config.drawing.when == "beside":
            self.sampling.gate.set_free()
        else:
            self.sampling.gate.open(ticks)

    def _sample_on(self, ticks: int | None) -> None:
        assert self.sampling is not None
        self._steps += 1
        if ticks is not None:
            self.sampling.gate.open(ticks)
            if not self.agree(self.sampling.ended):
                return
        elif self._steps < self.config.drawing.join_after:
            return
        # A rank that is not as far as the first, where a generator tried something again, takes the first's.
        pairs = self.sampling.result() if ticks is None or self.sampling.ended else None
        self.sampling.close()
        self.seconds += sum(self.sampling.gate.seconds)
        self._steps, self.sampling = 0, None
        self._pairs = self.agree(pairs)

    def _curate(self, count: int, predict: Predict | None) -> None:
        """Check so many of the round's pairs; after the last, keep what passed and open the next round."""
        pairs = self._pairs
        assert pairs is not None
        part = range(len(self._fates), len(pairs))[:count]
        self._fates += self.agree(self._check(pairs, part, predict))
        if len(self._fates) < len(pairs):
            return
        self.sampled += len(pairs)
        for index, (place, fate) in enumerate(zip(self.places, self._fates, strict=True)):
            if fate == "kept":
                self.kept[place] = pairs.take([index])
            else:
                self.dropped[fate] += 1
        self._pairs, self._fates = None, []
        most = math.ceil(self.config.sieving.candidates * self.config.size) - self.sampled
        self._request(self.round + 1, [place for place in self.places if place not in self.kept][:most])

    def _check(self, pairs: SyntheticBatch, part: Sequence[int], predict: Predict | None) -> list[Fate]:
        """Return the fate of some of the round's pairs, by their masks and what the segmenter sees in them.

        As a rule the class that a pair was asked for does not count in its agreement: a class that the
        segmenter is uncertain of is the one that it sees worst.
        """
        sieving, table = self.config.sieving, self.table
        left = [i for i in part if self._shows(pairs.masks[i], i)]
        fates: dict[int, Fate] = {i: "kept" if i in left else "request" for i in part}
        if sieving.min_agreement is not None and predict is not None and left:
            checked = pairs.take(left).pairs
            blocks = checked.images.split(self.config.drawing.block)
            with torch.inference_mode():
                found = torch.cat([predict(images).argmax(1).cpu() for images in blocks])  # B,H,W
            iou = pair_iou(found, checked.masks, len(table), table.ignore_index)  # B,C
            target = np.arange(len(table)) == np.array([[self.targets[i]] for i in left])  # B,C
            iou[target if sieving.agreement_of == "others" else ~target] = np.nan
            for i, agreement in zip(left, pair_agreement(iou), strict=True):
                if agreement < sieving.min_agreement:  # NaN, where there is nothing to judge, is kept
                    fates[i] = "agreement"
        return list(fates.values())

    def _shows(self, mask: np.ndarray, i: int) -> bool:
        """Say whether the mask of the round's pair i shows what it has to of its request."""
        match self.config.sieving.request:
            case "no":
                return True
            case "target":
                return bool((mask == self.targets[i]).any())
            case "present":
                return self.requests[i].kept_by(mask, self.table).present == 1
            case "kept":
                return self.requests[i].kept_by(mask, self.table).kept

    def close(self) -> None:
        """End the thread that samples, if there is one."""
        if self.sampling is not None:
            self.sampling.close()

    def state_dict(self) -> dict[str, Any]:
        """Return what was kept, and how far the round under way has come."""
        return {
            "number": self.number, "classes": self.classes, "round": self.round, "places": self.places,
            "kept": {str(place): pair.to_dict() for place, pair in self.kept.items()},
            "sampled": self.sampled, "dropped": dict(self.dropped), "seconds": self.seconds,
            "steps": self._steps, "ticks": 0 if self.sampling is None else self.sampling.gate.used,
            "pairs": None if self._pairs is None else self._pairs.to_dict(), "fates": list(self._fates),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state of the same refresh; the round under way is sampled anew up to where it was."""
        self._request(state["round"], state["places"])
        self.kept = {int(place): SyntheticBatch.from_dict(pair) for place, pair in state["kept"].items()}
        self.sampled, self.dropped = state["sampled"], Counter[str](state["dropped"])
        self.seconds, self._steps = state["seconds"], state["steps"]
        if state["pairs"] is None:
            self._sample_in_background(state["ticks"])
        else:
            self._pairs, self._fates = SyntheticBatch.from_dict(state["pairs"]), list(state["fates"])


def _sample(
    generate: Generate, requests: Sequence[Request], seeds: Sequence[int], block: int, gate: Gate | None
) -> SyntheticBatch:
    """Return a pair for each request, and pass the gate at the end of each block."""
    blocks = []
    for start in range(0, len(requests), block):
        these = slice(start, start + block)
        blocks.append(SyntheticBatch.of(generate(requests[these], seeds[these], gate)))
        if gate is not None:
            gate.mark()
    return SyntheticBatch.joined(blocks)
