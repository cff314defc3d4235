"""Whether a label can be trusted: does a segmenter that was trained on real frames alone see it there?

A region whose class it does not see teaches a wrong boundary between classes: a segmenter that learns it
sees blood on every liver. Yet what is asked must not merely be what the segmenter knows already. So a region
is not held to a score of its own, but to real regions of its class: it must be seen half as well as those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rarescene.evaluation.overlap import class_iou
from rarescene.foundation.configs import Count, Settings, Share
from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import ConfigError
from rarescene.scenes import SceneCache

if TYPE_CHECKING:
    from rarescene.evaluation.pair_scores import Judge

BLOCK = 32

MISSED = "missed"
"""What `--classes` says, with a judge, for those rare classes that it misses."""

MISSED_BELOW = 0.5
"""IoU on real scenes that nobody was trained on, below which a segmenter misses a class."""


@dataclass(frozen=True)
class TrustConfig(Settings, section="trust"):
    """What becomes of a region whose class a real-trained segmenter does not see.

    Attributes:
        rule: `drop`: its scene is left out; `ignore`: those of its pixels that are not seen are set to
            unlabelled; `none`: it stays, and its score is written down.
        share: how well a region must be seen, as a share of how well the median real region of its class is.
        tries: how often a region is composed and drawn at most, until it is trusted.
    """

    rule: Literal["drop", "ignore", "none"] = "drop"
    share: Share = 0.5
    tries: Count = 4


@dataclass(frozen=True)
class Seen:
    """What the segmenter sees of a region.

    Attributes:
        value: the mean probability of its class there, in [0, 1].
        enough: whether it is trusted.
        unseen: bool `(H, W)`, its pixels whose probability is lower than what a region must reach.
    """

    value: float
    enough: bool
    unseen: np.ndarray


def missed(iou: Mapping[str, float | None], names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a segmenter misses, of some.

    Args:
        iou: what it scores on real scenes that it was not trained on, by class; None where none shows it. Of
            such a class nothing speaks against it being missed.
        names: the classes in question, as a rule the rare ones.
    """
    return tuple(name for name in names if (score := iou[name]) is None or score < MISSED_BELOW)


def missed_by(judge: Judge, real: SceneCache, among: Sequence[int]) -> tuple[int, ...]:
    """Return the classes that a segmenter misses on real scenes that it was not trained on.

    Args:
        judge: the segmenter.
        real: the scenes.
        among: ids of the classes in question.

    Raises:
        ConfigError: it misses none of them.
    """
    from rarescene.training.ranks import is_main_process

    table = judge.table
    scores = judge.overlaps(real, real.recordings, "looking for what is missed")
    iou = class_iou(scores.values(), table.names)
    names = [table.names[class_id] for class_id in among]
    found = missed(iou, names)
    told = ", ".join(f"{name} {'-' if iou[name] is None else format(iou[name], '.0%')}" for name in names)
    if not found:
        remedy = "Leave --classes out for all rare classes, or name those that you care for."
        raise ConfigError(f"the judge misses none of the rare classes (IoU {told})", remedy)
    if is_main_process():
        say(f"the judge misses {', '.join(found)} (IoU on validation: {told})")
    return tuple(table.ids_of(found))


class Trust:
    """Holds regions to how well real ones are seen.

    Args:
        judge: the segmenter, trained on real frames alone.
        least: by class id, the mean probability that a region must reach.
        config: what becomes of the others.
        made_by: what a set's header says of it.
    """

    def __init__(
        self, judge: Judge, least: Mapping[int, float], config: TrustConfig, made_by: Mapping[str, Any]
    ) -> None:
        self.judge, self.least, self.config, self.made_by = judge, dict(least), config, made_by

    @classmethod
    def of_real(
        cls,
        judge: Judge,
        real: SceneCache,
        trained_on: SceneCache,
        classes: Sequence[int],
        config: TrustConfig,
        told: Mapping[str, Any],
    ) -> Trust:
        """Learn how well real regions are seen.

        Args:
            judge: the segmenter.
            real: scenes that it was not trained on, as a rule those of validation.
            trained_on: its training scenes, which stand in for a class that those do not show.
            classes: ids of the classes.
            config: what becomes of regions that are not seen.
            told: what else a set's header says of it, such as a hash of its weights.

        Raises:
            ConfigError: no real scene shows a class.
        """
        least, counted = {}, {}
        for class_id in classes:
            name = judge.table.names[class_id]
            among = next(
                (one for one in (real, trained_on) if (one.class_pixels[:, class_id] > 0).any()), None
            )
            if among is None:
                remedy = "Leave the class out of --classes, or leave --judge out."
                raise ConfigError(f"no real scene shows {name}, to which its regions are held", remedy)
            values = _real_scores(judge, among, class_id, name)
            least[class_id] = config.share * float(np.median(values))
            counted[name] = {
                "part": "validation" if among is real else "train", "scenes": len(values),
                "least": round(least[class_id], 4),
            }  # fmt: skip
        made_by = {**told, **asdict(config), "real": counted}
        return cls(judge, least, config, made_by)

    def look(self, images: np.ndarray, regions: np.ndarray, class_ids: Sequence[int]) -> list[Seen]:
        """Return what the segmenter sees of a region in each scene.

        Args:
            images: uint8 `(B, H, W, 3)`.
            regions: bool `(B, H, W)`.
            class_ids: one a scene.
        """
        found = self.judge.probabilities(images)
        seen = []
        for probabilities, region, class_id in zip(found, regions, class_ids, strict=True):
            own, least = probabilities[class_id], self.least[class_id]
            value = float(own[region].mean())
            seen.append(Seen(value, self.config.rule == "none" or value >= least, region & (own < least)))
        return seen


def _real_scores(judge: Judge, scenes: SceneCache, class_id: int, name: str) -> np.ndarray:
    """Return the mean probability of a class over its pixels, `(N,)`, in the N scenes that show it."""
    showing = np.flatnonzero(scenes.class_pixels[:, class_id] > 0)
    values = []
    with progress(f"looking at {name}") as advance:
        for start in range(0, len(showing), BLOCK):
            images, masks = scenes.take(showing[start : start + BLOCK])
            for probabilities, mask in zip(judge.probabilities(images), masks, strict=True):
                values.append(probabilities[class_id][mask == class_id].mean())
            advance(min(start + BLOCK, len(showing)), len(showing))
    return np.array(values)
