"""Sampling while a training goes on, without a clock deciding what the training sees.

A thread samples. Each denoising step calls the thread's gate, which lets it go on or makes it rest. Between
two training steps the gate opens for a fixed number of denoising steps and the training waits for them; so
sampling ends at a training step that its length alone decides, and a resumed run that makes the same number
of denoising steps anew is where the first one was.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
import torch

Result = TypeVar("Result")


class _Closed(BaseException):
    """Ends a sampling that is no longer wanted; no `except Exception` of a generator stops it."""


class Gate:
    """What a generator passes after each denoising step; called as its `progress`.

    Attributes:
        used: denoising steps made.
        seconds: how long the thread worked between its rests.
    """

    def __init__(self) -> None:
        self.used = 0
        self.seconds: list[float] = []
        self._turn = threading.Condition()
        self._allowed = 0.0
        self._until_mark = self._ended = self._closed = False

    def __call__(self, done: int, total: int) -> None:
        """Count a denoising step, and rest until more of them are allowed."""
        self._rest(ticks=1)

    def mark(self) -> None:
        """Tell that a block of pairs is done; a gate opened for one block closes."""
        with self._turn:
            if self._until_mark:
                self._until_mark, self._allowed = False, self.used
        self._rest(ticks=0)

    def _rest(self, ticks: int) -> None:
        # What was only queued would hold up the training step that follows; one sampled beside holds up none.
        if torch.cuda.is_initialized() and (self._until_mark or self._allowed < math.inf):
            torch.cuda.synchronize()
        with self._turn:
            self.seconds.append(time.perf_counter() - self._since)
            self.used += ticks
            self._wait()

    def _wait(self) -> None:
        self._turn.notify_all()
        self._turn.wait_for(lambda: self._closed or self.used < self._allowed)
        if self._closed:
            raise _Closed
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Wait for the first opening."""
        with self._turn:
            self._wait()

    def end(self) -> None:
        """Tell that there is nothing left to sample."""
        with self._turn:
            if not self._closed:
                self.seconds.append(time.perf_counter() - self._since)
            self._ended = True
            self._turn.notify_all()

    def open(self, ticks: float) -> None:
        """Allow so many denoising steps more, and wait until they are made or the sampling has ended."""
        with self._turn:
            self._allowed += ticks
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._ended or self.used >= self._allowed)

    def open_for_a_block(self) -> None:
        """Allow the denoising steps of one block, and wait until it is done."""
        with self._turn:
            self._until_mark = True
        self.open(math.inf)

    def set_free(self) -> None:
        """Allow all denoising steps, and do not wait."""
        with self._turn:
            self._allowed = math.inf
            self._turn.notify_all()

    def close(self) -> None:
        """Make the thread end at its next denoising step."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()


class BackgroundSampling(Generic[Result]):
    """Work in a thread of its own, which rests until its gate is opened.

    It runs in inference mode, which is a matter of each thread. One that is forgotten, or under way when the
    program ends, is closed.

    Args:
        work: samples, and calls the gate after each denoising step.
    """

    def __init__(self, work: Callable[[Gate], Result]) -> None:
        self.gate = Gate()
        self._answer: Future[Result] = Future()
        device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
        self._thread = threading.Thread(
            target=_run,
            args=(work, self.gate, self._answer, torch.get_num_threads(), device),
            name="sampling",
            daemon=True,
        )
        self._forgotten = weakref.finalize(self, _stop, self.gate, self._thread)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether all is sampled, or the sampling has failed."""
        return self._answer.done()

    def result(self) -> Result:
        """Wait for the end, and return what was sampled or raise what went wrong."""
        return self._answer.result()

    def first_block(self) -> list[float]:
        """Sample the first block now, and return the seconds of its denoising steps."""
        self.gate.open_for_a_block()
        if self.ended:  # it rests at the end of a block, unless it failed
            self.result()
        return list(self.gate.seconds)

    def close(self) -> None:
        """End the thread, at its next denoising step at the latest."""
        self._forgotten()


def _run(
    work: Callable[[Gate], Result], gate: Gate, answer: Future[Result], threads: int, device: int | None
) -> None:
    torch.set_num_threads(threads)  # a new thread knows neither the number of threads nor the device
    if device is not None:
        torch.cuda.set_device(device)
    try:
        gate.begin()
        with torch.inference_mode():
            answer.set_result(work(gate))
    except _Closed:
        answer.cancel()
    except BaseException as error:  # raised again where the result is asked for
        answer.set_exception(error)
    finally:
        gate.end()


def _stop(gate: Gate, thread: threading.Thread) -> None:
    gate.close()
    if thread is not threading.current_thread():
        thread.join()


def ticks_within(budget: float, seconds: list[float]) -> int:
    """Return how many denoising steps fit into `budget` seconds, at least 1.

    The slowest tenth is passed over: the first steps after a start, and decoding.
    """
    return max(1, int(budget / max(float(np.quantile(seconds, 0.9)), 1e-6)))
