"""The prompts of a class table, encoded once: every class at every place and in every number that occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import read_json, write_json
from rarescene.networks import TextEncoder
from rarescene.scenes import PLACES, ClassRequest, ClassTable, Request
from rarescene.training import load_tensors, save_tensors

MOST = 12
"""The largest number of pieces whose prompts are encoded beforehand."""

_PLACES = (None, *PLACES)
_WEIGHTS, _DESCRIPTION = "prompts.safetensors", "prompts.json"
_TENSORS = ("embeddings", "of_class", "of_prompt")  # whitening too: another machine's may differ in sign
_DIRECTIONS = 128


@dataclass
class PromptBook:
    """Embeddings of a class table's prompts, and the features that a network is given of them.

    "one grasper in the upper left" and "… upper right" lie close together in any text encoder. So the
    features of a prompt are two parts, its class's place among the classes and its own among the prompts of
    its class, each whitened over the book: all directions in which prompts differ count alike.

    Attributes:
        table: the classes.
        encoder: what the prompts were encoded by, as `TextEncoder.open` takes it.
        fingerprint: of that encoder's weights.
        embeddings: float32 `(C, 10, N + 1, D)`: each class at no place or one of `PLACES`, in no number or
            1 to N.
        of_class: whitens a class's mean embedding, less the mean of all, float32 `(D, K)`.
        of_prompt: whitens an embedding, less its class's mean, float32 `(D, L)`.
    """

    table: ClassTable
    encoder: str
    fingerprint: str
    embeddings: Tensor
    of_class: Tensor
    of_prompt: Tensor
    _opened: TextEncoder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._classes = self.embeddings.mean(dim=(1, 2))  # (C, D)
        ids = torch.arange(len(self.table)).view(-1, 1, 1).expand(self.embeddings.shape[:3])
        self._features = self._whitened(self.embeddings, ids)  # (C, 10, N + 1, width)

    @classmethod
    def write(cls, table: ClassTable, encoder: TextEncoder, most: int) -> PromptBook:
        """Encode the prompts of a class table, for numbers of pieces up to `most`."""
        counts = (None, *range(1, min(most, MOST) + 1))
        words = [
            ClassRequest(class_id, count, place).to_words(table)
            for class_id in range(len(table))
            for place in _PLACES
            for count in counts
        ]
        embeddings = encoder.encode(words).view(len(table), len(_PLACES), len(counts), -1)
        classes = embeddings.mean(dim=(1, 2))  # (C, D)
        of_class = _whitening(classes - classes.mean(dim=0))
        of_prompt = _whitening((embeddings - classes[:, None, None]).flatten(0, 2))
        return cls(table, encoder.source, encoder.fingerprint, embeddings, of_class, of_prompt, encoder)

    @property
    def most(self) -> int:
        """The largest number of pieces in the book."""
        return self.embeddings.shape[2] - 1

    @property
    def width(self) -> int:
        """Length of a prompt's features."""
        return self.of_class.shape[1] + self.of_prompt.shape[1]

    def features(self, requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
        """Return the features of each class's prompt `(B, C, width)`, 0 where not asked, and bool `(B, C)`.

        A number beyond the book is encoded anew, for which the text encoder is opened.

        Raises:
            CheckpointError: that text encoder cannot be had, or is not the one of the book.
        """
        features = torch.zeros(len(requests), len(self.table), self.width)
        asked = torch.zeros(len(requests), len(self.table), dtype=torch.bool)
        entries = [(row, entry) for row, request in enumerate(requests) for entry in request.classes]
        if entries:
            rows, ids = torch.tensor([(row, entry.class_id) for row, entry in entries]).unbind(1)
            features[rows, ids] = torch.stack([self._feature(entry) for _, entry in entries])
            asked[rows, ids] = True
        return features, asked

    def _feature(self, entry: ClassRequest) -> Tensor:
        count = entry.count or 0
        if count <= self.most:
            return self._features[entry.class_id, _PLACES.index(entry.place), count]
        if self._opened is None:
            self._opened = TextEncoder.open(self.encoder)
            if self._opened.fingerprint != self.fingerprint:
                remedy = "Ask for fewer pieces, or restore the text encoder of the training."
                raise CheckpointError(f"the text encoder {self.encoder!r} has changed since", remedy)
        return self._whitened(
            self._opened.encode([entry.to_words(self.table)]), torch.tensor([entry.class_id])
        )[0]

    def _whitened(self, embeddings: Tensor, ids: Tensor) -> Tensor:
        """Return the features `(…, width)` of embeddings `(…, D)` of prompts of classes `(…)`."""
        classes = self._classes[ids]
        of_class = (classes - self._classes.mean(dim=0)) @ self.of_class
        return torch.cat([of_class, (embeddings - classes) @ self.of_prompt], dim=-1)

    def save(self, folder: Path) -> None:
        """Write the book to a folder: safetensors and JSON."""
        save_tensors({name: getattr(self, name) for name in _TENSORS}, folder / _WEIGHTS)
        write_json(folder / _DESCRIPTION, {"encoder": self.encoder, "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path, table: ClassTable) -> PromptBook:
        """Read what `save` wrote. Raises `CheckpointError` when it is damaged, or of another class table."""
        path = folder / _DESCRIPTION
        described, tensors = read_json(path), load_tensors(folder / _WEIGHTS)
        try:
            encoder, fingerprint = str(described["encoder"]), str(described["fingerprint"])
            # Copied, since a file's tensors may lie where products are rounded in another order.
            embeddings, of_class, of_prompt = (tensors[name].clone() for name in _TENSORS)
            if embeddings.shape[:2] != (len(table), len(_PLACES)):
                raise ValueError("its prompts are of other classes")
        except (KeyError, TypeError, ValueError) as error:
            remedy = "Restore the folder, or train the generator again."
            raise CheckpointError(f"is not a book of prompts ({error})", remedy, path) from error
        return cls(table, encoder, fingerprint, embeddings, of_class, of_prompt)


def _whitening(values: Tensor) -> Tensor:
    """Return the `(D, K)` that maps centred rows `(N, D)` to K uncorrelated columns of variance near 1.

    K is the number of directions in which the rows differ, 128 at most. What hardly differs stays small, so
    that rounding is not made large.
    """
    _, spread, directions = torch.linalg.svd(values.double(), full_matrices=False)
    spread = spread / len(values) ** 0.5  # the standard deviation along each direction
    kept = max(1, int((spread[:_DIRECTIONS] > 1e-4 * spread[0]).sum()))
    damped = (spread[:kept] ** 2 + (0.02 * spread[0]) ** 2).sqrt().clamp_min(1e-9)
    return (directions[:kept].T / damped).float().contiguous()
