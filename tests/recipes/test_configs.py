"""Every configuration that ships is read by the command line, and is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rarescene.cli import parse
from rarescene.generators import CasdmConfig
from rarescene.networks import SpadeUNet

CONFIGS = sorted((Path(__file__).parents[2] / "src/rarescene/recipes/configs").glob("*.yaml"))


def shipped(name: str) -> CasdmConfig:
    words = ["--config", name, "--out", "run"]
    _, values = parse("train casdm", words if name == "demo" else [*words, "--data", "folder:scenes"])
    config = values["model"]
    assert isinstance(config, CasdmConfig)
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_builds_its_network(path: Path) -> None:
    config = shipped(path.stem)
    with torch.device("meta"):
        network = SpadeUNet.build(config.network)
    assert network is not None
    assert config.height % config.network.stride == config.width % config.network.stride == 0
    assert config.training.batch_size >= 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_begins_with_its_command(path: Path) -> None:
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# command:")]
    assert len(head) == 1
    assert f"--config {path.stem} " in head[0]


def test_paper_is_what_was_published() -> None:
    config = shipped("paper")
    network, training = config.network, config.training
    assert (config.height, config.width) == (256, 256)
    assert network.base_channels == 256
    assert tuple(network.multipliers) == (1, 1, 2, 2, 4, 4)
    assert network.blocks_per_level == 2
    assert tuple(network.attention_strides) == (8, 16, 32)
    assert (network.head_channels, network.patch) == (64, 1)
    assert (config.diffusion.timesteps, config.diffusion.prediction) == (1000, "epsilon")
    assert (training.batch_size, training.learning_rate, training.decay) == (10, 1e-4, "none")
    assert training.steps == 6868 * 100 // 10
    augment = config.augment
    assert (augment.horizontal_flip, augment.vertical_flip, augment.rotation) == (0.5, 0.5, 0.5)


def test_tiny_and_demo_are_one_network() -> None:
    assert shipped("tiny") == shipped("demo")
