from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from rarescene.diffusion import (
    ClassAwareConfig,
    DiffusionConfig,
    MapSamplingConfig,
    SamplingConfig,
    SelfPerceptualConfig,
)
from rarescene.foundation.errors import ConfigError

CONFIGS = [DiffusionConfig, ClassAwareConfig, SelfPerceptualConfig, SamplingConfig, MapSamplingConfig]


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_is_frozen_and_survives_json(kind: type[Any]) -> None:
    config = kind()
    assert kind(**json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(FrozenInstanceError):
        config.anything = 1


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_command_line_is_built_from_a_config(kind: type[Any]) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "it")
    parsed = parser.parse_string(parser.dump(parser.get_defaults()))
    assert parser.instantiate(parsed).it == kind()


def test_a_class_boost_comes_from_yaml_and_from_the_command_line() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ClassAwareConfig, "it")
    parsed = parser.parse_string("it: {mode: paper, cap: 20, class_boost: {cystic duct: 2}}")
    assert parser.instantiate(parsed).it == ClassAwareConfig(
        "paper", cap=20.0, class_boost={"cystic duct": 2}
    )
    parsed = parser.parse_args(['--it.class_boost={"blood": 1.5}', "--it.exponent=0.5"])
    assert parser.instantiate(parsed).it == ClassAwareConfig(exponent=0.5, class_boost={"blood": 1.5})


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: DiffusionConfig(timesteps=0), "timesteps"),
        (lambda: DiffusionConfig(beta_start=0.0), "beta_start"),
        (lambda: DiffusionConfig(beta_start=0.3), "beta_end"),
        (lambda: DiffusionConfig(prediction="sample"), "epsilon, v"),
        (lambda: DiffusionConfig(schedule="sigmoid"), "linear, cosine"),
        (lambda: ClassAwareConfig(mode="fair"), "balanced, paper, plain"),
        (lambda: ClassAwareConfig(exponent=-1), "exponent"),
        (lambda: ClassAwareConfig(cap=0.5), "cap"),
        (lambda: ClassAwareConfig(plain_share=2), "plain_share"),
        (lambda: ClassAwareConfig(class_boost={"blood": 0}), "blood"),
        (lambda: SelfPerceptualConfig(weight=-1), "weight"),
        (lambda: SelfPerceptualConfig(refresh_every=0), "refresh_every"),
        (lambda: SelfPerceptualConfig(pool="mean"), "max, area"),
        (lambda: SelfPerceptualConfig(noise_share=0.0), "noise_share"),
        (lambda: SamplingConfig(sampler="euler"), "dpm-solver++, ddpm, ddim, unipc"),
        (lambda: SamplingConfig(steps=0), "steps"),
        (lambda: SamplingConfig(precision="fp16"), "no, bf16"),
        (lambda: MapSamplingConfig(sampler="euler"), "map_sampling.sampler"),
        (lambda: MapSamplingConfig(tries=0), "map_sampling.tries"),
    ],
)
def test_an_impossible_setting_names_itself(make: Callable[[], object], names: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(names)):
        make()


def test_configs_import_no_torch() -> None:
    code = "import sys, rarescene.diffusion.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
