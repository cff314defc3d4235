"""Offline augmentation: synthetic scenes made before the training join the real ones (CASDM, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from rarescene.augmentation.base import FixedStrategy, without_seed
from rarescene.foundation.configs import CountOrNone, Seed, Settings, Share
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import StrategyMethod, Surroundings
from rarescene.foundation.seeds import derive_seed


@dataclass(frozen=True)
class OfflineConfig(Settings, section="offline"):
    """Synthetic scenes made before the training, as CASDM adds them.

    Attributes:
        count: how many of them join the real scenes; None for all. A larger count contains a smaller one's.
        probability: chance that a sampled scene is synthetic; None for the plain union of the paper, where
            every scene, real or synthetic, is sampled alike.
        seed: decides which are taken.
    """

    count: CountOrNone | None = None
    probability: Share | None = None
    seed: Seed = 0


class Offline(FixedStrategy):
    """The union of real and synthetic scenes.

    Args:
        config: how many, and how often they are sampled.
        synthetic: their indices in the pool in which they follow the real scenes: `range(real, real + made)`,
            or those of them that a curation kept.

    Raises:
        ConfigError: fewer are there than `count`, or none, though some are to be sampled.
    """

    def __init__(self, config: OfflineConfig, synthetic: Sequence[int]) -> None:
        super().__init__(strategy="offline", **asdict(config), synthetic=[int(scene) for scene in synthetic])
        count = len(synthetic) if config.count is None else config.count
        if count > len(synthetic):
            remedy = "Synthesize more scenes, or lower the count."
            raise ConfigError(
                f"{count} synthetic scenes are wanted, but the set has {len(synthetic)}", remedy
            )
        if config.probability and not count:
            remedy = "Leave the probability out, or give a count above 0."
            raise ConfigError(
                f"no scene is synthetic, and a probability of {config.probability} asks for some", remedy
            )
        order = np.random.default_rng(derive_seed(config.seed, "offline")).permutation(len(synthetic))
        self.probability = config.probability
        self.chosen = [int(synthetic[place]) for place in order[:count]]
        self.real: int | None = None

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the real scenes, followed by the chosen synthetic ones."""
        self.real = len(scenes)
        return [*scenes, *self.chosen]

    def weights(self) -> Sequence[float] | None:
        """Return None for the plain union, else weights by which a sample is synthetic with that probability.

        They belong to the list that `extend` last returned; before that, `RuntimeError` is raised.
        """
        if self.probability is None:
            return None
        if self.real is None:
            raise RuntimeError("the weights belong to an extended list: call extend first")
        if not self.real or not self.chosen:
            return None
        real, synthetic = (1 - self.probability) / self.real, self.probability / len(self.chosen)
        return [real] * self.real + [synthetic] * len(self.chosen)


def _build(config: OfflineConfig, around: Surroundings) -> Offline:
    real, synthetic = len(around.scenes.caches[0]), len(around.scenes)
    return Offline(replace(config, seed=around.seed), range(real, synthetic))


OFFLINE = StrategyMethod(
    name="offline",
    summary="synthetic sets that were made before",
    config=OfflineConfig,
    build=_build,
    needs="synthetic",
    extends=True,
    check=without_seed,
    weighs=lambda config: config.probability is not None,
)
