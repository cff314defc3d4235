"""A validation scores what the network says of validation scenes, whatever a strategy asks it besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from rarescene.augmentation.validation import BATCH, ValidationScenes, Watched, score_and_refresh
from rarescene.foundation.protocols import Batch
from rarescene.scenes import open_scenes
from rarescene.scenes.data import decode
from rarescene.segmenters import PHiSegConfig, UNetEnsembleConfig, build_segmenter

SCENES = open_scenes("phantom:videos=2,frames=12,size=32")
CLASSES = len(SCENES.classes)


class Brightness(nn.Module):
    """Tells classes by the brightness of a pixel, and counts the scenes that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.prediction_samples = 2
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = 0

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        classes = ((images.mean(1) + 1) / 2 * CLASSES).long().clamp(0, CLASSES - 1)  # B,H,W
        return nn.functional.one_hot(classes, CLASSES).permute(0, 3, 1, 2).float()

    def posterior(self, images: torch.Tensor, samples: int) -> torch.Tensor:
        return self.predict(images)[None].expand(samples, -1, -1, -1, -1)


def ask_nothing(segmenter: Watched, scenes: ValidationScenes) -> Mapping[str, Any]:
    return {}


def test_only_answers_about_validation_scenes_are_scored() -> None:
    cache, network = decode(SCENES, 32, 32), Brightness()

    def curate(segmenter: Watched, scenes: ValidationScenes) -> Mapping[str, Any]:
        batches: list[Batch] = list(scenes)
        for batch in batches:
            segmenter.posterior(batch.images, 2)  # type: ignore[attr-defined]
        first = scenes[0]
        segmenter.predict(torch.zeros_like(first.images))  # as many drawn pairs as a batch holds
        return {}

    scores, _ = score_and_refresh(network, cache, range(24), ask_nothing)
    curated, _ = score_and_refresh(network, cache, range(24), curate)
    assert 0 < scores["validation"] < 1
    assert curated == scores


def test_scenes_without_a_label_have_no_scores() -> None:
    cache = decode(SCENES, 32, 32)
    unlabelled = Mock(cache, wraps=cache)
    unlabelled.take_masks = lambda indices: np.full((len(indices), 32, 32), 255, np.uint8)
    unlabelled.classes, unlabelled.records = cache.classes, cache.records
    assert score_and_refresh(Brightness(), unlabelled, range(24), lambda *_: {"looked": True}) == (
        {},
        {"looked": True},
    )


def test_a_scene_that_a_strategy_looked_at_is_not_predicted_again() -> None:
    cache, network = decode(SCENES, 32, 32), Brightness()

    def look_at_the_first(segmenter: Watched, scenes: ValidationScenes) -> Mapping[str, Any]:
        segmenter.predict(scenes[0].images)
        return {"looked": True}

    scores, decided = score_and_refresh(network, cache, range(24), look_at_the_first)
    assert (network.seen, decided) == (24, {"looked": True})
    assert BATCH < 24
    assert scores == score_and_refresh(network, cache, range(24), ask_nothing)[0]


@pytest.mark.parametrize(
    "config",
    [
        UNetEnsembleConfig(members=3, widths=(8, 16)),
        PHiSegConfig(widths=(16, 16), latent_levels=2, convolutions=1, samples=3),
    ],
)
@pytest.mark.parametrize("samples", [2, 3, 8])
def test_scores_are_those_of_a_prediction_however_many_samples_a_strategy_takes(
    config: Any, samples: int
) -> None:
    torch.manual_seed(1)
    network, cache = build_segmenter(config, CLASSES).eval(), decode(SCENES, 32, 32)

    def uncertain(segmenter: Watched, scenes: ValidationScenes) -> Mapping[str, Any]:
        for batch in scenes:
            segmenter.posterior(batch.images, samples)  # type: ignore[attr-defined]
        return {"remembered": len(scenes.predicted)}

    scores, decided = score_and_refresh(network, cache, range(24), uncertain)
    assert scores == score_and_refresh(network, cache, range(24), ask_nothing)[0]
    assert decided == {"remembered": 0 if samples < 3 else 2}
