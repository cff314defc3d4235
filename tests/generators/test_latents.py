"""Latents of pairs: exact there and back, standardised, and drawn from as scenes are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rarescene.foundation.errors import CheckpointError
from rarescene.generators import LatentBatches, LatentScales, encode_scenes
from rarescene.training import save_tensors, to_images, to_masks

from .toy_pairs import CONFIG, codec, two_scenes


def latents(count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(count, 5, 4, 6, generator=generator)
    spread = torch.tensor([0.01, 1.0, 300.0, 2.0, 0.0]).view(5, 1, 1)
    return 1000 * torch.arange(5.0).view(5, 1, 1) + spread * values


def test_standardised_channels_have_mean_0_and_variance_1_and_come_back() -> None:
    raw = latents()
    scales = LatentScales.of(raw)
    standard = scales.standardise(raw)
    assert standard.mean((0, 2, 3)).abs().max() < 2e-3
    torch.testing.assert_close(
        standard.std((0, 2, 3), correction=0), torch.tensor([1.0, 1, 1, 1, 0]), atol=2e-3, rtol=0
    )
    torch.testing.assert_close(scales.restore(standard), raw)
    torch.testing.assert_close(scales.lowest.flatten(), standard.amin((0, 2, 3)))
    torch.testing.assert_close(scales.highest.flatten(), standard.amax((0, 2, 3)))
    moments = raw.double().numpy()
    np.testing.assert_allclose(scales.mean.flatten(), moments.mean((0, 2, 3)), rtol=1e-6)


def test_scales_are_kept(tmp_path: Path) -> None:
    scales = LatentScales.of(latents())
    scales.save(tmp_path)
    for name, value in vars(LatentScales.load(tmp_path)).items():
        assert torch.equal(value, vars(scales)[name])
    save_tensors({"mean": scales.mean}, tmp_path / "latents.safetensors")
    with pytest.raises(CheckpointError, match="lacks the 'std'"):
        LatentScales.load(tmp_path)
    (tmp_path / "latents.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="damaged"):
        LatentScales.load(tmp_path)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (3, 18, 21), (3, 5, 30)])
def test_pairs_come_back_from_their_latents(batch: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    masks = torch.randint(3, (batch, height, width), generator=generator)
    made = codec()
    z = made.encode(images, masks)
    assert z.shape[1:] == made.shape(height, width)
    pairs = made.decode(z, height, width)
    torch.testing.assert_close(pairs.images, images)
    assert torch.equal(pairs.masks, masks)
    assert pairs.confidence is not None
    assert pairs.confidence.min() > 0.9


def test_ignored_pixels_are_painted_like_their_neighbours() -> None:
    masks = torch.full((1, 16, 16), 255)
    masks[:, :, :4], masks[:, :, 12:] = 1, 2
    drawn = codec().decode(codec().encode(torch.zeros(1, 3, 16, 16), masks), 16, 16).masks
    assert (drawn[:, :, :7] == 1).all()
    assert (drawn[:, :, 9:] == 2).all()


def test_scenes_are_encoded_in_order_and_their_mirror_images_behind_them() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (70, 16, 16, 3), np.uint8)  # more than two blocks
    ids = generator.integers(0, 3, (70, 16, 16)).astype(np.uint8)
    told: list[tuple[int, int]] = []
    made = codec()
    z = encode_scenes(
        made, lambda index: (pixels[index], ids[index]), 70, mirrored=True,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert z.shape == (140, *made.shape(16, 16))
    assert told[-1] == (140, 140)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    pairs = made.decode(z, 16, 16)
    torch.testing.assert_close(pairs.images[:70], to_images(pixels), atol=1e-6, rtol=0)
    torch.testing.assert_close(pairs.images[70:], to_images(pixels).flip(-1), atol=1e-6, rtol=0)
    assert torch.equal(pairs.masks[70:], to_masks(ids).flip(-1))
    plain = encode_scenes(made, lambda index: (pixels[index], ids[index]), 70, mirrored=False)
    assert torch.equal(plain, z[:70])


def test_batches_bring_the_latents_of_their_rows() -> None:
    rows = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 2, 3, 3)
    batches = LatentBatches(rows, 8, 0.5, 4, seed=3)
    drawn = [batches(step) for step in range(200)]
    for batch in drawn:
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.masks)
    flipped = torch.cat([batch.masks for batch in drawn]) >= 8
    assert flipped.float().mean() == pytest.approx(0.5, abs=0.06)
    scenes = torch.cat([batch.masks % 8 for batch in drawn])
    assert torch.equal(scenes.view(-1, 8).sort(dim=1).values, torch.arange(8).expand(100, 8))  # whole epochs
    again = LatentBatches(rows, 8, 0.5, 4, seed=3)
    part = again(17, 1, 3)
    assert torch.equal(part.masks, drawn[17].masks[1:3])
    assert list(part.seeds) == list(drawn[17].seeds[1:3])


def test_without_mirror_images_none_are_drawn_and_weights_decide() -> None:
    images, masks = two_scenes()
    made = codec(replace(CONFIG, horizontal_flip=0.0))
    z = encode_scenes(made, lambda index: (images[index], masks[index]), 8, mirrored=False)
    batches = LatentBatches(z, 8, 0.0, 50, seed=0, weights=[1, 0, 0, 3, 0, 0, 0, 0])
    drawn = torch.cat([batches(step).masks for step in range(20)])
    assert set(drawn.tolist()) == {0, 3}
    assert (drawn == 3).float().mean() == pytest.approx(0.75, abs=0.06)
