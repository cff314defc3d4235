"""Which classes are asked for: the most uncertain ones, and in time every other."""

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


class ClassSelection:
    """Chooses k of n classes at each refresh; no class waits for ever.

    A class has the priority û + w/P. û in [0, 1] is its uncertainty as a share of the largest, 0 where it has
    none; w counts the refreshes that it has waited since it was last chosen, or since the start; P is the
    patience. Equal priorities go to those that waited longer. Waiting counts for every class, since one that
    all members miss alike is labelled, and yet they are certain: its uncertainty is next to nothing.

    Every class is chosen within P + ⌈n/k⌉ refreshes, again and again. Let a class have waited w ≥ P. A rival
    goes before it only if 1 + w'/P > w/P, so if the rival has waited w' > w − P, and thus was last chosen
    before the class had waited P. So from then on each of the n − 1 rivals goes before it once at most, k at
    a refresh.

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

    @property
    def bound(self) -> int:
        """Refreshes within which each class has its next turn."""
        return self.patience + math.ceil(len(self.waited) / self.places)

    def choose(self, uncertainties: Sequence[float | None]) -> list[Choice]:
        """Return the classes whose turn it is, the most urgent first, and count this refresh.

        Args:
            uncertainties: of each class of the table; None for a class neither predicted nor labelled.
        """
        known = {c: value for c in self.waited if (value := uncertainties[c]) is not None}
        largest = max(known.values(), default=0.0) or 1.0

        def urgency(c: int) -> tuple[float, int, int]:
            return -(known.get(c, 0.0) / largest + self.waited[c] / self.patience), -self.waited[c], c

        taken = sorted(self.waited, key=urgency)[: self.places]
        uncertain = sorted(known, key=lambda c: (-known[c], c))[: self.places]
        self.waited = {c: 0 if c in taken else waited + 1 for c, waited in self.waited.items()}
        return [Choice(c, "uncertain" if c in uncertain else "waited") for c in taken]

    def state_dict(self) -> dict[str, Any]:
        """Return how long each class has waited."""
        return {"waited": list(self.waited.items())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.waited = {int(c): int(waited) for c, waited in state["waited"]}
