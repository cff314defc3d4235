"""Weights of scenes that follow a validation, against weights worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rarescene.augmentation import AdaptiveSampling, AdaptiveSamplingConfig, Composed, Offline, OfflineConfig
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch

from .toys import TABLE, VALIDATION, OneAnswer, ToySegmenter, saved

# Scene 0 shows class 0, scene 1 classes 0 and 1, scene 2 class 2, scene 3 nothing, scene 4 class 4.
PRESENCE = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0] * 5, [0, 0, 0, 0, 1]], bool)


class Answers:
    """Predicts what it is told."""

    def __init__(self, masks: torch.Tensor) -> None:
        self.masks = masks

    def loss(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return images.mean()

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(self.masks, 5).permute(0, 3, 1, 2).float()


REFERENCE = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [255, 255, 255, 255]]])
PREDICTED = torch.tensor([[[0, 0, 0, 0], [1, 1, 0, 0], [3, 3, 3, 3], [4, 4, 4, 4]]])
# IoU: class 0 4/6, class 1 2/4, class 2 0/4; classes 3 and 4 are not in the reference.
ERRORS = [1 - 4 / 6, 0.5, 1.0, None, None]
SCENES = [Batch(torch.zeros(1, 3, 4, 4), REFERENCE, [0])]


def adaptive(**options: Any) -> AdaptiveSampling:
    return AdaptiveSampling(AdaptiveSamplingConfig(**options), PRESENCE, TABLE)


def test_before_a_validation_all_are_drawn_alike() -> None:
    strategy = adaptive()
    assert strategy.extend([3, 1]) == [3, 1]
    assert strategy.weights() is None


def shares(*needs: float) -> list[float]:
    """Return the weights of the five scenes: a class is drawn by its need, then a scene that shows it."""
    chance = [needs[0] / 2, needs[0] / 2 + needs[1], needs[2], 0.0, needs[4]]  # two scenes show class 0
    return [0.1 + 0.9 * one / max(chance) for one in chance]


def test_a_class_is_drawn_by_its_need_and_then_a_scene_that_shows_it() -> None:
    strategy = adaptive(floor=0.1)
    strategy.extend([0, 1, 2, 3, 4])
    decided = strategy.refresh(Answers(PREDICTED), SCENES)
    mean = (1 / 3 + 1 / 2 + 1) / 3  # of class 4, of which the validation says nothing
    expected = shares(1 / 3, 1 / 2, 1.0, mean, mean)
    assert strategy.weights() == pytest.approx(expected)
    assert decided["lead"] == pytest.approx(dict(zip(TABLE.names, ERRORS, strict=True)))
    overall = sum(expected) / 5
    likelier = {
        "class 0": (expected[0] + expected[1]) / 2 / overall, "class 1": expected[1] / overall,
        "class 2": expected[2] / overall, "class 4": expected[4] / overall,
    }  # fmt: skip
    assert decided["weights"] == pytest.approx(likelier)  # no scene shows class 3


def test_weights_belong_to_the_list_that_is_drawn_from() -> None:
    strategy = adaptive()
    strategy.refresh(Answers(PREDICTED), SCENES)
    with pytest.raises(RuntimeError, match="extend first"):
        strategy.weights()
    strategy.extend([2, 0, 2])
    weights = strategy.weights()
    assert weights is not None
    assert weights[0] == weights[2] == 1.0 > weights[1]


def test_weights_change_with_every_refresh() -> None:
    strategy = adaptive()
    strategy.extend(range(5))
    strategy.refresh(Answers(PREDICTED), SCENES)
    first = strategy.weights()
    strategy.refresh(Answers(torch.where(REFERENCE == 255, 0, REFERENCE)), SCENES)
    weights = strategy.weights()
    assert weights == pytest.approx(shares(1, 1, 1, 1, 1))  # all are mastered: classes need alike
    assert weights != first


def test_a_frequent_class_that_is_not_learned_hides_no_rare_one() -> None:
    presence = np.zeros((100, 5), bool)
    presence[:, 0] = True
    presence[:5, 1] = True
    strategy = AdaptiveSampling(AdaptiveSamplingConfig(floor=0.1), presence, TABLE)
    strategy.extend(range(100))
    strategy.refresh(Answers(torch.full_like(REFERENCE, 4)), SCENES)  # nothing is found
    weights = strategy.weights()
    assert weights is not None
    assert weights[0] == 1.0
    assert weights[99] == pytest.approx(0.1 + 0.9 * (1 / 100) / (1 / 100 + 1 / 5))


def test_uncertainty_leads_where_it_is_asked_to() -> None:
    strategy = adaptive(by="uncertainty", samples=4)
    strategy.extend(range(5))
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    lead = decided["lead"]
    assert decided["by"] == "uncertainty"
    weights = strategy.weights()
    assert weights is not None
    assert weights == pytest.approx(shares(*lead.values()))
    with pytest.raises(ConfigError, match="gives one answer"):
        strategy.refresh(OneAnswer(), VALIDATION)


@given(st.integers(0, 1000), st.floats(0.01, 1.0))
def test_no_scene_starves(seed: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    strategy = AdaptiveSampling(AdaptiveSamplingConfig(floor=floor), rng.random((20, 5)) < 0.3, TABLE)
    strategy.extend(range(20))
    masks = torch.from_numpy(rng.integers(0, 5, (2, 1, 6, 6)))
    strategy.refresh(Answers(masks[0]), [Batch(torch.zeros(1, 3, 6, 6), masks[1], [0])])
    weights = strategy.weights()
    assert weights is not None
    assert min(weights) >= floor * max(weights) * (1 - 1e-9)


def test_a_resumed_one_weighs_alike() -> None:
    strategy, resumed = adaptive(by="uncertainty", samples=2), adaptive(by="uncertainty", samples=2)
    for one in (strategy, resumed):
        one.extend([1, 2, 4])
    strategy.refresh(ToySegmenter(0), VALIDATION)
    resumed.load_state_dict(saved(strategy))
    assert resumed.weights() == strategy.weights()
    for one in (strategy, resumed):
        one.refresh(ToySegmenter(1), VALIDATION)
    assert resumed.weights() == strategy.weights()
    with pytest.raises(CheckpointError, match="was started with"):
        adaptive(by="score").load_state_dict(saved(strategy))


def test_a_validation_is_needed() -> None:
    with pytest.raises(ConfigError, match="no validation scene"):
        adaptive().refresh(Answers(PREDICTED), [])


@pytest.mark.parametrize("options", [{"floor": 0.0}, {"floor": 1.5}, {"samples": 0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=" is "):
        AdaptiveSamplingConfig(**options)


def test_composed_takes_the_weights_of_the_one_that_weighs() -> None:
    strategy = adaptive()
    composed = Composed({"offline": Offline(OfflineConfig(), [3, 4]), "adaptive": strategy})
    assert composed.weights() is None
    assert list(composed.extend([0, 2]))[:2] == [0, 2]
    composed.refresh(Answers(PREDICTED), SCENES)
    assert composed.weights() == strategy.weights()
    assert len(composed.weights() or ()) == 4


def test_composed_refuses_weights_of_a_shorter_list_or_of_two() -> None:
    early = Composed({"adaptive": adaptive(), "offline": Offline(OfflineConfig(), [3, 4])})
    early.extend([0, 2])
    early.refresh(Answers(PREDICTED), SCENES)
    with pytest.raises(ConfigError, match="adaptive weighs 2 scenes, but 4 are sampled from"):
        early.weights()
    both = Composed({"offline": Offline(OfflineConfig(probability=0.5), [3]), "adaptive": adaptive()})
    both.extend([0, 2])
    both.refresh(Answers(PREDICTED), SCENES)
    with pytest.raises(ConfigError, match="offline and adaptive both weigh"):
        both.weights()
