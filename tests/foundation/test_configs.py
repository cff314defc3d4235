"""Dataclasses and their JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from rarescene.diffusion import ClassAwareConfig, DiffusionConfig
from rarescene.foundation.configs import Positive, Range, Settings, Share, config_from, typed
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


@dataclass(frozen=True)
class Ward(Settings, section="ward"):
    beds: Annotated[int, Range(1, 40)] = 4
    rate: Positive = 0.5
    shares: tuple[Share, ...] = ()
    kind: Literal["day", "night"] = "day"
    boost: Mapping[str, Positive] | None = None


@pytest.mark.parametrize(
    ("values", "what", "remedy"),
    [
        ({"beds": 0}, "ward.beds is 0", "Give a number from 1 to 40."),
        ({"beds": 41}, "ward.beds is 41", "Give a number from 1 to 40."),
        ({"beds": 2.0}, "ward.beds is 2.0", "Give a whole number."),
        ({"beds": True}, "ward.beds is True", "Give a whole number."),
        ({"beds": "4"}, "ward.beds is '4'", "Give a whole number."),
        ({"beds": None}, "ward.beds is None", "Give a whole number."),
        ({"beds": 10**5000}, "ward.beds is a number of thousands of digits", "Give a whole number."),
        ({"rate": 0}, "ward.rate is 0", "Give a number above 0 to 1,000,000."),
        ({"rate": float("nan")}, "ward.rate is nan", "Give a number, which is finite."),
        ({"rate": float("inf")}, "ward.rate is inf", "Give a number, which is finite."),
        ({"rate": 10**400}, f"ward.rate is {'1' + '0' * 56}…", "Give a number, which is finite."),
        ({"shares": [0.5, 1.5]}, "ward.shares is 1.5", "Give a number from 0 to 1."),
        ({"shares": 0.5}, "ward.shares is 0.5", "Give a list."),
        ({"kind": "noon"}, "ward.kind is 'noon'", "Choose one of: day, night."),
        ({"boost": {"vein": -1}}, "ward.boost of vein is -1", "Give a number above 0 to 1,000,000."),
        ({"boost": [1]}, "ward.boost is [1]", "Give names, each with a value."),
    ],
)
def test_what_a_field_does_not_take_is_named_with_what_it_takes(
    values: dict[str, Any], what: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as told:
        Ward(**values)
    assert (told.value.what, told.value.remedy) == (what, remedy)
    with pytest.raises(ConfigError) as told:
        config_from(Ward, values, "config")
    assert told.value.what == what.replace("ward", "config", 1)


def test_what_fits_is_kept_as_it_is() -> None:
    ward = Ward(beds=40, rate=1, shares=[0, 1], boost={"vein": 2})  # type: ignore[arg-type]
    assert (ward.beds, ward.rate, ward.shares, ward.boost) == (40, 1, (0, 1), {"vein": 2})
    assert replace(ward, beds=1) != ward


def test_a_plain_dataclass_is_checked_where_it_is_read() -> None:
    @dataclass(frozen=True)
    class Plain:
        width: int = 4
        rate: float = 0.1

    assert config_from(Plain, {"width": 2}) == Plain(2)
    for wrong in ({"width": "x"}, {"rate": float("nan")}, {"rate": [1]}, ["width"], None):
        with pytest.raises(ConfigError):
            config_from(Plain, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hint", "value", "found"),
    [
        (tuple[int, int], [1, 2], (1, 2)),
        (Sequence[int], [1, 2], [1, 2]),
        (Mapping[str, list[tuple[int, int]] | None], {"a": [[1, 2]], "b": None}, {"a": [(1, 2)], "b": None}),
        (Path | None, "a/b", "a/b"),
        (float | None, 3, 3),
        (Any, object, object),
    ],
)
def test_types_are_read_from_json_values(hint: Any, value: Any, found: Any) -> None:
    assert typed(hint, value, "name") == found


@pytest.mark.parametrize(
    ("steps", "end", "left"),
    [(1000, 0.02, None), (460, 0.02, None), (200, 0.02, "13%"), (20, 0.02, "82%"), (20, 0.65, None)],
)
def test_a_noise_schedule_that_leaves_signal_is_refused(steps: int, end: float, left: str | None) -> None:
    if left is None:
        DiffusionConfig(timesteps=steps, beta_end=end)
        return
    with pytest.raises(ConfigError, match=f"{left} of the signal") as told:
        DiffusionConfig(timesteps=steps, beta_end=end)
    assert "beta_end" in told.value.remedy


@pytest.mark.parametrize("steps", [1, 2, 20, 1000])
def test_a_cosine_leaves_no_signal_at_any_length(steps: int) -> None:
    betas = DiffusionConfig(timesteps=steps, schedule="cosine").betas
    assert betas.shape == (steps,)
    assert (1 - betas).prod() < 0.0011
