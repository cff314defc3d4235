"""The label branch: two ways to one answer, what it learns, and when it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.generators import LabelBranchLearner, train_labels
from rarescene.generators.datasetgan_config import LabelBranchConfig
from rarescene.generators.label_branch import LabelEnsemble, enlarged, features_at
from rarescene.testing.toys import equal

from .gan_toy import GAN, LABEL_TRAINING, generator, latents

NETWORK = generator()


def features(count: int, seed: int = 0) -> list[Tensor]:
    with torch.no_grad():
        return NETWORK.synthesise(latents(NETWORK, count, seed))[1]


def threshold(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Latents, and masks that say where a feature of the middle level is large."""
    w = latents(NETWORK, count, seed)
    with torch.no_grad():
        middle = NETWORK.synthesise(w)[1][2]
    return w, (enlarged(middle, 16, 16)[:, 0] > 0.2).long()


def learner(
    w: Tensor, masks: Tensor, options: LabelBranchConfig = GAN.labels, seed: int = 0
) -> LabelBranchLearner:
    return LabelBranchLearner(options, NETWORK, w, masks, classes=2, ignore_index=255, seed=seed)


@pytest.mark.parametrize("count", [1, 3])
def test_features_at_pixels_are_those_of_enlarged_maps(count: int) -> None:
    maps = features(count)
    rows, columns = torch.randint(16, (2, count, 9))
    found = features_at(maps, rows, columns, (16, 16))
    large = torch.cat([enlarged(one, 16, 16) for one in maps], dim=1)
    for index in range(count):
        torch.testing.assert_close(found[index], large[index][:, rows[index], columns[index]].T)


@pytest.mark.parametrize("count", [1, 3])
def test_maps_are_the_mean_of_the_members_at_every_pixel(count: int) -> None:
    torch.manual_seed(0)
    network = LabelEnsemble(NETWORK.feature_channels, 3, GAN.labels)
    for _ in range(3):
        network(
            torch.randn(32, 2, sum(NETWORK.feature_channels))
        )  # the norms' statistics move off their start
    network.eval()
    maps = features(count)
    large = (
        torch.cat([enlarged(one, 16, 16) for one in maps], dim=1).flatten(2).transpose(1, 2)
    )  # (B, H·W, F)
    with torch.no_grad():
        found = network.maps(maps, 16, 16)
        for index in range(count):
            logits = network(large[index].unsqueeze(1).expand(-1, 2, -1))  # both members see every pixel
            expected = logits.softmax(-1).mean(1).T.view(3, 16, 16)
            torch.testing.assert_close(found[index], expected, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(logits[:, 0], logits[:, 1])
    torch.testing.assert_close(found.sum(1), torch.ones(count, 16, 16))


def test_members_share_nothing() -> None:
    network = LabelEnsemble((5, 4), 3, GAN.labels).train()
    pixels = torch.randn(12, 2, 9, requires_grad=True)
    network(pixels)[:, 0].square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad[:, 0].abs().sum() > 0
    assert not pixels.grad[:, 1].any()


def test_it_learns_labels_that_are_a_function_of_features(tmp_path: Path) -> None:
    w, masks = threshold(16)
    masks[:, :3] = 255  # a class id of 255 would raise in the loss
    options = replace(GAN.labels, pixels=64, training=replace(LABEL_TRAINING, steps=200))
    fitted = train_labels(lambda: learner(w, masks, options), options, tmp_path, seed=0, resume=False)
    other, truth = threshold(8, seed=9)
    with torch.no_grad():
        found = fitted.average.maps(NETWORK.synthesise(other)[1], 16, 16).argmax(1)  # type: ignore[operator]
    assert 0.1 < truth.float().mean() < 0.9
    assert (found == truth).float().mean() > 0.93


def test_unlabelled_frames_and_pixels_are_never_sampled() -> None:
    w, masks = threshold(4)
    masks[1] = 255
    masks[2, 1:] = 255
    made = learner(w, masks)
    assert len(made.places) == 3
    frames, places = made._sample(range(40))
    assert set(frames.tolist()) == {0, 1, 2}
    assert (places[frames == 1] < 16).all()  # the third frame is the second that has labels, in its first row
    assert torch.equal(made._sample([7])[1][0], made._sample([6, 7])[1][1])
    masks[:] = 255
    with pytest.raises(DataError):
        learner(w, masks)


def test_training_stops_when_the_loss_does(tmp_path: Path) -> None:
    w, masks = threshold(4)
    constant = torch.zeros_like(masks)  # one class: learned at once
    options = replace(
        GAN.labels, check_every=5, patience=2, gain=0.9, training=replace(LABEL_TRAINING, steps=200)
    )
    stopped = train_labels(
        lambda: learner(w, constant, options), options, tmp_path / "stop", seed=0, resume=False
    )
    assert stopped.log[-1]["step"] < 100
    losses = [line["loss"] for line in stopped.log]
    assert min(losses[-2:]) > 0.1 * min(losses[:-2])
    patient = replace(options, patience=1000, training=replace(LABEL_TRAINING, steps=12))
    log = train_labels(
        lambda: learner(w, masks, patient), patient, tmp_path / "all", seed=0, resume=False
    ).log
    assert [line["step"] for line in log] == [5, 10, 12]


def test_a_killed_run_stops_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    w, masks = threshold(4)
    options = replace(
        GAN.labels, check_every=5, patience=2, gain=0.2, training=replace(LABEL_TRAINING, steps=60)
    )
    whole = train_labels(
        lambda: learner(w, masks, options), options, tmp_path / "whole", seed=0, resume=False
    )
    short = replace(options, training=replace(LABEL_TRAINING, steps=10))
    train_labels(lambda: learner(w, masks, short), short, tmp_path / "cut", seed=0, resume=False)
    for _ in range(2):  # the second time there is nothing left to do
        again = train_labels(
            lambda: learner(w, masks, options), options, tmp_path / "cut", seed=0, resume=True
        )
        assert equal(again.average, whole.average)
        assert [line["loss"] for line in again.log] == [line["loss"] for line in whole.log]


@pytest.mark.parametrize(
    "values",
    [{"members": 0}, {"hidden": (8,)}, {"gain": 1.0}, {"training": replace(LABEL_TRAINING, decay="cosine")}],
)
def test_options_that_cannot_be_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(GAN.labels, **values)  # type: ignore[arg-type]
