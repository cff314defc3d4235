"""The loop keeps its promises: resumed equals undisturbed, parts equal the whole, faults stop it in time."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError, TrainingError
from rarescene.foundation.files import read_json, read_json_lines, write_json
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
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
from rarescene.training.loop import Told

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


class KilledError(Exception):
    """Stands for the end of the process."""


def test_resumed_run_equals_the_undisturbed_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")

    class Dying(Toy):
        def before_step(self, step: int, average: nn.Module) -> None:
            if step == 10:
                raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path / "cut", learner=Dying())
    state = tmp_path / "cut" / "checkpoints" / "step_00000008" / "state.json"
    assert 0 < read_json(state)["seconds"] < 600
    write_json(state, read_json(state) | {"seconds": 1000.0})
    resumed = run(tmp_path / "cut", resume=True)
    assert same(whole.average, resumed.average)
    assert resumed.seconds > 1000  # those of the first process, too
    logs = [read_json_lines(tmp_path / name / "log.jsonl") for name in ("whole", "cut")]
    assert [line["step"] for line in logs[0]] == [3, 6, 9, 12]
    for line in (line for log in logs for line in log):
        assert line.pop("scenes_per_second") > 0
    assert logs[0] == logs[1]  # the line of step 9 averages steps before and after the kill


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_every_precision_trains_and_resumes_on_a_processor(
    tmp_path: Path, precision: Literal["no", "bf16", "fp16"]
) -> None:
    config = replace(CONFIG, mixed_precision=precision)
    whole = run(tmp_path / "whole", config)
    run(tmp_path / "cut", replace(config, steps=8))
    assert same(whole.average, run(tmp_path / "cut", config, resume=True).average)
    plain = run(tmp_path / "plain")
    assert same(whole.average, plain.average) == (precision != "bf16")  # fp16 needs a GPU
    assert all(weight.dtype == torch.float32 for weight in whole.average.parameters())


def test_validation_is_logged_and_a_resumed_run_validates_like_the_undisturbed_one(tmp_path: Path) -> None:
    config = replace(CONFIG, validate_every=5)

    def validated(folder: Path, steps: int, resume: bool = False) -> list[dict[str, float]]:
        def validate(step: int, network: nn.Module) -> dict[str, float]:
            return {"norm": float(sum(weight.norm() for weight in network.parameters()))}

        settings = replace(config, steps=steps)
        fit(Toy(), scenes(), settings, folder, seed=3, resume=resume, validate=validate)
        return [line for line in read_json_lines(folder / "log.jsonl") if "norm" in line]

    whole = validated(tmp_path / "whole", 12)
    assert [line["step"] for line in whole] == [5, 10]
    validated(tmp_path / "cut", 8)
    assert validated(tmp_path / "cut", 12, resume=True) == whole


class Halves(Toy):
    """Its first layer learns at a tenth of the rate."""

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.network[3].parameters()), 1.0), (list(self.network[0].parameters()), 0.1)]


def test_a_group_of_weights_learns_at_its_share_of_the_rate(tmp_path: Path) -> None:
    """AdamW's first step moves each weight by the rate, whatever its gradient: m/√v is ±1."""
    before, learner = Toy(), Halves()
    config = replace(CONFIG, steps=1, weight_decay=0.0, gradient_clip=0.0)
    log = run(tmp_path, config, learner=learner).log
    for layer, rate in ((0, 0.1 * 0.05), (3, 0.05)):
        moved = (learner.network[layer].weight - before.network[layer].weight).abs()  # type: ignore[operator]
        torch.testing.assert_close(moved.max(), torch.tensor(rate), rtol=1e-3, atol=0)
        torch.testing.assert_close(moved.median(), torch.tensor(rate), rtol=1e-2, atol=0)
    assert log[-1]["lr"] == 0.05  # the log has that of the others


def test_a_run_with_groups_resumes_like_the_undisturbed_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", learner=Halves())
    run(tmp_path / "cut", replace(CONFIG, steps=8), learner=Halves())
    assert same(whole.average, run(tmp_path / "cut", resume=True, learner=Halves()).average)
    assert not same(whole.average, run(tmp_path / "plain").average)


def test_a_keeper_takes_up_its_state(tmp_path: Path) -> None:
    class Counting:
        mixed = 0

        def mix(self, batch: Batch) -> Batch:
            self.mixed += 1
            return batch

        def state_dict(self) -> dict[str, int]:
            return {"mixed": self.mixed}

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self.mixed = state["mixed"]

    for steps, resume in ((8, False), (12, True)):
        keeper = Counting()
        settings = replace(CONFIG, steps=steps)
        fit(Toy(), scenes(), settings, tmp_path, seed=3, resume=resume, mix=keeper.mix, keeper=keeper)
    assert keeper.mixed == 12


def test_a_line_of_the_log_that_a_kill_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    run(tmp_path, replace(CONFIG, steps=8))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 9, "lo')
    run(tmp_path, resume=True)
    assert [line["step"] for line in read_json_lines(tmp_path / "log.jsonl")] == [3, 6, 8, 9, 12]


@pytest.mark.parametrize(("room", "left"), [(0, []), (5, ["step_00000004"])])
def test_a_full_disk_leaves_whole_checkpoints_alone(
    tmp_path: Path, room: int, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = 0

    def full(tensors: dict[str, Tensor], path: Path) -> None:
        nonlocal files
        files += 1
        Path(path).write_bytes(b"half")
        if files > room:
            raise SafetensorError("Error while serializing: I/O error: No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr("rarescene.training.checkpoints.save_file", full)
    with pytest.raises(DataError, match=r"checkpoint could not be written.*No space left") as told:
        run(tmp_path)
    assert "--resume" in told.value.remedy
    assert sorted(place.name for place in (tmp_path / "checkpoints").glob("*")) == left


def test_a_gradient_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    class Exploding(Toy):
        def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
            loss = super().forward(batch, step)["loss"]
            if step == 7:  # the loss of the step before a checkpoint is finite, and its gradient is not
                self.network[0].weight.register_hook(lambda gradient: gradient * float("inf"))
            return {"loss": loss}

    with pytest.raises(TrainingError, match="step_00000004"):
        run(tmp_path, learner=Exploding())
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["step_00000004"]


def test_a_run_is_not_resumed_to_fewer_steps(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ConfigError, match=r"at step 12, beyond training\.steps 8"):
        run(tmp_path, replace(CONFIG, steps=8), resume=True)


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


def test_parts_are_mixed_as_one_batch(tmp_path: Path) -> None:
    """A strategy that draws in the background takes a call for a step."""
    seen: dict[int, list[Batch]] = {1: [], 2: []}
    trained: dict[int, list[Tensor]] = {1: [], 2: []}

    class Watched(Toy):
        def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
            trained[parts] += [image * len(seen[parts]) for image in batch.images]
            return super().forward(batch, step)

    def mix(batch: Batch) -> Batch:
        seen[parts].append(batch)
        return Batch(batch.images.flip(-1), batch.masks.flip(-1), batch.seeds)

    for parts in seen:
        config = replace(CONFIG, accumulate=parts)
        fit(Watched(), scenes(), config, tmp_path / str(parts), seed=3, mix=mix)
    assert [len(batches) for batches in seen.values()] == [12, 12]
    assert all(
        torch.equal(a.images, b.images) and a.seeds == b.seeds for a, b in zip(*seen.values(), strict=True)
    )
    assert torch.equal(torch.stack(trained[1]), torch.stack(trained[2]))


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


def test_weights_decide_how_often_a_scene_is_sampled() -> None:
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


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("polynomial", [1.0, 0.75**0.2, 0.5**0.2, 0.25**0.2]),
        ("exponential", [1.0, 0.01**0.25, 0.1, 0.01**0.75]),
    ],
)
def test_decays_follow_their_closed_forms(
    decay: Literal["polynomial", "exponential"], expected: list[float]
) -> None:
    config = replace(CONFIG, steps=10, warmup_steps=2, learning_rate=3.0, decay=decay)
    assert [learning_rate(config, step) / 3 for step in (0, 1)] == pytest.approx([0.5, 1.0])
    assert [learning_rate(config, step) / 3 for step in (2, 4, 6, 8)] == pytest.approx(expected)


def test_an_exponential_decay_takes_the_same_factor_in_every_epoch() -> None:
    config = replace(CONFIG, steps=500, decay="exponential", decay_factor=0.08)
    rates = [learning_rate(config, step) for step in range(0, 500, 50)]
    factors = [after / before for before, after in itertools.pairwise(rates)]
    assert factors == pytest.approx([0.08**0.1] * 9)


def test_betas_reach_the_optimiser_and_no_clip_leaves_gradients_alone(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3, betas=(0.5, 0.9), gradient_clip=0)
    fitted = Toy()
    run(tmp_path, config, learner=fitted)
    by_hand = Toy()
    by_hand.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(by_hand.parameters(), lr=0.05, betas=(0.5, 0.9), weight_decay=0)
    for step in range(3):
        torch.manual_seed(derive_seed(3, "dropout", step, 0))
        batch = scenes()(step)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        by_hand(Batch(images, batch.masks, batch.seeds), step)["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    for ours, theirs in zip(fitted.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"betas": (0.9, 1.0)},
        {"decay_power": 0.0},
        {"decay_factor": 0.0},
        {"decay_factor": 2.0},
        {"gradient_clip": -1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(CONFIG, **wrong)


def test_an_average_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    class Spoilt(Toy):
        def before_step(self, step: int, average: nn.Module) -> None:
            if step == 7:  # no loss and no gradient shows it
                next(average.parameters()).data.fill_(float("nan"))

    with pytest.raises(TrainingError, match="step_00000004"):
        run(tmp_path, learner=Spoilt())
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["step_00000004"]


@pytest.mark.parametrize(
    "change",
    [{"sums": {"loss": "x"}}, {"seconds": "soon"}, {"step": "12"}, {"sums": 3}, {"sums": {"loss": [None]}}],
)
def test_a_checkpoint_with_another_state_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path, replace(CONFIG, steps=8))
    state = tmp_path / "checkpoints" / "step_00000008" / "state.json"
    write_json(state, read_json(state) | change)
    with pytest.raises((CheckpointError, ConfigError)):
        run(tmp_path, resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_loses_no_step(tmp_path: Path, number: signal.Signals) -> None:
    whole = fit(Toy(), scenes(), CONFIG, tmp_path / "whole", seed=3)
    before = signal.getsignal(number)
    ordinary = scenes()

    def asked(step: int, start: int, stop: int) -> Batch:
        if step == 6:  # the step is ended all the same
            os.kill(os.getpid(), number)
        return ordinary(step, start, stop)

    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(Toy(), asked, CONFIG, tmp_path / "stopped", seed=3)
    assert stopped.value.args == (128 + number,)
    assert signal.getsignal(number) is before
    places = sorted(path.name for path in (tmp_path / "stopped/checkpoints").iterdir())
    assert places == ["step_00000004", "step_00000007"]
    resumed = fit(Toy(), scenes(), CONFIG, tmp_path / "stopped", seed=3, resume=True)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name])
    steps = [line["step"] for line in read_json_lines(tmp_path / "stopped/log.jsonl")]
    assert steps == [line["step"] for line in read_json_lines(tmp_path / "whole/log.jsonl")] == [3, 6, 9, 12]
    theirs = [line["loss"] for line in resumed.log]
    assert theirs == [line["loss"] for line in whole.log]


def test_a_second_time_it_stops_at_once(tmp_path: Path) -> None:
    def impatient(step: int, start: int, stop: int) -> Batch:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return scenes()(step, start, stop)

    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), impatient, CONFIG, tmp_path, seed=3)
    assert not (tmp_path / "checkpoints").exists()


def test_where_no_bar_can_be_drawn_lines_tell_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 10)
    monkeypatch.setattr("rarescene.training.loop.Told.EVERY", 0.0)
    fit(Toy(), scenes(), CONFIG, tmp_path, seed=3, label="toy")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("toy")]
    assert [line.split(":")[0] for line in lines] == [f"toy {step} of 12" for step in (3, 6, 9, 12)]
    assert all("loss" in line and "scenes/s" in line for line in lines)
    assert [line.endswith("min left") for line in lines] == [True, True, True, False]
    told = Told("toy", 1000, 100)
    monkeypatch.setattr("rarescene.training.loop.time.perf_counter", lambda: told.began + 6 * next(clock))
    next(clock)
    told.say(200, "loss 1")  # 60 seconds for 100 steps: 480 are left
    assert capsys.readouterr().out == "toy 200 of 1,000: loss 1; 8.0 min left\n"
