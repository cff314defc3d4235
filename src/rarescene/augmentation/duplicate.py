"""CASDM's naive baseline: identical copies of the frames that show a rare class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from rarescene.augmentation.base import FixedStrategy, without_seed
from rarescene.foundation.configs import CountOrNone, Seed, Settings
from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import StrategyMethod, Surroundings
from rarescene.foundation.seeds import derive_seed


@dataclass(frozen=True)
class DuplicateConfig(Settings, section="duplicate"):
    """The naive baseline of CASDM: identical copies of the frames that show a rare class.

    Attributes:
        count: how many copies join the real scenes; None for as many as there are real scenes, which doubles
            the set as the paper does (6868 and 6868).
        classes: comma-separated rare classes; by default those that the statistics of the training recordings
            call rare.
        seed: decides which frames are copied once more where `count` is no multiple of theirs.
    """

    count: CountOrNone | None = None
    classes: str = ""
    seed: Seed = 0


class Duplicate(FixedStrategy):
    """Copies the frames that show a target class, each equally often (give or take one).

    Args:
        config: how many copies.
        presence: bool `(N, C)`; row i says which classes scene i shows.
        targets: ids of the rare classes.
    """

    def __init__(self, config: DuplicateConfig, presence: np.ndarray, targets: Collection[int]) -> None:
        classes = sorted({int(target) for target in targets})
        super().__init__(strategy="duplicate", **asdict(config), targets=classes)
        self.config = config
        self.shows_target = np.any(np.asarray(presence, bool)[:, classes], axis=1).tolist()  # N

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the real scenes, followed by the copies.

        Raises:
            ConfigError: copies are wanted, but no training scene shows a target class.
        """
        count = len(scenes) if self.config.count is None else self.config.count
        candidates = [scene for scene in scenes if self.shows_target[scene]]
        if count and not candidates:
            remedy = "Name classes that the training recordings show; the statistics list them."
            raise ConfigError(
                f"no training scene shows any of the classes {self.settings['targets']}", remedy
            )
        if not count:
            return list(scenes)
        order = np.random.default_rng(derive_seed(self.config.seed, "duplicate")).permutation(len(candidates))
        copies = [candidates[place] for place in np.resize(order, count)]
        return [*scenes, *copies]


def _build(config: DuplicateConfig, around: Surroundings) -> Duplicate:
    """Copy what is named, or else what is rare in the training recordings alone.

    Raises:
        ConfigError: a class is not known, or none is named and none is rare.
    """
    from rarescene.scenes.statistics import rare_ids

    real, table = around.scenes.caches[0], around.table
    targets = table.ids_in(config.classes)
    if not targets and config.count != 0:
        targets = rare_ids(real.subset(around.train), "--duplicate.classes")
        say_once(f"duplicated are scenes of {', '.join(table.names[target] for target in targets)}")
    return Duplicate(replace(config, seed=around.seed), real.class_pixels > 0, targets)


DUPLICATE = StrategyMethod(
    name="duplicate",
    summary="copies of the training scenes that show a rare class",
    config=DuplicateConfig,
    build=_build,
    extends=True,
    check=without_seed,
)
