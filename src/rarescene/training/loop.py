"""The one training loop. Everything random in a step is sampled from (seed, step), so that a run that was
killed and resumed ends with the same weights as one that was not, and several ranks follow one."""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from rarescene.foundation.configs import typed
from rarescene.foundation.console import CONSOLE, say
from rarescene.foundation.errors import CheckpointError, ConfigError, TrainingError
from rarescene.foundation.files import append_json_line, read_log, write_json_lines
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.training.checkpoints import EARLIER, checkpoints, load_checkpoint, not_finite, save_checkpoint
from rarescene.training.config import TrainingConfig
from rarescene.training.ranks import sensible_precision, this_rank, within_memory
from rarescene.training.stopping import stops_after_step

LOG = "log.jsonl"

SampleBatch = Callable[[int, int, int], Batch]


class Learner(nn.Module, ABC):
    """What the loop trains: a network, and the loss of a batch.

    Attributes:
        network: the weights that are trained and averaged.
    """

    network: nn.Module

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return scalars to log; the one called `loss` is minimised."""

    def rate(self, step: int) -> float:
        """Return the factor on the learning rate of a step, for instance in a fine-tune. 1 by default."""
        return 1.0

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the weights to train, each group with a factor on its learning rate. One of 1 by default."""
        return [([weight for weight in self.parameters() if weight.requires_grad], 1.0)]

    def before_step(self, step: int, average: nn.Module) -> None:
        """Prepare a step, for instance by refreshing a frozen copy of the average. Nothing by default."""


class Keeper(Protocol):
    """Something beside the network that has a state to resume, such as a strategy."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        ...


@dataclass(frozen=True)
class Fitted:
    """The outcome of `fit`: averaged weights, the log, and the seconds spent in steps.

    The seconds are those of all processes that trained, each up to the checkpoint that the next took up.
    """

    average: nn.Module
    log: list[dict[str, float]]
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of every scalar that was logged."""
        return {name: value for line in self.log for name, value in line.items()}


@within_memory(
    "Raise training.accumulate, which cuts a batch into parts and takes their mean gradient, or lower "
    "training.batch_size; then start again, with --resume if there is a checkpoint."
)
def fit(
    learner: Learner,
    batches: SampleBatch,
    config: TrainingConfig,
    folder: Path,
    *,
    seed: int,
    resume: bool = False,
    label: str = "training",
    mix: Callable[[Batch], Batch] | None = None,
    validate: Callable[[int, nn.Module], Mapping[str, float]] | None = None,
    watch: Callable[[int, nn.Module], Mapping[str, float]] | None = None,
    keeper: Keeper | None = None,
    ready: Callable[[], None] | None = None,
) -> Fitted:
    """Train `learner.network` and return its exponential moving average.

    Args:
        learner: the network and its loss.
        batches: gives scenes `start` to `stop` of the batch of a step.
        folder: receives `log.jsonl` and `checkpoints/`.
        resume: go on from the newest checkpoint in `folder`; without one, start.
        mix: applied once a step to what this process trains on in it (a strategy's `mix`).
        validate: called every `validate_every` steps with the step and the averaged network; its scalars are
            logged.
        watch: called by the first rank before each checkpoint with the step and the averaged network, to
            show what it can do by then; its scalars are logged.
        keeper: saved and resumed with the checkpoints.
        ready: called once, when a checkpoint has been taken up and nothing is left that could refuse.

    A first Ctrl+C or SIGTERM lets the step end and writes a checkpoint, a second one stops at once.

    Raises:
        KeyboardInterrupt: somebody asked it to stop.
        ConfigError: the batch cannot be dealt evenly to the ranks and accumulation parts, or the run that is
            resumed went beyond `config.steps`.
        CheckpointError: `folder` holds checkpoints and `resume` is false, or the newest checkpoint is
            damaged.
        DataError: the log or a checkpoint cannot be written.
        DeviceError: the device's memory is too small.
        TrainingError: the loss is no longer finite; the last good checkpoint is named.
    """
    AcceleratorState._reset_state()  # one process may train several networks, each in its own precision
    device = this_rank().device  # settles which processes there are, before the library guesses
    accelerator = Accelerator(mixed_precision=sensible_precision(config.mixed_precision, device))
    parts = accelerator.num_processes * config.accumulate
    if config.batch_size % parts:
        remedy = f"Set training.batch_size to a multiple of {parts}."
        raise ConfigError(f"a batch of {config.batch_size} cannot be dealt evenly to {parts} parts", remedy)
    share = config.batch_size // parts
    places = folder / "checkpoints"
    if checkpoints(places) and not resume:
        raise CheckpointError(
            "holds an earlier run", "Add --resume to go on with it, or choose another --out.", folder
        )

    memory = torch.channels_last if config.channels_last else torch.contiguous_format
    learner.to(accelerator.device, memory_format=memory)  # type: ignore[call-overload]
    average = copy.deepcopy(learner.network).requires_grad_(False).eval()
    groups = learner.groups()
    weights = [weight for group, _ in groups for weight in group]
    optimiser = torch.optim.AdamW(
        [{"params": group} for group, _ in groups],
        lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay,
    )  # fmt: skip
    kept = {"learner": learner, "average": average}
    first, spent = 0, 0.0
    sums: dict[str, list[Tensor]] = {}  # scalars since the last line of the log
    if resume and (found := checkpoints(places)):
        state = load_checkpoint(found[-1], kept, optimiser)
        first, spent = state["step"], typed(float, state.get("seconds", 0.0), "seconds")
        if first > config.steps:
            remedy = f"Set training.steps to {first} or more, or choose another --out."
            raise ConfigError(
                f"the run is at step {first}, beyond training.steps {config.steps}", remedy, folder
            )
        try:
            if keeper is not None:
                keeper.load_state_dict(state.get("keeper", {}))
            if accelerator.scaler is not None and "scaler" in state:
                accelerator.scaler.load_state_dict(state["scaler"])
            sums = {
                name: list(torch.tensor(values, device=accelerator.device))
                for name, values in state.get("sums", {}).items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise CheckpointError(f"is not the state of this run ({error!r})", EARLIER, found[-1]) from error
    if ready is not None:
        ready()
    log = _Log(folder / LOG, first, accelerator.is_main_process)

    if config.compile:
        learner.network.compile()
    model, optimiser = accelerator.prepare(learner, optimiser)
    model.train()
    finite = torch.ones((), dtype=torch.bool, device=accelerator.device)
    since = time.perf_counter()
    began = since - spent
    timed_from = first

    alone = accelerator.num_processes == 1
    with _progress(accelerator.is_main_process) as bar, stops_after_step(alone) as stop:
        told = Told(label, config.steps, first)
        task = bar.add_task(label, total=config.steps, completed=first, note="")
        for step in range(first, config.steps):
            learner.before_step(step, average)
            rate = learning_rate(config, step) * learner.rate(step)
            for group, (_, factor) in zip(optimiser.param_groups, groups, strict=True):
                group["lr"] = rate * factor
            first_part = accelerator.process_index * config.accumulate
            ours = range(first_part, first_part + config.accumulate)
            sampled = [batches(step, part * share, (part + 1) * share) for part in ours]
            for part, batch in zip(ours, sampled if mix is None else _mixed(sampled, mix), strict=True):
                torch.manual_seed(derive_seed(seed, "dropout", step, part))
                with nullcontext() if part == ours[-1] else accelerator.no_sync(model):
                    scalars = model(_to_device(batch, accelerator.device, memory), step)
                    accelerator.backward(scalars["loss"] / config.accumulate)
                for name, value in scalars.items():
                    sums.setdefault(name, []).append(value.detach().float())
                finite &= torch.isfinite(scalars["loss"].detach())
            norm = accelerator.clip_grad_norm_(weights, config.gradient_clip or math.inf).detach()
            sums.setdefault("gradient", []).append(norm)
            if accelerator.scaler is None:  # a scaler leaves out steps whose gradient overflowed
                finite &= torch.isfinite(norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            _average(average, learner.network, step, config.ema_decay)

            done = step + 1
            bar.advance(task)
            due_log = done % config.log_every == 0 or done == config.steps
            due_show = done % config.save_every == 0 or done == config.steps
            due_save = due_show or stop.asked is not None
            if due_save:  # an average that is not finite shows in no loss
                finite &= not_finite(average.state_dict()) is None
            if (due_log or due_save) and not bool(accelerator.reduce(finite.float(), "mean") == 1):
                raise _not_finite(done, folder, places)
            if due_log:
                now = time.perf_counter()
                line = {
                    name: float(accelerator.reduce(torch.stack(found).mean(), "mean"))
                    for name, found in sums.items()
                }
                speed = (done - timed_from) * config.batch_size / (now - since)
                log.add({"step": done, **line, "lr": rate, "scenes_per_second": speed})
                note = f"loss {line['loss']:.4f}  {speed:.0f} scenes/s"
                bar.update(task, note=note)
                if bar.disable and accelerator.is_main_process:
                    told.say(done, note)
                sums, since, timed_from = {}, now, done
            if validate is not None and config.validate_every and done % config.validate_every == 0:
                paused = time.perf_counter()
                log.add({"step": done, **validate(done, average)})
                since += time.perf_counter() - paused
            if due_show and watch is not None and accelerator.is_main_process:
                paused = time.perf_counter()
                if shown := watch(done, average):
                    log.add({"step": done, **shown})
                since += time.perf_counter() - paused
            if due_save and accelerator.is_main_process:
                extra: dict[str, Any] = {
                    "sums": {name: torch.stack(found).tolist() for name, found in sums.items()},
                    "seconds": round(time.perf_counter() - began, 2),
                }
                if keeper is not None:
                    extra["keeper"] = keeper.state_dict()
                if accelerator.scaler is not None:
                    extra["scaler"] = accelerator.scaler.state_dict()
                save_checkpoint(places, done, kept, optimiser, extra, config.keep)
            if due_save:
                accelerator.wait_for_everyone()
            if stop.asked is not None:
                raise stop.now()
    return Fitted(average, log.lines, time.perf_counter() - began)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate of a step: a linear rise, then constant or falling until the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    match config.decay:
        case "none":
            return config.learning_rate
        case "linear":
            return config.learning_rate * (1 - progress)
        case "cosine":
            return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        case "polynomial":
            return config.learning_rate * (1 - progress) ** config.decay_power
        case "exponential":
            return config.learning_rate * config.decay_factor**progress


def _average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the weights; early on it forgets faster, not to be held back by the start."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        pairs = list(zip(average.parameters(), network.parameters(), strict=True))
        torch._foreach_lerp_([mean for mean, _ in pairs], [weight.detach() for _, weight in pairs], 1 - decay)
        for mean, value in zip(average.buffers(), network.buffers(), strict=True):
            mean.copy_(value)


def _mixed(parts: Sequence[Batch], mix: Callable[[Batch], Batch]) -> list[Batch]:
    """Return the parts of a batch after they were mixed as one, since to a strategy a call is a step."""
    if len(parts) == 1:
        return [mix(parts[0])]
    whole = mix(
        Batch(
            torch.cat([part.images for part in parts]),
            torch.cat([part.masks for part in parts]),
            [seed for part in parts for seed in part.seeds],
        )
    )
    size = len(parts[0])
    cuts = [slice(start, start + size) for start in range(0, len(whole), size)]
    return [Batch(whole.images[cut], whole.masks[cut], whole.seeds[cut]) for cut in cuts]


def _to_device(batch: Batch, device: torch.device, memory: torch.memory_format) -> Batch:
    images = batch.images.to(device, non_blocking=True, memory_format=memory)
    return Batch(images, batch.masks.to(device, non_blocking=True), batch.seeds)


def _progress(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    lines = not CONSOLE.is_terminal
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=CONSOLE, disable=lines or not shown)


class Told:
    """What is said of a training where a bar cannot be drawn, as in a file: a line now and then.

    Args:
        label: what is trained.
        steps: in all.
        first: where this process began.
    """

    EVERY = 30.0  # seconds, and longer in a long training

    def __init__(self, label: str, steps: int, first: int) -> None:
        self.label, self.steps, self.first = label, steps, first
        self.began = self.last = time.perf_counter()

    def say(self, done: int, note: str) -> None:
        """Say where the training is, and how long it will take, if it is time to."""
        now = time.perf_counter()
        left = (now - self.began) / (done - self.first) * (self.steps - done)
        if done < self.steps and now - self.last < max(self.EVERY, left / 20):
            return
        self.last = now
        when = f"; {left / 60:.1f} min left" if done < self.steps else ""
        say(f"{self.label} {done:,} of {self.steps:,}: {' '.join(note.split())}{when}")


def _not_finite(step: int, folder: Path, places: Path) -> TrainingError:
    good = checkpoints(places)
    last = f"The last good checkpoint is {good[-1]}." if good else "There is no checkpoint yet."
    remedy = f"{last} Lower training.learning_rate, or set training.mixed_precision to no, and add --resume."
    return TrainingError(f"the loss is no longer finite at step {step}", remedy, folder)


class _Log:
    """`log.jsonl`: one line a report. A resumed run drops the lines after its checkpoint and goes on."""

    def __init__(self, path: Path, first: int, writes: bool) -> None:
        self.path, self.writes = path, writes
        self.lines = [line for line in read_log(path) if line["step"] <= first] if first else []
        if writes:
            write_json_lines(path, self.lines)

    def add(self, line: Mapping[str, float]) -> None:
        """Add what is finite: an overflow of fp16, which the scaler handles, has no number in JSON."""
        known = {name: value for name, value in line.items() if math.isfinite(value)}
        self.lines.append(known)
        if self.writes:
            append_json_line(self.path, known)
