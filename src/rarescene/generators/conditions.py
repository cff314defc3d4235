"""How a request reaches the joint generator's network: as a multi-hot vector, or as prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.joint_latent_config import JointLatentConfig
from rarescene.generators.prompted_maps import thin_out
from rarescene.generators.prompts import PromptBook
from rarescene.networks import LabelUNet, PromptUNet
from rarescene.scenes import ClassTable, Request


class Condition(Protocol):
    """What the network is told of a request, beside z_t and t.

    Attributes:
        words: whether numbers of pieces and places are listened to, or the classes alone.
    """

    words: bool

    def network(self, channels: int) -> nn.Module:
        """Return a new network for latents of so many channels."""
        ...

    def thinned(self, request: Request, seed: int) -> Request:
        """Return what a training scene's request says to the network; nothing where it is dropped."""
        ...

    def inputs(self, requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
        """Return the network's third and fourth input; the fourth, bool, is False where nothing is asked."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write what generation needs to a folder, and return what the generator's description says of it."""
        ...


class LabelCondition:
    """The classes that a scene shows, as one multi-hot vector (section 4.2.2 of GAUDA)."""

    words = False

    def __init__(self, config: JointLatentConfig, table: ClassTable) -> None:
        self.config, self.table = config, table

    def network(self, channels: int) -> LabelUNet:
        """Return a new network for latents of so many channels."""
        return LabelUNet(self.config.network, channels, len(self.table))

    def thinned(self, request: Request, seed: int) -> Request:
        """Return the request, or with probability p the empty one."""
        chance = np.random.default_rng(derive_seed(seed, "condition")).random()
        return Request(()) if chance < self.config.condition_dropout else request

    def inputs(self, requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
        """Return the multi-hot vectors `(B, C)`, and whether anything is asked, bool `(B,)`."""
        labels = np.stack([request.multi_hot(len(self.table)) for request in requests])
        return torch.from_numpy(labels), torch.tensor([bool(request.classes) for request in requests])

    def save(self, folder: Path) -> dict[str, Any]:
        """Write nothing: the class table is all that it needs."""
        return {}


class TextCondition:
    """A prompt a class, encoded as the map generator of CASDM encodes it: text to (image, mask) in one step.

    Args:
        config: of the generator.
        book: the prompts of the class table.
        frequency: share of the training scenes that show each class, by which one is chosen to be asked for
            alone; by default all are chosen alike.
    """

    words = True

    def __init__(
        self, config: JointLatentConfig, book: PromptBook, frequency: Sequence[float] | None = None
    ) -> None:
        self.config, self.book = config, book
        shown = np.ones(len(book.table)) if frequency is None else np.asarray(frequency, np.float64)
        self.rarity = 1 / np.maximum(shown, 1e-3)

    def network(self, channels: int) -> PromptUNet:
        """Return a new network for latents of so many channels."""
        return PromptUNet(self.config.network, channels, len(self.book.table), self.book.width)

    def thinned(self, request: Request, seed: int) -> Request:
        """Return a request that leaves something unsaid, with probability p everything."""
        return thin_out(request, seed, self.config.prompts, self.rarity)

    def inputs(self, requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
        """Return the features of the prompts `(B, C, width)`, and which classes are asked, bool `(B, C)`."""
        return self.book.features(requests)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the book of prompts, and return the fingerprint of its text encoder."""
        self.book.save(folder)
        return {"text_encoder": self.book.fingerprint}


def load_condition(
    config: JointLatentConfig, table: ClassTable, folder: Path, described: dict[str, Any]
) -> Condition:
    """Read what `save` wrote, given what the generator's description says.

    Raises:
        CheckpointError: the prompts are damaged, or of another text encoder.
    """
    if config.condition == "labels":
        return LabelCondition(config, table)
    book = PromptBook.load(folder, table)
    if described.get("text_encoder") != book.fingerprint:
        remedy = "Restore the folder: generator.json and prompts.json belong together."
        raise CheckpointError("was trained with prompts of another text encoder", remedy, folder)
    return TextCondition(config, book)
