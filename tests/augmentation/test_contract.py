"""What every strategy of ours must keep, alone and together, in anybody's training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rarescene.augmentation import (
    AdaptiveSamplingConfig,
    ClassicConfig,
    DrawingConfig,
    DuplicateConfig,
    GaudaConfig,
    OfflineConfig,
    PasteConfig,
)
from rarescene.augmentation.strategies import Strategies
from rarescene.foundation.methods import StrategyMethod
from rarescene.foundation.plugins import methods
from rarescene.testing import checks


def gauda(drawing: DrawingConfig) -> GaudaConfig:
    return GaudaConfig(probability=0.5, classes=2, size=6, samples=2, drawing=drawing)


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "none": [{}],
    "duplicate": [{"config": DuplicateConfig(count=7, classes="rose,wood")}],
    "offline": [{"config": OfflineConfig(count=9)}, {"config": OfflineConfig(probability=0.25)}],
    "classic": [{"config": ClassicConfig(0.5, 0.0, 0.5, crop=0.5)}],
    "paste": [{"config": PasteConfig(classes="disc", probability=0.5)}],
    "adaptive": [{}, {"config": AdaptiveSamplingConfig(by="uncertainty", samples=2)}],
    "gauda": [
        {"config": gauda(DrawingConfig())},
        {"config": gauda(DrawingConfig("between_steps", ticks=3, block=4))},
        {"config": gauda(DrawingConfig("beside", join_after=2)), "spare": "cpu"},
    ],
}
TOGETHER = {
    "duplicate": DuplicateConfig(count=7, classes="rose,wood"),
    "adaptive": AdaptiveSamplingConfig(),
    "gauda": gauda(DrawingConfig("between_steps", ticks=3, block=4)),
    "classic": ClassicConfig(0.5, 0.0, 0.5, crop=0.5),
    "paste": PasteConfig(classes="disc", probability=0.5),
}
ALL = StrategyMethod(
    name="together",
    summary="several strategies of a run, which act in their order",
    build=lambda config, around: Strategies.named(",".join(TOGETHER), TOGETHER).build(around),
    extends=True,
)


def every_check() -> list[Any]:
    known = methods("strategies")
    alone = [one for name, each in OPTIONS.items() for given in each for one in checks(known[name], **given)]
    return alone + [one for one in checks(ALL) if "is_found" not in one.id]  # it is none of its own


@pytest.mark.parametrize("check", every_check())
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_all_strategies_are_tested() -> None:
    assert set(OPTIONS) == set(methods("strategies"))
