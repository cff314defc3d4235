"""Every configuration that ships is read by the command line, and is what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarescene.cli import parse
from rarescene.generators import CasdmConfig, ConditionalDdpmConfig, ImageDiffusionConfig, SdmConfig
from rarescene.networks import SpadeUNet

CONFIGS = sorted((Path(__file__).parents[2] / "src/rarescene/recipes/configs").glob("*.yaml"))
IMAGES = [path for path in CONFIGS if not path.stem.startswith("maps")]
METHODS = {"sdm": SdmConfig, "conditional-ddpm": ConditionalDdpmConfig}
SIZES = ("tiny", "small", "paper")


def read(name: str) -> object:
    """Return the model of a shipped configuration, as the command that its name tells reads it."""
    method = name.rpartition("-")[0] or "casdm"
    words = ["--config", name, "--out", "run"]
    _, values = parse(f"train {method}", words if name == "demo" else [*words, "--data", "folder:scenes"])
    return values["model"]


def shipped(name: str) -> ImageDiffusionConfig:
    config = read(name)
    assert isinstance(config, METHODS.get(name.rpartition("-")[0], CasdmConfig))
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_is_read_by_its_command(path: Path) -> None:
    assert type(read(path.stem)).__name__.endswith("Config")


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_a_baseline_has_the_sizes_and_the_training_of_casdm(method: str, size: str) -> None:
    ours, casdm = shipped(f"{method}-{size}"), shipped(size)
    for name in ("height", "width", "diffusion", "augment", "training"):
        assert getattr(ours, name) == getattr(casdm, name), name
    network = ours.network
    own = {"out_channels": 3, "map_at": "decoder", "spade_hidden": casdm.network.spade_hidden}
    assert replace(network, **own) == casdm.network  # type: ignore[arg-type]
    assert (network.out_channels, network.map_at) == ((6, "decoder") if method == "sdm" else (3, "stem"))


def test_sdm_is_what_was_published() -> None:
    config = shipped("sdm-paper")
    assert isinstance(config, SdmConfig)
    assert (config.variance_weight, config.map_dropout, config.guidance) == (0.001, 0.2, 1.5)
    assert config.training.learning_rate * config.finetune_rate == pytest.approx(2e-5)


def test_tiny_and_demo_are_one_network() -> None:
    assert shipped("tiny") == shipped("demo")
