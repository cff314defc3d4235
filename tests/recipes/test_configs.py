"""Every configuration that ships is read by the command line, and is what it says."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarescene.cli import parse
from rarescene.generators import (
    CasdmConfig,
    ConditionalDdpmConfig,
    DatasetGanConfig,
    ImageDiffusionConfig,
    ImageVqGan,
    ImageVqGanConfig,
    MaskVqGan,
    MaskVqGanConfig,
    SdmConfig,
)
from rarescene.networks import SpadeUNet, StyleGan2Discriminator, StyleGan2Generator
from rarescene.scenes import CHOLECSEG8K

SHIPPED = sorted((Path(__file__).parents[2] / "src/rarescene/recipes/configs").glob("*.yaml"))
STUDIES = [path for path in SHIPPED if path.stem.startswith("evidence-")]
CONFIGS = [path for path in SHIPPED if path not in STUDIES]
IMAGES = [path for path in CONFIGS if path.stem.rpartition("-")[0] in ("", "sdm", "conditional-ddpm")]
VQGANS = [path for path in CONFIGS if "vqgan" in path.stem]
METHODS = {"sdm": SdmConfig, "conditional-ddpm": ConditionalDdpmConfig}
SIZES = ("tiny", "small", "paper")


def head(path: Path) -> str:
    """Return the command that a configuration names in its head."""
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("# command:")]
    return line.removeprefix("# command:").strip()


def read(name: str) -> object:
    """Return the model of a shipped configuration, as the command in its head reads it."""
    words = shlex.split(head(CONFIGS[0].with_name(f"{name}.yaml")).partition("&&")[0])
    options = next(place for place, word in enumerate(words) if word.startswith("--"))
    assert words[0] == "rarescene"
    return parse(" ".join(words[1:options]), words[options:])[1]["model"]


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


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_configuration_begins_with_its_command(path: Path) -> None:
    assert f"--config {path.stem} " in head(path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_what_its_command_reads(path: Path) -> None:
    program, command, *words = shlex.split(head(path))
    assert (program, command) == ("rarescene", "benchmark")
    assert parse(command, words)[1]["config"] == path


@pytest.mark.parametrize("path", VQGANS, ids=lambda path: path.stem)
def test_a_vqgan_is_built_at_its_size_and_its_discriminator_sets_in_within_the_training(path: Path) -> None:
    config = read(path.stem)
    assert isinstance(config, (ImageVqGanConfig, MaskVqGanConfig))
    with torch.device("meta"):
        if isinstance(config, ImageVqGanConfig):
            network = ImageVqGan.build(config, CHOLECSEG8K)
        else:
            network = MaskVqGan.build(config, CHOLECSEG8K)
    assert network.codebook.shape == (config.network.codes, config.network.channels)
    assert config.height % config.network.factor == config.width % config.network.factor == 0
    assert 0 < config.adversarial.from_step < config.training.steps


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_the_vqgans_are_what_was_published(kind: str) -> None:
    config = read(f"{kind}-vqgan-paper")
    assert isinstance(config, (ImageVqGanConfig, MaskVqGanConfig))
    network, training = config.network, config.training
    assert (network.levels, network.blocks_per_level, network.codes) == ((128, 256, 1024), 2, 8192)
    assert config.adversarial.widths == (64, 128, 256)
    assert (training.batch_size, training.decay) == (16, "exponential")
    assert training.steps == 7272 * 500 // 16
    assert training.decay_factor ** (1 / 500) == pytest.approx(0.995, abs=1e-4)
    assert not config.augment.active
    assert config.rare_scenes == 0
    if isinstance(config, MaskVqGanConfig):
        assert config.class_aware.mode == "plain"


@pytest.mark.parametrize("size", SIZES)
def test_both_vqgans_give_latents_of_one_size(size: str) -> None:
    image, mask = read(f"image-vqgan-{size}"), read(f"mask-vqgan-{size}")
    assert isinstance(image, ImageVqGanConfig)
    assert isinstance(mask, MaskVqGanConfig)
    assert (image.height, image.width, image.network.factor) == (mask.height, mask.width, mask.network.factor)


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


def datasetgan(size: str) -> DatasetGanConfig:
    config = read(f"datasetgan-{size}")
    assert isinstance(config, DatasetGanConfig)
    return config


@pytest.mark.parametrize("size", SIZES)
def test_a_datasetgan_is_built_at_its_size(size: str) -> None:
    config = datasetgan(size)
    with torch.device("meta"):
        network = StyleGan2Generator(config.network, config.height, config.width)
        StyleGan2Discriminator(config.network, *network.size)
    assert network.size == (config.height, config.width)
    assert network.noise_sizes[0] == (4, 4)
    assert config.training.betas == (0.0, 0.99)
    assert config.training.gradient_clip == 0  # it would tie the two networks to each other
    assert config.refinement.frames == 50


def test_datasetgan_paper_is_the_default_and_what_was_published() -> None:
    assert datasetgan("paper") == DatasetGanConfig()
    config = datasetgan("paper")
    assert [min(512, 32768 // (4 << level)) for level in range(6)] == list(config.network.channels[::-1])
    assert (config.network.latent, config.network.mapping_layers) == (512, 8)
    assert (config.adversarial.r1_weight, config.adversarial.r1_every, config.adversarial.path_every) == (
        10,
        16,
        4,
    )
    assert (config.adversarial.shift, config.adversarial.colour, config.truncation) == (0, 0, 1)
    assert (config.training.batch_size, config.training.learning_rate) == (32, 0.002)
    assert (config.labels.members, config.labels.hidden) == (10, (128, 32))
