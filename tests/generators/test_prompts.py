"""The book of prompts: encoded once, told apart well, kept with the encoder's fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rarescene.foundation.errors import CheckpointError
from rarescene.generators import PromptBook
from rarescene.networks import EMBEDDED, TextEncoder
from rarescene.scenes import CHOLECSEG8K, ClassTable, Request, SceneClass

SMALL = ClassTable("small", (SceneClass(0, "liver", (255, 0, 0)), SceneClass(1, "grasper", (0, 255, 0))))


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.open(EMBEDDED)


@pytest.fixture(scope="module")
def book(encoder: TextEncoder) -> PromptBook:
    return PromptBook.write(SMALL, encoder, 2)


def features(book: PromptBook, *texts: str) -> tuple[Tensor, Tensor]:
    return book.features([Request.parse(text, book.table) for text in texts])


def test_a_prompt_stands_at_its_class(book: PromptBook, encoder: TextEncoder) -> None:
    found, asked = features(book, "grasper: two, upper right", "", "liver; grasper")
    assert asked.tolist() == [[False, True], [False, False], [True, True]]
    assert found.shape == (3, 2, book.width)
    assert not found[~asked].any()
    words = encoder.encode(["two graspers in the upper right"])[0]
    torch.testing.assert_close(book.embeddings[1, 3, 2], words, atol=1e-5, rtol=1e-4)


def test_places_lie_closer_in_the_encoder_than_in_the_book(book: PromptBook, encoder: TextEncoder) -> None:
    def likeness(vectors: Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0))

    encoded = encoder.encode(["one grasper in the upper left", "one grasper in the upper right"])
    found, _ = features(book, "grasper: one, upper left", "grasper: one, upper right")
    assert likeness(encoded) > 0.9
    assert abs(likeness(found[:, 1, book.of_class.shape[1] :])) < 0.5


def test_over_the_book_all_directions_count_alike(book: PromptBook) -> None:
    everything = (book.embeddings - book.embeddings.mean(dim=(1, 2), keepdim=True)).flatten(0, 2)
    columns = everything @ book.of_prompt
    covariance = columns.T @ columns / len(columns)
    assert torch.linalg.matrix_norm(covariance - torch.diag(covariance.diagonal())) < 1e-2
    assert (covariance.diagonal() <= 1.01).all()
    assert covariance.diagonal()[:12].min() > 0.8


def test_more_pieces_than_the_book_has_are_encoded_anew(book: PromptBook, encoder: TextEncoder) -> None:
    found, _ = features(book, "grasper: nine, centre", "grasper: two, centre")
    assert not torch.equal(found[0], found[1])
    larger = PromptBook.write(SMALL, encoder, 9)
    torch.testing.assert_close(
        larger.embeddings[1, 5, 9], encoder.encode(["nine graspers in the centre"])[0], atol=1e-5, rtol=1e-4
    )


def test_a_saved_book_says_the_same_without_its_encoder(
    book: PromptBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.save(tmp_path)
    loaded = PromptBook.load(tmp_path, SMALL)
    assert (loaded.encoder, loaded.fingerprint) == (EMBEDDED, book.fingerprint)

    def refuse(source: str) -> TextEncoder:
        raise AssertionError("the encoder was opened")

    monkeypatch.setattr(TextEncoder, "open", refuse)
    texts = ("liver: two", "grasper: one, centre; liver")
    for one, other in zip(features(book, *texts), features(loaded, *texts), strict=True):
        assert torch.equal(one, other)


def test_another_encoder_is_refused(book: PromptBook, tmp_path: Path) -> None:
    book.save(tmp_path)
    changed = PromptBook.load(tmp_path, SMALL)
    changed.fingerprint = "another"
    with pytest.raises(CheckpointError, match="has changed"):
        features(changed, "liver: seven")


def test_a_book_of_other_classes_is_refused(book: PromptBook, tmp_path: Path) -> None:
    book.save(tmp_path)
    with pytest.raises(CheckpointError, match="other classes"):
        PromptBook.load(tmp_path, CHOLECSEG8K)
