"""A generator whose whole state is one network: how it is trained, moved, saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from rarescene.diffusion import SamplingConfig
from rarescene.foundation.methods import GeneratorMethod
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.metadata import read_description, write_description
from rarescene.scenes import ClassTable, SceneCache
from rarescene.training import Learner, load_weights, save_tensors

WEIGHTS = "weights.safetensors"

Config = TypeVar("Config")


class NetworkGenerator(ABC, Generic[Config]):
    """A trained network, its options and its classes; a method adds what it generates by them.

    Attributes:
        method: the declaration.
        summary: a sentence for its card.
    """

    method: ClassVar[GeneratorMethod]
    summary: ClassVar[str]

    def __init__(self, network: Any, config: Config, table: ClassTable) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config, self.table = config, table

    @classmethod
    @abstractmethod
    def build(cls, config: Config, table: ClassTable) -> nn.Module:
        """Return the network for these classes, not trained."""

    @property
    def name(self) -> str:
        """Of the method, as in `generator.json` and in run records."""
        return self.method.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Move the weights, and return the generator."""
        self.network.to(device=device, memory_format=torch.channels_last)
        return self

    def sampling(self, config: SamplingConfig) -> dict[str, Any]:
        """Return the options of `generate`: none. Raises `ConfigError` for any that is set, but the block."""
        return config.block_alone(self.method.title)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and settings (JSON) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / WEIGHTS)
        write_description(folder, self.name, self.config, self.table)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        config, table, _ = read_description(folder, cls.method.name, cls.method.config)
        network = cls.build(config, table)
        load_weights(network, folder / WEIGHTS)
        return cls(network, config, table)


class NetworkLearner(Learner, Generic[Config]):
    """Trains the network of such a generator; a method adds the loss.

    Attributes:
        trains: the generator.
    """

    trains: ClassVar[type[NetworkGenerator[Any]]]

    def __init__(self, config: Config, table: ClassTable, seed: int) -> None:
        super().__init__()
        self.config, self.table = config, table
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.initialise()

    def initialise(self) -> None:
        """Make `network`, and what else has weights that the seed decides."""
        self.network = self.trains.build(self.config, self.table)

    @classmethod
    def of_scenes(cls, config: Config, scenes: SceneCache, seed: int) -> Self:
        """Return a learner for the classes of the training scenes."""
        return cls(config, scenes.classes, seed)

    def generator(self, network: nn.Module) -> Any:
        """Return the generator of a trained network."""
        return self.trains(network, self.config, self.table)
