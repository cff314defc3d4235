"""Sampling that rests between training steps ends where its length says, not where the clock does."""

from __future__ import annotations

import gc
import threading
import time

import pytest
import torch

from rarescene.augmentation.background_sampling import BackgroundSampling, Gate, ticks_within


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "sampling"]


def count_to(total: int, made: list[int]):  # type: ignore[no-untyped-def]
    def work(gate: Gate) -> int:
        for step in range(total):
            made.append(step)
            gate(step + 1, total)
        return sum(made)

    return work


@pytest.mark.parametrize("ticks", [1, 3, 7])
def test_it_makes_as_many_steps_as_are_allowed_and_then_rests(ticks: int) -> None:
    made: list[int] = []
    sampling = BackgroundSampling(count_to(10, made))
    openings = 0
    while not sampling.ended:
        assert len(made) == openings * ticks
        time.sleep(0.002)  # however long the training takes
        assert len(made) == openings * ticks
        sampling.gate.open(ticks)
        openings += 1
    assert openings == 10 // ticks + 1
    assert sampling.result() == sum(range(10))


def test_a_block_is_sampled_to_its_end() -> None:
    made: list[int] = []

    def work(gate: Gate) -> None:
        for _ in range(2):
            count_to(4, made)(gate)
            made.append(-1)
            gate.mark()

    sampling = BackgroundSampling(work)
    sampling.gate.open_for_a_block()
    assert made == [0, 1, 2, 3, -1]
    assert sampling.gate.used == 4
    assert len(sampling.gate.seconds) == 5  # four denoising steps and what follows them
    sampling.gate.open(2)
    assert made[5:] == [0, 1]
    sampling.close()


def test_a_free_one_is_only_joined() -> None:
    made: list[int] = []
    sampling = BackgroundSampling(count_to(50, made))
    sampling.gate.set_free()
    assert sampling.result() == sum(range(50))


def test_what_goes_wrong_is_told_where_it_is_asked_for() -> None:
    def work(gate: Gate) -> None:
        gate(1, 2)
        raise ArithmeticError("the generator has failed")

    sampling = BackgroundSampling(work)
    sampling.gate.open(1)
    assert not sampling.ended
    sampling.gate.open(1)
    assert sampling.ended
    with pytest.raises(ArithmeticError, match="the generator has failed"):
        sampling.result()


def test_it_samples_in_inference_mode_and_the_training_does_not() -> None:
    sampling = BackgroundSampling(lambda gate: torch.is_inference_mode_enabled())
    sampling.gate.open(1)
    assert sampling.result() is True
    assert not torch.is_inference_mode_enabled()


def test_a_closed_one_ends_though_the_work_catches_everything_it_can() -> None:
    def work(gate: Gate) -> None:
        while True:
            try:
                gate(1, 1)
            except Exception:
                continue

    sampling = BackgroundSampling(work)
    sampling.gate.open(3)
    assert threads()
    sampling.close()
    sampling.close()
    assert not threads()


def test_a_forgotten_one_ends() -> None:
    sampling = BackgroundSampling(count_to(1000, []))
    sampling.gate.open(2)
    assert threads()
    del sampling
    gc.collect()
    assert not threads()


def test_the_training_waits_no_longer_than_the_steps_that_it_allows() -> None:
    def work(gate: Gate) -> None:
        for _ in range(100):
            time.sleep(0.01)
            gate(1, 100)

    sampling = BackgroundSampling(work)
    began = time.perf_counter()
    sampling.gate.open(3)
    took = time.perf_counter() - began
    assert 0.03 <= sum(sampling.gate.seconds) <= took < 1.0  # all of them take longer than a second
    sampling.close()


def test_a_budget_is_divided_by_the_seconds_of_a_step() -> None:
    assert ticks_within(0.1, [0.02] * 20) == 5
    assert ticks_within(0.1, [5.0] + [0.02] * 20) == 5  # the first step loads kernels
    assert ticks_within(0.1, [3.0] * 20) == 1  # never none at all
    assert ticks_within(0.1, [0.0]) > 1
