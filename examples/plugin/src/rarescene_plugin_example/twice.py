"""A strategy: every real scene several times, which changes nothing but the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rarescene.augmentation.base import FixedStrategy
from rarescene.foundation.methods import StrategyMethod


@dataclass(frozen=True)
class TwiceConfig:
    """Its option is `times`, how often each scene stands in the list."""

    times: int = 2


class Twice(FixedStrategy):
    """Says what it was built from, so that a run is resumed with the same alone."""

    def __init__(self, config: TwiceConfig) -> None:
        super().__init__(strategy="twice", times=config.times)

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        return list(scenes) * self.settings["times"]


TWICE = StrategyMethod(
    name="twice", summary="every real scene several times", config=TwiceConfig, extends=True,
    build=lambda config, around: Twice(config),
)  # fmt: skip
