"""Latents of given images: an encoder, refinement, and which frames count as annotated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rarescene.foundation.errors import DataError
from rarescene.generators import LatentEncoderLearner, PerceptualDistance, choose_frames, refine
from rarescene.testing.toys import equal
from rarescene.training import SceneBatches, fit

from .gan_toy import GAN, generator, latents
from .toy import TRAINING, toy_scenes

DISTANCE = PerceptualDistance(32)


def test_refinement_recovers_an_image_of_known_latents() -> None:
    network = generator()
    known = latents(network, 2)
    with torch.no_grad():
        images = network(known)
        start = known + 0.7 * network.spread_w * torch.randn_like(known)
        before = (network(start) - images).square().mean(dim=(1, 2, 3))
    found = refine(network, images, start, replace(GAN.refinement, steps=80, nearness=0.0), DISTANCE)
    after = (network(found) - images).square().mean(dim=(1, 2, 3))
    assert (after < 0.1 * before).all(), (before, after)


def test_each_frame_is_refined_by_itself() -> None:
    network, options = generator(), replace(GAN.refinement, steps=8)
    with torch.no_grad():
        images = network(latents(network, 3))
    start = network.mean_w.expand(3, network.latents, -1)
    together = refine(network, images, start, options, DISTANCE)
    alone = refine(network, images[1:2], start[1:2], options, DISTANCE)
    torch.testing.assert_close(alone[0], together[1], atol=1e-3, rtol=1e-3)
    assert torch.equal(refine(network, images, start, replace(options, steps=0), DISTANCE), start)


def test_nearness_keeps_latents_where_they_began() -> None:
    network = generator()
    with torch.no_grad():
        images = network(latents(network, 1))
    start = network.mean_w.expand(1, network.latents, -1)
    moved = [
        float(
            (
                refine(network, images, start, replace(GAN.refinement, steps=20, nearness=by), DISTANCE)
                - start
            ).norm()
        )
        for by in (0.0, 100.0)
    ]
    assert moved[1] < 0.2 * moved[0]


def test_the_encoder_learns_and_the_generator_stays(tmp_path: Path) -> None:
    network = generator()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, masks = toy_scenes()
    learner = LatentEncoderLearner(GAN, network, seed=0)
    assert not any(weight.requires_grad for weight in learner.generator.parameters())
    training = replace(TRAINING, steps=40, learning_rate=5e-3, log_every=10, save_every=40)
    batches = SceneBatches(lambda index: (images[index], masks[index]), range(12), 4, seed=1)
    log = fit(learner, batches, training, tmp_path, seed=0).log
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert log[-1]["latents"] < log[0]["latents"]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    again = LatentEncoderLearner(GAN, network, seed=0)
    assert equal(again.network, LatentEncoderLearner(GAN, network, seed=0).network)


@settings(max_examples=60)
@given(
    shown=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=30),
    count=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_annotated_frames_show_every_class_there_is(shown: list[list[bool]], count: int, seed: int) -> None:
    pixels = np.array(shown, np.int64) * 7
    recordings = [f"r{index % 3}" for index in range(len(shown))]
    if not pixels.any():
        with pytest.raises(DataError):
            choose_frames(pixels, recordings, count, seed)
        return
    chosen = choose_frames(pixels, recordings, count, seed)
    assert len(set(chosen)) == len(chosen) == min(count, int(pixels.any(axis=1).sum()))
    assert chosen == choose_frames(pixels, recordings, count, seed)
    assert pixels[chosen].any(axis=1).all()
    if count >= 4:
        assert (pixels[chosen].any(axis=0) == pixels.any(axis=0)).all()
    rarest = min((column for column in pixels.T if column.any()), key=lambda column: np.count_nonzero(column))
    assert (
        np.count_nonzero(rarest) >= np.count_nonzero(pixels[:, pixels[chosen[0]].nonzero()[0]], axis=0).min()
    )


def test_rare_classes_and_recordings_get_their_share() -> None:
    pixels = np.zeros((100, 3), np.int64)
    pixels[:, 0] = 9
    pixels[::10, 1] = 9  # ten frames, five of each recording
    pixels[7:9, 2] = 9  # two
    recordings = ["a", "b"] * 50
    chosen = choose_frames(pixels, recordings, 20, seed=0)
    shown = (pixels[chosen] > 0).sum(axis=0)
    assert list(shown >= (6, 6, 2)) == [True] * 3
    assert pixels[chosen[0], 2]
    assert pixels[chosen[1], 1]
    counts = [sum(recordings[index] == name for index in chosen) for name in "ab"]
    assert abs(counts[0] - counts[1]) <= 6
    assert chosen != choose_frames(pixels, recordings, 20, seed=1)
