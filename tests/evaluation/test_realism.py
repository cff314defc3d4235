"""Realism from end to end, with the embedded network."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from rarescene import evaluation
from rarescene.evaluation import RealismConfig, RealismScores, realism_scores
from rarescene.evaluation.config import BootstrapConfig
from rarescene.foundation.errors import ConfigError, DataError

CONFIG = RealismConfig(feature_size=64, bootstrap=BootstrapConfig(resamples=200))


def scenes(count: int, size: int = 64, seed: int = 0) -> torch.Tensor:
    coarse = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)


def with_noise(images: torch.Tensor, strength: float) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    return (images + strength * noise).clamp(-1, 1)


class Corner:
    """Eight pixels as features, so that nothing but the bookkeeping is under test."""

    name = "Corner"
    num_features = 8

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, :8]


def quick(
    real: torch.Tensor, synthetic: torch.Tensor, batch: int, groups: list[str] | None = None
) -> RealismScores:
    return realism_scores(
        real.split(batch), synthetic.split(batch), config=CONFIG, groups=groups, extractors=[Corner()]
    )


def test_equal_sets_are_equal_and_called_copies() -> None:
    images = scenes(12)
    scores = realism_scores([images], [images], config=CONFIG)
    (distance,) = scores.distances
    assert (distance.frechet_name, distance.kernel_name) == ("FD-EffNetLite0", "KD-EffNetLite0")
    assert distance.frechet < 1e-2
    assert (
        distance.kernel < 0
    )  # unbiased: equal sets lie below zero, since a sample is not paired with itself
    assert scores.psnr is not None
    assert scores.psnr.mean == 100.0
    assert scores.ms_ssim is not None
    assert scores.ms_ssim.mean == pytest.approx(1.0, abs=1e-5)
    assert any("12 synthetic images equal" in note for note in scores.notes)


def test_more_noise_is_farther_away_by_every_measure() -> None:
    images = scenes(24)
    found = [realism_scores([images], [with_noise(images, s)], config=CONFIG) for s in (0.05, 0.2, 0.6)]
    for measure in (
        [s.distances[0].frechet for s in found],
        [s.distances[0].kernel for s in found],
        [-s.psnr.mean for s in found if s.psnr],
        [-s.ms_ssim.mean for s in found if s.ms_ssim],
    ):
        assert len(measure) == 3
        assert measure == sorted(measure)
        assert measure[2] > measure[0]


def test_few_images_are_mentioned() -> None:
    images = scenes(4)
    scores = realism_scores([images], [with_noise(images, 0.2)], config=CONFIG)
    assert any(
        "With 4 images a Fréchet distance in 1280 dimensions is biased" in note for note in scores.notes
    )
    assert any("recordings of the pairs are not known" in note for note in scores.notes)


def test_batches_do_not_matter() -> None:
    real = scenes(9)
    synthetic = with_noise(real, 0.3)
    groups = [f"video{i // 3}" for i in range(9)]
    first, second = quick(real, synthetic, 1, groups), quick(real, synthetic, 4, groups)
    assert first.distances[0].frechet == pytest.approx(second.distances[0].frechet)
    assert first.psnr is not None
    assert second.psnr is not None
    assert first.psnr.mean == pytest.approx(second.psnr.mean)
    assert first.psnr.interval is not None
    assert first.psnr.interval.low < first.psnr.mean < first.psnr.interval.high


def test_unpaired_sets_may_differ_in_number_and_size_and_have_no_psnr() -> None:
    scores = realism_scores(
        scenes(10).split(2), [scenes(6, size=48, seed=1)], config=CONFIG, paired=False, extractors=[Corner()]
    )
    assert scores.psnr is None
    assert scores.ms_ssim is None
    assert (scores.real_images, scores.synthetic_images) == (10, 6)
    assert any("10 real images are compared with 6 synthetic" in note for note in scores.notes)


def test_progress_counts_every_image_and_the_result_is_json() -> None:
    done: list[int] = []
    images = scenes(5, size=24)
    scores = realism_scores(
        images.split(3), images.flip(3).split(3), config=CONFIG, extractors=[Corner()], progress=done.append
    )
    assert done == [6, 4]
    value = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert value["ms_ssim"] is None
    assert any("Below 32 pixels" in note for note in value["notes"])
    assert value["distances"][0]["frechet_name"] == "FD-Corner"


def test_faults_are_named() -> None:
    images = scenes(4)
    with pytest.raises(DataError, match=r"batch 1 is \(2, 3, 64, 64\) real and \(1, 3, 64, 64\)"):
        quick(images, images[:3], 2)
    broken = images.clone()
    broken[3, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match="batch 1 of the synthetic images holds values that are not finite"):
        quick(images, broken, 2)
    with pytest.raises(DataError, match="4 pairs came with 1 recordings"):
        quick(images, images, 2, ["video1"])
    with pytest.raises(DataError, match="1 real and 1 synthetic images cannot be compared"):
        quick(images[:1], images[:1], 2)
    with pytest.raises(ConfigError, match="kernel_subset is 1"):
        RealismConfig(kernel_subset=1, kernel_subsets=5)


def test_the_door_opens_without_torch_for_configs_and_gives_what_it_lists() -> None:
    code = "import sys; from rarescene.evaluation import RealismConfig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(evaluation, name) for name in evaluation.__all__)
    assert callable(evaluation.realism_scores)
    assert callable(evaluation.overlap_scores)
    assert callable(evaluation.compare)
