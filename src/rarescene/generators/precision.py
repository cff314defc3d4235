"""A network in the numbers that drawing asks for."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Precisions(Generic[Network]):
    """A network, and its bfloat16 copy once that is asked for: autocast would cast all weights at every step.

    Args:
        network: the weights in float32; make another of these after they were moved or changed.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._bfloat16: Network | None = None

    def take(self, precision: str) -> Network:
        """Return the network for "no", float32, and the copy for "bf16"."""
        if precision == "no":
            return self.network
        if self._bfloat16 is None:
            self._bfloat16 = copy.deepcopy(self.network).bfloat16()
        return self._bfloat16
