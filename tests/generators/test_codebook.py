"""Dead codes are revived, by latents that need one, alike for every rank and resumed run."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rarescene.generators import perplexity
from rarescene.generators.codebook import CodebookCare


def batch(step: int = 0) -> Tensor:
    return torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step))


def codes_of(latents: Tensor, book: Tensor) -> Tensor:
    flat = latents.permute(0, 2, 3, 1).flatten(0, 2)
    return torch.cdist(flat, book).argmin(1).view(len(latents), *latents.shape[-2:])


def run(steps: int, care: CodebookCare | None = None, begin: int = 0) -> tuple[CodebookCare, Tensor, Tensor]:
    care = care or CodebookCare(8, 3, revive_every=4, seed=7)
    book, average = torch.zeros(8, 3), torch.full((8, 3), 5.0)
    book[0] = 0.1
    for step in range(begin, steps):
        care.renew(step, book, average)
        care.observe(batch(step), codes_of(batch(step), book), book, step)
    return care, book, average


def test_the_codebook_begins_with_latents_of_the_first_batch() -> None:
    _, book, average = run(2)
    latents = batch(0).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.cdist(book, latents).min(1).values.max() < 1e-6
    assert torch.equal(book, average)


def test_only_codes_without_use_are_replaced_and_in_the_average_too() -> None:
    care = CodebookCare(4, 1, revive_every=3, seed=0)
    book, average = torch.tensor([[0.0], [1.0], [50.0], [60.0]]), torch.tensor([[0.5], [1.5], [40.0], [70.0]])
    latents = torch.tensor([0.0, 1.0, 1.1, 20.0]).view(1, 1, 2, 2)
    for step in range(2, 12):  # the codebook was begun before
        care.renew(step, book, average)
        care.observe(latents, torch.tensor([0, 1, 1, 1]).view(1, 2, 2), book, step)
    assert book[:2].flatten().tolist() == [0.0, 1.0]
    assert average[:2].flatten().tolist() == [0.5, 1.5]
    assert torch.equal(book[2:], average[2:])
    assert book[2:].max() < 50
    # 20 lies 19 from its code, the others next to theirs: it is what a new code is needed for.
    assert book[2:].flatten().tolist() == [20.0, 20.0]


def test_revival_is_a_function_of_seed_and_step() -> None:
    (one, book, _), (_, other, _) = run(9), run(9)
    assert torch.equal(book, other)
    elsewhere = run(9, CodebookCare(8, 3, revive_every=4, seed=8))[1]
    assert not torch.equal(book, elsewhere)
    assert set(one.state_dict()) == {"idle", "share", "fresh"}  # so that a resumed run knows them


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_latents_that_are_no_numbers_are_left_to_the_loop(value: float) -> None:
    care = CodebookCare(4, 1, revive_every=3, seed=0)
    latents, codes = torch.tensor([0.0, value]).view(1, 1, 1, 2), torch.zeros(1, 1, 2, dtype=torch.int64)
    seen = care.observe(latents, codes, torch.zeros(4, 1), step=0)
    assert torch.isfinite(seen["perplexity"])


def test_perplexity_counts_codes_that_are_used_alike() -> None:
    assert perplexity(torch.full((16,), 3.0)).item() == pytest.approx(16)
    assert perplexity(torch.tensor([0, 9, 0])).item() == pytest.approx(1)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert perplexity(torch.tensor([3, 1, 0])).item() == pytest.approx(math.exp(entropy))


def test_what_is_logged_is_the_use_of_the_codes() -> None:
    care = CodebookCare(4, 1, revive_every=100, seed=0)
    book, latents = torch.arange(4.0)[:, None], torch.zeros(1, 1, 2, 2)
    for step in range(1, 101):
        care.idle += 1
        seen = care.observe(latents, torch.tensor([0, 0, 1, 1]).view(1, 2, 2), book, step)
    assert seen["perplexity"].item() == pytest.approx(2)
    assert seen["codes_in_use"].item() == pytest.approx(0.5)
