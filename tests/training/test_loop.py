"""The loop against what it promises: resumed equals undisturbed, parts equal the whole, faults stop it in time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rarescene.foundation.errors import CheckpointError, ConfigError, TrainingError
from rarescene.foundation.protocols import Batch
from rarescene.training import (
    Fitted,
    Learner,
    SceneBatches,
    TrainingConfig,
    fit,
    learning_rate,
    to_images,
    to_pixels,
)

CONFIG = TrainingConfig(
    steps=12, batch_size=4, learning_rate=0.05, mixed_precision="no", log_every=3, save_every=4, ema_decay=0.9
)


class Toy(Learner):
    """Learns to tell a pixel's class from its colour; dropout makes the global random state matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Dropout(0.3), nn.ReLU(), nn.Conv2d(8, 2, 1)
        )
        self.poison: int | None = None

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        loss = nn.functional.cross_entropy(self.network(batch.images), batch.masks)
        return {"loss": loss * float("nan") if step == self.poison else loss}


def scenes(batch_size: int = 4) -> SceneBatches:
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    masks = (images[..., 0] > 128).astype(np.uint8)
    return SceneBatches(lambda index: (images[index], masks[index]), range(10), batch_size, seed=5)


def run(
    folder: Path, config: TrainingConfig = CONFIG, resume: bool = False, learner: Toy | None = None
) -> Fitted:
    return fit(learner or Toy(), scenes(config.batch_size), config, folder, seed=3, resume=resume)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Killed(Exception):
    """Stands for the end of the process."""


def test_resumed_run_equals_the_undisturbed_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")

    class Dying(Toy):
        def before_step(self, step: int, average: nn.Module) -> None:
            if step == 10:
                raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "cut", learner=Dying())
    resumed = run(tmp_path / "cut", resume=True)
    assert same(whole.average, resumed.average)
    curves = [
        {
            line["step"]: line["loss"]
            for line in map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())
        }
        for name in ("whole", "cut")
    ]
    assert list(curves[0]) == list(curves[1]) == [3, 6, 9, 12]
    assert curves[0][3] == curves[1][3]
    assert curves[0][12] == pytest.approx(curves[1][12], rel=1e-6)


def test_the_loss_falls_and_the_average_follows(tmp_path: Path) -> None:
    fitted = run(tmp_path, replace(CONFIG, steps=60))
    losses = [line["loss"] for line in fitted.log]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_accumulated_parts_equal_the_whole_batch(tmp_path: Path) -> None:
    class Plain(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.network[1] = nn.Identity()  # type: ignore[index]

    whole = run(tmp_path / "whole", learner=Plain())
    parts = run(tmp_path / "parts", replace(CONFIG, accumulate=2), learner=Plain())
    for a, b in zip(whole.average.parameters(), parts.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_average_without_decay_is_the_last_weights(tmp_path: Path) -> None:
    learner = Toy()
    fitted = run(tmp_path, replace(CONFIG, ema_decay=0.0), learner=learner)
    assert same(fitted.average, learner.network)


def test_average_follows_its_recursion(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Watching(Toy):
        def before_step(self, step: int, average: nn.Module) -> None:
            seen.append(self.network[0].bias.detach().clone())  # type: ignore[index,union-attr]

    learner = Watching()
    fitted = run(tmp_path, learner=learner)
    seen.append(learner.network[0].bias.detach())  # type: ignore[index,union-attr]
    expected = seen[0]
    for step, weight in enumerate(seen[1:]):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(fitted.average[0].bias, expected)  # type: ignore[index]


def test_a_loss_that_is_not_finite_stops_and_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    learner = Toy()
    learner.poison = 6
    with pytest.raises(TrainingError, match="step_00000004"):
        run(tmp_path, learner=learner)
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["step_00000004"]


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(CheckpointError, match="--resume"):
        run(tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    victim = tmp_path / "checkpoints" / "step_00000012" / "learner.safetensors"
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"learner\.safetensors"):
        run(tmp_path, replace(CONFIG, steps=14), resume=True)


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run(tmp_path, replace(CONFIG, keep=1))
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["step_00000012"]


def test_a_batch_that_cannot_be_dealt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of 3"):
        run(tmp_path, replace(CONFIG, accumulate=3))


def test_an_epoch_shows_every_scene_once() -> None:
    batches = scenes()
    drawn = np.concatenate([batches.indices(step) for step in range(5)])  # 20 places, 10 scenes
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])


def test_the_parts_of_a_batch_are_the_batch() -> None:
    whole, first, second = scenes()(7), scenes()(7, 0, 2), scenes()(7, 2, 4)
    assert torch.equal(whole.images, torch.cat([first.images, second.images]))
    assert list(whole.seeds) == [*first.seeds, *second.seeds]


def test_weights_decide_how_often_a_scene_is_drawn() -> None:
    batches = scenes(batch_size=1000)
    batches.reweigh([0, 3, 1] + [0] * 7)
    drawn = batches.indices(0)
    assert set(drawn) == {1, 2}
    assert np.mean(drawn == 1) == pytest.approx(0.75, abs=0.05)


def test_pixels_survive_the_way_to_images_and_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    images = to_images(pixels)
    assert float(images.min()) == -1
    assert float(images.max()) == 1
    assert np.array_equal(to_pixels(images), pixels)


@pytest.mark.parametrize(
    ("decay", "last"), [("none", 1.0), ("linear", 0.1), ("cosine", 0.5 * (1 - np.cos(np.pi / 10)))]
)
def test_learning_rate(decay: str, last: float) -> None:
    config = replace(CONFIG, steps=20, warmup_steps=10, learning_rate=1.0, decay=decay)  # type: ignore[arg-type]
    assert [learning_rate(config, step) for step in range(10)] == pytest.approx(
        [0.1 * (i + 1) for i in range(10)]
    )
    assert learning_rate(config, 10) == 1
    assert learning_rate(config, 19) == pytest.approx(last)
