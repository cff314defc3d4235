"""CASDM's naive baseline: identical copies of the frames that show a rare class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np

from rarescene.augmentation.base import FixedStrategy
from rarescene.augmentation.config import DuplicateConfig
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.seeds import derive_seed


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
