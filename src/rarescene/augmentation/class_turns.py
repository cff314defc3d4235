"""Which classes are asked for: the most uncertain ones, and in time each that uncertainty cannot name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rarescene.foundation.errors import ConfigError


@dataclass(frozen=True)
class Choice:
    """A class that is asked for: for its uncertainty, or since it had waited long enough."""

    class_id: int
    why: Literal["uncertain", "waited"]


class Turns:
    """Chooses k of n classes at each refresh; no class waits for ever.

    A class has the priority û + b. û in [0, 1] is its uncertainty as a share of the largest, 0 where it has
    none. b is w/P for a class that was never chosen or that has no uncertainty, and 0 for others; w counts
    the refreshes that the class has waited since it was last chosen, or since the start, and P is the
    patience. Equal priorities go to those with a bonus, then to those that waited longer.

    A class that keeps its bonus is chosen within P + ⌈n/k⌉ refreshes. Once w ≥ P its priority is 1 or more,
    so only classes with a bonus go before it. A rival that is chosen then starts again at 0; when the class
    has waited w' its rival has waited at most w' − P − 1 and has the priority 1 + (w' − P − 1)/P < w'/P or
    less. So each of the n − 1 rivals goes before it once at most, k at a refresh. Every class thus has its
    first turn within that number of refreshes, and one that is never predicted nor labelled has one as often.

    Args:
        classes: ids of the classes that may be asked for.
        places: k.
        patience: P.
    """

    def __init__(self, classes: Sequence[int], places: int, patience: int) -> None:
        if not classes:
            raise ConfigError("every class is excluded", "Leave at least one class to ask for.")
        self.places, self.patience = min(places, len(classes)), patience
        self.waited = dict.fromkeys(sorted(classes), 0)
        self.chosen: set[int] = set()

    @property
    def bound(self) -> int:
        """Refreshes within which each class has its first turn, and a class without uncertainty its next."""
        return self.patience + math.ceil(len(self.waited) / self.places)

    def choose(self, uncertainties: Sequence[float | None]) -> list[Choice]:
        """Return the classes whose turn it is, the most urgent first, and count this refresh.

        Args:
            uncertainties: of each class of the table; None for a class neither predicted nor labelled.
        """
        known = {c: value for c in self.waited if (value := uncertainties[c]) is not None}
        largest = max(known.values(), default=0.0) or 1.0

        def urgency(c: int) -> tuple[float, bool, int, int]:
            stale = c not in known or c not in self.chosen
            bonus = self.waited[c] / self.patience if stale else 0.0
            return -(known.get(c, 0.0) / largest + bonus), not stale, -self.waited[c], c

        taken = sorted(self.waited, key=urgency)[: self.places]
        uncertain = sorted(known, key=lambda c: (-known[c], c))[: self.places]
        self.waited = {c: 0 if c in taken else waited + 1 for c, waited in self.waited.items()}
        self.chosen.update(taken)
        return [Choice(c, "uncertain" if c in uncertain else "waited") for c in taken]

    def state_dict(self) -> dict[str, Any]:
        """Return how long each class has waited, and which were ever chosen."""
        return {"waited": list(self.waited.items()), "chosen": sorted(self.chosen)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.waited = {int(c): int(waited) for c, waited in state["waited"]}
        self.chosen = set(state["chosen"])
