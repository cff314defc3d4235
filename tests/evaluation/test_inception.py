"""True FID and KID from a TorchScript file, tried with a small module of the same calling convention."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from rarescene.evaluation.config import RealismConfig
from rarescene.evaluation.distances import FeatureDistances, Inception
from rarescene.evaluation.realism import realism_scores
from rarescene.foundation.errors import CheckpointError


class Stub(torch.nn.Module):
    """Takes bytes of any size and gives `width` features, of which the first 48 say something."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert images.dtype == torch.uint8
        assert return_features
        seen = torch.nn.functional.adaptive_avg_pool2d(images.float(), [4, 4]).flatten(1)
        return torch.nn.functional.pad(seen, [0, self.width - 48])


def script(path: Path, width: int = 2048) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Stub(width)).save(str(path))
    return path


def test_images_reach_the_network_as_rounded_bytes(tmp_path: Path) -> None:
    network = Inception(script(tmp_path / "inception.pt"))
    values = torch.tensor([-1.0, 0.0, 1.0, 2.0]).reshape(4, 1, 1, 1).expand(4, 3, 8, 8)
    features = network(values)
    assert features.shape == (4, 2048)
    assert features[:, 0].tolist() == [0.0, 128.0, 255.0, 255.0]  # 127.5 rounds to even


def test_only_these_distances_are_called_fid_and_kid(tmp_path: Path) -> None:
    network = Inception(script(tmp_path / "inception.pt"))
    metric = FeatureDistances(network, RealismConfig())
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    metric.update(images, real=True)
    metric.update(images - 0.2, real=False)
    result = metric.result()
    assert (result.extractor, result.frechet_name, result.kernel_name) == ("Inception", "FID", "KID")
    assert result.frechet > 1


def test_with_its_path_both_networks_are_measured(tmp_path: Path) -> None:
    config = RealismConfig(feature_size=32, inception_weights=script(tmp_path / "inception.pt"))
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores = realism_scores([images], [images.flip(3)], config=config)
    assert [entry.frechet_name for entry in scores.distances] == ["FD-EffNetLite0", "FID"]
    assert any("in 2048 dimensions" in note for note in scores.notes)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing\.pt: there are no Inception weights"):
        Inception(tmp_path / "missing.pt")
    text = tmp_path / "text.pt"
    text.write_text("not a module")
    with pytest.raises(CheckpointError, match=r"text\.pt: is not the TorchScript of Inception"):
        Inception(text)
    narrow = script(tmp_path / "narrow.pt", width=64)
    with pytest.raises(CheckpointError, match=r"narrow\.pt: gives features of shape \(1, 64\)"):
        Inception(narrow)
