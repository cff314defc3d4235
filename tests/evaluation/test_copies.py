"""Distances to the nearest training frame: worked by hand, against a slow second way, and on pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from rarescene.evaluation import CopyConfig, copy_scores, image_vectors, nearest
from rarescene.evaluation.copies import pixel_vectors
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import open_scenes
from rarescene.training import to_images


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_the_nearest_is_found_and_of_equals_the_first() -> None:
    found = nearest(column(0.0, 4.0, 10.0), column(1.0, -1.0, 5.5))
    assert found.distance.tolist() == [1.0, 1.5, 4.5]
    assert found.index.tolist() == [0, 2, 2]


def test_own_and_other_recordings_are_told_apart() -> None:
    frames, groups = column(0.0, 1.0, 10.0, 12.0, 30.0), np.array([0, 0, 1, 1, 2])
    own = nearest(frames, frames, groups=groups, among="own")
    other = nearest(frames, frames, groups=groups, among="other")
    assert own.distance.tolist() == [1.0, 1.0, 2.0, 2.0, np.inf]  # the last recording has one frame
    assert own.index.tolist() == [1, 0, 3, 2, -1]
    assert other.distance.tolist() == [10.0, 9.0, 9.0, 11.0, 18.0]


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
@pytest.mark.parametrize("among", ["any", "own", "other"])
def test_blocks_give_what_the_whole_matrix_gives(block: int, among: str) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(20, 5)) + 100
    references = queries if among != "any" else rng.normal(size=(9, 5)) + 100
    groups = rng.integers(0, 4, len(queries))
    matrix = cdist(queries, references)
    if among != "any":
        same = groups[:, None] == groups[None]
        matrix[same if among == "other" else ~same | np.eye(len(queries), dtype=bool)] = np.inf
    found = nearest(
        torch.from_numpy(queries), torch.from_numpy(references), groups=groups, among=among, block=block
    )
    np.testing.assert_allclose(found.distance, matrix.min(axis=1), rtol=1e-12)
    known = np.isfinite(found.distance)
    assert np.array_equal(found.index[known], matrix.argmin(axis=1)[known])


def test_an_equal_vector_is_at_exactly_nothing_however_large() -> None:
    references = torch.randn(50, 200, generator=torch.manual_seed(0)) * 1e3 + 1e6
    found = nearest(references[[7, 31]], references)
    assert found.distance.tolist() == [0.0, 0.0]
    assert found.index.tolist() == [7, 31]


def test_the_threshold_is_the_quantile_between_recordings() -> None:
    # Two recordings, 100 apart; the frames of b come 10, 20, …, 100 nearer to the last frame of a than 110.
    a, b = column(0.0), column(*[10.0 * step for step in range(1, 11)])
    training, recordings = torch.cat([a, b]), ["a", *"b" * 10]
    scores = copy_scores(column(0.0, 11.0, 150.0), training, recordings, quantile=0.5)
    assert scores.other.tolist() == [10.0, *(10.0 * step for step in range(1, 11))]
    assert scores.own.tolist() == [np.inf, *[10.0] * 10]
    assert scores.threshold == np.median(scores.other) == 50.0
    assert scores.synthetic.distance.tolist() == [0.0, 1.0, 50.0]
    assert scores.copies(scores.synthetic.distance).tolist() == [True, True, True]  # at the threshold too
    assert scores.copies(np.array([50.5])).tolist() == [False]
    assert scores.copies(scores.other).mean() == 6 / 11


def test_held_out_frames_are_compared_with_training_frames() -> None:
    scores = copy_scores(column(0.0), column(0.0, 5.0), ["a", "b"], held_out=column(7.0, 2.0))
    assert scores.held_out.tolist() == [2.0, 2.0]
    assert copy_scores(column(0.0), column(0.0, 5.0), ["a", "b"]).held_out.tolist() == []


def test_one_recording_tells_nothing_about_copies() -> None:
    scores = copy_scores(column(0.0), column(0.0, 1.0), ["a", "a"])
    assert scores.threshold is None
    assert not scores.copies(scores.synthetic.distance).any()
    assert np.isinf(scores.other).all()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="0 training frames"):
        copy_scores(column(0.0), torch.empty(0, 1), [])
    with pytest.raises(ConfigError, match="quantile"):
        CopyConfig(quantile=1.0)


@pytest.mark.parametrize("size", [(32, 32), (64, 48)])
def test_a_pixel_distance_is_in_levels(size: tuple[int, int]) -> None:
    dark = np.full((3, *size, 3), 40, np.uint8)
    vectors = pixel_vectors([to_images(dark[:1]), to_images(dark[1:] + np.uint8(25))])
    assert (vectors[0] - vectors[1]).norm().item() == pytest.approx(25, rel=1e-5)
    assert torch.equal(vectors[1], vectors[2])
    assert pixel_vectors([]).shape == (0, vectors.shape[1])


@pytest.mark.parametrize("measure", ["features", "pixels"])
def test_copies_of_phantom_frames_are_found_and_new_recordings_are_not(measure: str) -> None:
    scenes = open_scenes("phantom:videos=6,frames=4,size=64")
    pixels = np.stack([scene.image for scene in scenes])
    training = [index for index, name in enumerate(scenes.recordings) if name != scenes.groups[-1]]
    noise = np.random.default_rng(0).normal(0, 2, pixels[:4].shape)
    near = np.clip(pixels[training[:4]] + noise, 0, 255).round().astype(np.uint8)
    mirrored = pixels[training[:4], :, ::-1].copy()
    new = pixels[[index for index in range(len(pixels)) if index not in training]]
    _, vectors = image_vectors(CopyConfig(measure=measure))
    synthetic = vectors(to_images(part) for part in (pixels[training[4:5]], near, mirrored, new))
    real = vectors([to_images(pixels[training])])
    scores = copy_scores(synthetic, real, [scenes.recordings[index] for index in training])
    assert scores.synthetic.index[:5].tolist() == [4, 0, 1, 2, 3]
    assert scores.synthetic.distance[0] == pytest.approx(0, abs=1e-4)
    found = scores.copies(scores.synthetic.distance)
    assert found[:5].all()
    assert scores.synthetic.distance[9:].min() > scores.synthetic.distance[:5].max()
    if measure == "features":
        assert found[5:9].all()
        assert not found[9:].any()
