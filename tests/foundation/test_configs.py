"""Dataclasses and their JSON values."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from rarescene.diffusion import ClassAwareConfig, DiffusionConfig
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import ConfigError
from rarescene.generators import CasdmConfig
from rarescene.networks import SpadeUNetConfig
from rarescene.training import TrainingConfig

CONFIG = CasdmConfig(
    height=64,
    network=SpadeUNetConfig(classes=5, base_channels=32, multipliers=(1, 2), attention_strides=(2,)),
    diffusion=DiffusionConfig(prediction="v"),
    class_aware=ClassAwareConfig(mode="paper", class_boost={"vein": 2.0}),
    training=TrainingConfig(steps=7),
)


@pytest.mark.parametrize("config", [CasdmConfig(), CONFIG])
def test_a_configuration_comes_back_from_json(config: CasdmConfig) -> None:
    assert config_from(CasdmConfig, json.loads(json.dumps(asdict(config)))) == config


def test_what_is_left_out_keeps_its_default() -> None:
    found = config_from(CasdmConfig, {"training": {"steps": 3}})
    assert found == CasdmConfig(training=TrainingConfig(steps=3))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hight": 3}, "CasdmConfig has no field 'hight'"),
        ({"training": {"stepz": 3}}, "TrainingConfig has no field 'stepz'"),
    ],
)
def test_an_unknown_field_is_named_beside_the_known_ones(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        config_from(CasdmConfig, values)
    assert "steps" in told.value.remedy or "height" in told.value.remedy


def test_what_a_dataclass_refuses_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps is 0"):
        config_from(CasdmConfig, {"training": {"steps": 0}})


def test_lists_become_tuples() -> None:
    values = {"classes": 3, "multipliers": [1, 2], "attention_strides": []}
    found = config_from(SpadeUNetConfig, values)
    assert (found.multipliers, found.attention_strides) == ((1, 2), ())
