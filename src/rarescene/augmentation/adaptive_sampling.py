"""Adaptive sampling (Gopal 2016; GAUDA, section 2.1): a validation says which scenes are sampled more often.

A class needs as much as its validation score lacks, or as the segmenter is uncertain of it. Scenes are
sampled as if first a class were sampled by its need, and then one of the scenes that show it. While all
classes need alike, these are the weights by inverse frequency from which section 2.1 starts. The neediest
class of a scene would not do: as long as one frequent class is not learned, nearly all scenes would weigh the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np

from rarescene.augmentation.base import check_settings
from rarescene.evaluation.uncertainty import Measure
from rarescene.foundation.configs import Range, Samples, Settings
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import StrategyMethod
from rarescene.foundation.protocols import Batch, Segmenter
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable


@dataclass(frozen=True)
class AdaptiveSamplingConfig(Settings, section="adaptive"):
    """Real scenes weighted anew at each validation (GAUDA, section 2.1).

    Attributes:
        by: what a class is sampled for: "score", 1 − IoU, or "uncertainty", as GAUDA measures it.
        floor: the weight of a scene whose classes are all mastered, as a share of the largest weight; above
            0, so that no scene starves, at most 1, which samples all alike.
        samples: posterior samples of each validation scene, for "uncertainty"; two at least.
        measure: what their disagreement is measured by, for "uncertainty".
    """

    by: Literal["score", "uncertainty"] = "score"
    floor: Annotated[float, Range(above=0, most=1)] = 0.1
    samples: Samples = 10
    measure: Measure = "variance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 and self.by == "uncertainty":
            raise ConfigError(f"adaptive.samples is {self.samples}", "Give 2 or more: one cannot disagree.")


class AdaptiveSampling:
    """Weighs the real scenes anew at each validation; `weights` changes with each refresh.

    A class that the validation says nothing of has the mean weight of the others.

    Args:
        config: what leads, and how low a weight may fall.
        presence: bool `(N, C)`; row i says which classes scene i shows. It covers all scenes that are sampled
            from, those that another strategy adds included.
        classes: the class table.
        agree: gives on every rank the value that rank 0 passes.
    """

    def __init__(
        self,
        config: AdaptiveSamplingConfig,
        presence: np.ndarray,
        classes: ClassTable,
        *,
        agree: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        self.config, self.classes, self.agree = config, classes, agree
        self.presence = np.asarray(presence, bool)
        self.needs: list[float] | None = None  # of each class, the largest 1
        self.refreshes = 0
        self.settings = {"strategy": "adaptive", **asdict(config), "table": list(classes.names)}
        self._drawn_from: np.ndarray | None = None

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the scenes as they are, and remember which are sampled from."""
        self._drawn_from = np.asarray(scenes, np.int64)
        return list(scenes)

    def weights(self) -> Sequence[float] | None:
        """Return a weight a scene of the list that `extend` last returned; None before the first refresh."""
        if self.needs is None:
            return None
        if self._drawn_from is None:
            raise RuntimeError("the weights belong to an extended list: call extend first")
        return self._of_scenes().tolist()

    def mix(self, batch: Batch) -> Batch:
        """Return the batch untouched."""
        return batch

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Weigh the classes by a look at the segmenter.

        Args:
            segmenter: a Bayesian one if uncertainty leads.
            validation: its scenes, on its device.

        Returns:
            `by` ("score" or "uncertainty"); `lead`, 1 − IoU or the uncertainty of each class by name, or
            None; `weights`, by name, how much likelier than before any refresh a scene is sampled that shows
            the class.

        Raises:
            ConfigError: there is no validation scene, or uncertainty leads and the segmenter has no
                posterior.
        """
        if self.config.by == "uncertainty":
            from rarescene.augmentation.validation_uncertainty import class_uncertainties

            seed = derive_seed(self.refreshes, "adaptive")
            lead: Sequence[float | None] = class_uncertainties(
                segmenter, validation, self.classes, self.config.samples, self.config.measure, seed
            )
        else:
            lead = self._errors(segmenter, validation)
        lead = list(self.agree(list(lead)))
        self.refreshes += 1
        known = [value for value in lead if value is not None]
        mean = float(np.mean(known)) if known else 1.0
        needs = [mean if value is None else value for value in lead]
        largest = max(needs)
        self.needs = [need / largest if largest > 0 else 1.0 for need in needs]
        return {
            "by": self.config.by,
            "lead": dict(zip(self.classes.names, lead, strict=True)),
            "weights": self._likelier(),
        }

    def _errors(self, segmenter: Segmenter, validation: Sequence[Batch]) -> list[float | None]:
        """Return 1 − IoU of each class over all validation scenes; None for a class they do not show."""
        import torch

        from rarescene.evaluation import BootstrapConfig, OverlapMeter

        meter = OverlapMeter(self.classes.names, self.classes.ignore_index)
        with torch.inference_mode():
            for batch in validation:
                found = segmenter.predict(batch.images).argmax(1)  # B,H,W
                meter.update(found, batch.masks, ["validation"] * len(batch))
        if not meter.recordings:
            raise ConfigError(
                "there is no validation scene to score classes on",
                "Choose a split with validation recordings, and validate during the training.",
            )
        return [
            None if entry.iou is None else 1 - entry.iou
            for entry in meter.result(BootstrapConfig(resamples=1)).classes
        ]

    def _of_scenes(self) -> np.ndarray:
        """Return the weight of each scene that is sampled from, `(N,)`, from `floor` to 1."""
        shown = self.presence if self._drawn_from is None else self.presence[self._drawn_from]
        of_class = np.asarray(self.needs) / np.maximum(
            shown.sum(axis=0), 1
        )  # C: its need, shared by its scenes
        chance = shown @ of_class  # N
        largest = chance.max(initial=0.0)
        share = chance / largest if largest > 0 else np.zeros(len(chance))
        return self.config.floor + (1 - self.config.floor) * share

    def _likelier(self) -> dict[str, float]:
        """Return, by class, the mean weight of the scenes that show it over the mean weight of all."""
        drawn_from = np.arange(len(self.presence)) if self._drawn_from is None else self._drawn_from
        weights, shown = self._of_scenes(), self.presence[drawn_from]
        return {
            name: float(weights[shown[:, c]].mean() / weights.mean())
            for c, name in enumerate(self.classes.names)
            if shown[:, c].any()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the classes."""
        return {"settings": self.settings, "needs": self.needs, "refreshes": self.refreshes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state; raise `CheckpointError` if it is of other settings."""
        check_settings(state.get("settings", {}), self.settings)
        self.needs, self.refreshes = state["needs"], state["refreshes"]

    def close(self) -> None:
        """Do nothing: nothing goes on in the background."""


ADAPTIVE = StrategyMethod(
    name="adaptive",
    summary="real scenes of the classes that need it, more often",
    config=AdaptiveSamplingConfig,
    build=lambda config, around: AdaptiveSampling(
        config, around.scenes.presence, around.table, agree=around.agree
    ),
    online=True,
    weighs=lambda config: True,
    uncertain=lambda config: config.by == "uncertainty",
)
