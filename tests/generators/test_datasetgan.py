"""Pairs of a DatasetGAN: determinism, requests, files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import DatasetGan, DatasetGanConfig
from rarescene.generators.label_branch import LabelEnsemble
from rarescene.networks import StyleGan2Config
from rarescene.scenes import Request
from rarescene.testing.generators import can_be_learned_from

from .gan_toy import GAN, generator
from .toy import TABLE


def made(config: DatasetGanConfig = GAN) -> DatasetGan:
    network = generator(config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        labels = LabelEnsemble(network.feature_channels, len(TABLE), config.labels)
    return DatasetGan(network, labels, config, TABLE)


def asked(*texts: str) -> list[Request]:
    return [Request.parse(text, TABLE) for text in texts]


def test_a_plain_loop_learns_from_pairs_that_nobody_asked_for() -> None:
    can_be_learned_from(made().generate_any([3]))


def test_the_confidence_is_the_mean_probability_of_the_class() -> None:
    generator = made()
    pairs = generator.generate_any([1])
    network = generator.network
    z = torch.randn(
        1, 1, network.config.latent, generator=torch.Generator().manual_seed(derive_seed(1, "latent"))
    )
    features = network.synthesise(network.spread(network.mapping(z[0])))[1]
    probabilities = generator.labels.maps(features, 16, 16)
    assert pairs.confidence is not None
    torch.testing.assert_close(pairs.confidence, probabilities.amax(1), atol=1e-4, rtol=1e-4)
    assert torch.equal(pairs.masks, probabilities.argmax(1))


class Scripted(DatasetGan):
    """Shows red from the third candidate of a seed on, and dark and blue before."""

    def __init__(self) -> None:
        whole = made()
        super().__init__(whole.network, whole.labels, whole.config, whole.table)
        self.calls: list[list[int]] = []

    def generate_any(self, seeds: Sequence[int]) -> Pairs:
        self.calls.append(list(seeds))
        count, turn = len(seeds), len(self.calls)
        masks = torch.zeros(count, 16, 16, dtype=torch.long)
        masks[:, :4] = 2 if turn < 3 else 1
        return Pairs(torch.full((count, 3, 16, 16), turn / 10), masks, torch.ones(count, 16, 16))


def test_candidates_are_generated_until_the_classes_show() -> None:
    generator, told = Scripted(), []
    pairs = generator.generate(
        asked("red", "blue", ""), seeds=[1, 2, 3], progress=lambda done, total: told.append((done, total))
    )
    assert pairs.images[:, 0, 0, 0].tolist() == pytest.approx([0.3, 0.1, 0.1])
    assert [len(call) for call in generator.calls] == [3, 1, 1]
    assert generator.calls[0] == [1, 2, 3]
    assert len({seed for call in generator.calls for seed in call}) == 5
    assert told == [(2, 3), (2, 3), (3, 3)]


def test_of_candidates_in_vain_the_one_that_shows_most_is_taken() -> None:
    generator = Scripted()
    generator.config = replace(GAN, tries=4)
    pairs = generator.generate(asked("red; blue"), seeds=[1])
    assert len(generator.calls) == 4
    assert pairs.images[0, 0, 0, 0] == pytest.approx(0.1)  # one of two; the first of those that are as good


def test_truncation_moves_images_to_the_mean() -> None:
    whole, little = (
        made().generate_any(range(12)).images,
        made(replace(GAN, truncation=0.05)).generate_any(range(12)).images,
    )
    assert little.std(dim=0).mean() < 0.2 * whole.std(dim=0).mean()


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    made().save(tmp_path)
    settings = json.loads((tmp_path / "generator.json").read_text())
    for changed, named in (
        ({"generator": "casdm"}, "generator.json"),
        ({"config": {"height": 4}}, "generator.json"),
        ({"config": settings["config"] | {"network": {"channels": [8, 8, 16], "latent": 10}}}, "stylegan2"),
    ):
        (tmp_path / "generator.json").write_text(json.dumps(settings | changed))
        with pytest.raises(CheckpointError, match=named):
            DatasetGan.load(tmp_path)
    (tmp_path / "generator.json").write_text(json.dumps(settings))
    (tmp_path / "labels.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match=r"labels\.safetensors"):
        DatasetGan.load(tmp_path)


def test_options_that_cannot_be_are_refused() -> None:
    half = replace(GAN.training, mixed_precision="bf16")
    for values in (
        {"height": 8}, {"truncation": 0.0}, {"tries": 0}, {"training": half},
        {"encoder": replace(GAN.encoder, training=half)},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            replace(GAN, **values)  # type: ignore[arg-type]
    for values in ({"r1_every": 0}, {"mixing": 1.5}, {"shift": 1.0}, {"path_weight": -1.0}):
        with pytest.raises(ConfigError):
            replace(GAN.adversarial, **values)  # type: ignore[arg-type]
    for values in ({"frames": 0}, {"steps": -1}, {"learning_rate": 0.0}, {"nearness": -1.0}):
        with pytest.raises(ConfigError):
            replace(GAN.refinement, **values)  # type: ignore[arg-type]
    assert DatasetGanConfig().network == StyleGan2Config()
