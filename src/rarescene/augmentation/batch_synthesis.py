"""A synthetic batch on its way: drawn in rounds, until each place is taken or no more may be drawn."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch

from rarescene.augmentation.background_sampling import Drawing, Gate
from rarescene.augmentation.gauda_config import GaudaConfig
from rarescene.augmentation.online_curation import Fate, Predict, sieve
from rarescene.augmentation.synthetic_batch import Stock
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable, Request

Progress = Callable[[int, int], None]

Agree = Callable[[Any], Any]
"""Gives on every rank the value that rank 0 passes; called on all ranks in the same order."""

Ask = Callable[[int, int], Request]
"""Gives, of a class id and a seed, a request that names the class, such as a training label set."""


class Draw(Protocol):
    """Gives a pair for each request; pair i depends on request i and seed i alone."""

    def __call__(
        self, requests: Sequence[Request], seeds: Sequence[int], progress: Progress | None = None, /
    ) -> Pairs:
        """Draw, and call `progress` with the denoising steps done and in all after each of them."""
        ...


class Filling:
    """The next synthetic batch. Place i is for class i of the chosen ones, over and over.

    A pair that the sieve drops leaves its place to the next round, with another request for the same class.

    Args:
        config: of GAUDA.
        table: the classes.
        ask: gives the request of a place and round.
        draw: gives the pairs.
        number: of the refresh that asks for it; with place and round it decides every request and seed.
        classes: the chosen classes.
        agree: makes each rank follow the first, in what was drawn, when it was whole and what is kept of it.

    Attributes:
        drawn: pairs drawn so far.
        dropped: how many the sieve dropped, by reason.
        seconds: what drawing them took.
    """

    def __init__(
        self,
        config: GaudaConfig,
        table: ClassTable,
        ask: Ask,
        draw: Draw,
        number: int,
        classes: Sequence[int],
        agree: Agree,
    ) -> None:
        self.config, self.table, self.ask, self.draw, self.agree = config, table, ask, draw, agree
        self.number, self.classes = number, tuple(classes)
        self.taken: dict[int, Stock] = {}
        self.drawn, self.dropped, self.seconds = 0, Counter[str](), 0.0
        self._steps = 0
        self._drawing: Drawing[Stock] | None = None
        self._made: Stock | None = None  # a round that is drawn, and not yet judged to its end
        self._fates: list[Fate] = []
        self._open_round(0, range(config.size))

    def _open_round(self, number: int, places: Sequence[int]) -> None:
        """Ask for what is to be drawn for these places."""
        self.round, self.places = number, list(places)
        self.targets = [self.classes[place % len(self.classes)] for place in places]
        self.seeds = [derive_seed(self.config.seed, "pair", self.number, number, place) for place in places]
        self.requests = [
            self.ask(target, seed) for target, seed in zip(self.targets, self.seeds, strict=True)
        ]

    @property
    def full(self) -> bool:
        """Whether nothing is left to draw."""
        return not self.places

    @property
    def drawing(self) -> bool:
        """Whether a round is being drawn; it is not while one is judged."""
        return self._drawing is not None

    @property
    def stock(self) -> Stock | None:
        """The pairs that were kept, in the order of their places."""
        return Stock.joined([self.taken[place] for place in sorted(self.taken)]) if self.taken else None

    def fill(self, predict: Predict | None) -> None:
        """Draw all of it now."""
        while not self.full:
            began = time.perf_counter()
            with torch.inference_mode():
                made = _draw_blocks(self.draw, self.requests, self.seeds, self.config.drawing.block, None)
            self.seconds += time.perf_counter() - began
            self._made = self.agree(made)
            self._judge(len(self.places), predict)

    def begin(self, ticks: int = 0) -> None:
        """Draw this round in the background, the first `ticks` denoising steps of it now."""
        # The thread holds nothing of this object, so that it ends when this is forgotten.
        work = partial(_draw_blocks, self.draw, self.requests, self.seeds, self.config.drawing.block)
        self._drawing = Drawing(work)
        if self.config.drawing.when == "beside":
            self._drawing.gate.set_free()
        else:
            self._drawing.gate.open(ticks)

    def first_block(self) -> list[float]:
        """Draw the first block now, and return the seconds of its denoising steps."""
        assert self._drawing is not None
        self._drawing.gate.open_for_a_block()
        if self._drawing.ended:  # it rests at the end of a block, unless it failed
            self._drawing.result()
        return list(self._drawing.gate.seconds)

    def go_on(self, ticks: int | None, predict: Predict | None) -> None:
        """Do what is done between two training steps: draw, or judge a block of what is drawn.

        Args:
            ticks: denoising steps that are made; None to wait for the whole round, once it is to be taken up.
            predict: the segmenter under training. It does not change while it judges, and the training waits.
        """
        if self._made is None:
            self._draw_on(ticks)
            if self._made is None or self.config.sieving.min_agreement is not None:
                return
            self._judge(len(self.places), predict)
        else:
            self._judge(self.config.drawing.block, predict)
        if self._made is None and not self.full:
            self.begin()

    def _draw_on(self, ticks: int | None) -> None:
        assert self._drawing is not None
        self._steps += 1
        if ticks is not None:
            self._drawing.gate.open(ticks)
            if not self.agree(self._drawing.ended):
                return
        elif self._steps < self.config.drawing.join_after:
            return
        # A rank that is not as far as the first, where a generator drew something again, takes the first's.
        made = self._drawing.result() if ticks is None or self._drawing.ended else None
        self._drawing.close()
        self.seconds += sum(self._drawing.gate.seconds)
        self._steps, self._drawing = 0, None
        self._made = self.agree(made)

    def close(self) -> None:
        """End the thread that draws, if there is one."""
        if self._drawing is not None:
            self._drawing.close()

    def _judge(self, count: int, predict: Predict | None) -> None:
        """Judge so many of the round's pairs; after the last, open the next round for the places left."""
        made = self._made
        assert made is not None
        part = slice(len(self._fates), len(self._fates) + count)
        fates = sieve(
            made.take(range(len(made))[part]), self.requests[part], self.targets[part], predict, self.table,
            self.config.sieving, self.config.drawing.block,
        )  # fmt: skip
        self._fates += self.agree(fates)
        if len(self._fates) < len(made):
            return
        self.drawn += len(made)
        self.dropped.update(fate for fate in self._fates if fate != "kept")
        self.taken |= {
            place: made.take([index])
            for index, (place, fate) in enumerate(zip(self.places, self._fates, strict=True))
            if fate == "kept"
        }
        self._made, self._fates = None, []
        most = math.ceil(self.config.sieving.candidates * self.config.size) - self.drawn
        self._open_round(self.round + 1, [place for place in self.places if place not in self.taken][:most])

    def state_dict(self) -> dict[str, Any]:
        """Return what was kept, and how far the round under way has come."""
        return {
            "number": self.number, "classes": list(self.classes), "round": self.round, "places": self.places,
            "taken": {str(place): stock.to_dict() for place, stock in self.taken.items()},
            "drawn": self.drawn, "dropped": dict(self.dropped), "seconds": self.seconds,
            "steps": self._steps, "ticks": self._drawing.gate.used if self._drawing is not None else 0,
            "made": None if self._made is None else self._made.to_dict(), "fates": list(self._fates),
        }  # fmt: skip

    @classmethod
    def resumed(
        cls,
        config: GaudaConfig,
        table: ClassTable,
        ask: Ask,
        draw: Draw,
        agree: Agree,
        state: Mapping[str, Any],
    ) -> Filling:
        """Return the filling of `state_dict`; the round under way is drawn anew up to where it was."""
        filling = cls(config, table, ask, draw, state["number"], state["classes"], agree)
        filling._open_round(state["round"], state["places"])
        filling.taken = {int(place): Stock.from_dict(stock) for place, stock in state["taken"].items()}
        filling.drawn, filling.dropped = state["drawn"], Counter[str](state["dropped"])
        filling.seconds, filling._steps = state["seconds"], state["steps"]
        if state["made"] is None:
            filling.begin(state["ticks"])
        else:
            filling._made, filling._fates = Stock.from_dict(state["made"]), list(state["fates"])
        return filling


def _draw_blocks(
    draw: Draw, requests: Sequence[Request], seeds: Sequence[int], block: int, gate: Gate | None
) -> Stock:
    stocks = []
    for start in range(0, len(requests), block):
        these = slice(start, start + block)
        stocks.append(Stock.of(draw(requests[these], seeds[these], gate)))
        if gate is not None:
            gate.mark()
    return Stock.joined(stocks)
