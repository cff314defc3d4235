"""The simulations of GAUDA, sections 8.2 and 8.3: points of two classes, an ensemble of small classifiers.

Two noisy classes of points in the plane differ by their distance from the centre, and one of them is rare. An
ensemble of 20 networks (two fully connected layers, 10 nodes, ReLU, dropout) learns to tell them apart.

- 8.2: after each epoch the sampling weights of the training points are set anew: by the validation accuracy
  of their class (adaptive sampling as it was published), or by its uncertainty, the variance of the ensemble.
- 8.3: the number of training points is doubled: before the training, by points drawn at random, or while it
  runs, by points of the class that is most uncertain at that time.

The text gives the network and the ensemble; numbers of points, noise, imbalance, dropout chance, optimiser
and epochs are lost. Those of `SimulationConfig` are ours and were fixed before the first run, but for the
epochs (60, then 120, since some curves had not levelled off), and the seeds (40, then 24) and the test
points (4000, then 2000), to save time.

All networks of all seeds are one batched product, so that dozens of seeds cost little more than one. Every
seed draws from a generator of its own: its curve is the same among any number of seeds, and its data, first
weights, batches and dropout are shared by all schemes that are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.foundation.configs import (
    Block,
    Channels,
    Count,
    Members,
    Positive,
    Range,
    Settings,
    ShareBelowOne,
    Weight,
)
from rarescene.foundation.seeds import derive_seed

COMMON, RARE = 0, 1

Sampling = Literal["uniform", "score", "uncertainty"]
Augmentation = Literal["none", "pre-train", "online, random class", "online, most uncertain class"]
Weighting = Literal["point", "class", "own"]


@dataclass(frozen=True)
class SimulationConfig(Settings):
    """The size of a simulation.

    Attributes:
        seeds: independent repetitions.
        epochs: validations; after each, weights or data are adapted.
        members: networks of an ensemble (paper: 20).
        hidden: nodes between the two layers (paper: 10).
        dropout: chance that a node is dropped in training; lost in the text.
        points: training points; as many for the validation.
        test_points: test points.
        rare: share of the rare class, in all three.
        radii: mean distance from the centre, of the common and of the rare class.
        noise: standard deviation of the distance.
        batch_size: points a step.
        learning_rate: of Adam.
        weighting: what the number that is adapted to means: the weight of each "point" of a class, as the
            paper's words have it (a class of many points is drawn more often); the share of the draws that
            the whole "class" gets; or a point's "own" weight, measured on that point instead of its class.
    """

    seeds: Count = 24
    epochs: Count = 120
    members: Members = 20
    hidden: Channels = 10
    dropout: ShareBelowOne = 0.2
    points: Count = 1000
    test_points: Count = 2000
    rare: Annotated[float, Range(above=0, below=1)] = 0.05
    radii: tuple[Weight, Weight] = (2.0, 1.0)
    noise: Weight = 0.5
    batch_size: Block = 64
    learning_rate: Positive = 1e-2
    weighting: Weighting = "point"

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch: as many as the training points give, also where points are added."""
        return math.ceil(self.points / self.batch_size)


@dataclass(frozen=True)
class Points:
    """Points of S seeds: `where` `(S, N, 2)`, `labels` int64 `(S, N)`."""

    where: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Curves:
    """What was measured after each of E epochs, of S seeds.

    Attributes:
        accuracy: of the ensemble on the test points, `(S, E)` as the next four.
        balanced: mean of the accuracies of both classes.
        rare_accuracy: accuracy on the rare class.
        rare_share: share of the rare class among the points that the epoch drew.
        rare_data: share of the rare class in the training data of the epoch.
        uncertainty: of both classes on the validation points, `(S, E, 2)`.
    """

    accuracy: np.ndarray
    balanced: np.ndarray
    rare_accuracy: np.ndarray
    rare_share: np.ndarray
    rare_data: np.ndarray
    uncertainty: np.ndarray


class Draws:
    """Random numbers of S seeds, each from a generator of its own."""

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        self.generators = [
            torch.Generator().manual_seed(derive_seed("simulation", seed, purpose)) for seed in seeds
        ]

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers from 0 to below 1, `(S, *shape)`."""
        return torch.stack([torch.rand(shape, generator=one) for one in self.generators])

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers, `(S, *shape)`."""
        return torch.stack([torch.randn(shape, generator=one) for one in self.generators])


def draw_points(labels: Tensor, config: SimulationConfig, draws: Draws) -> Points:
    """Return a point for each label `(S, N)`: at a noisy distance from the centre, in any direction."""
    number = labels.shape[1]
    distance = torch.tensor(config.radii)[labels] + config.noise * draws.normal(number)  # (S, N)
    angle = 2 * math.pi * draws.uniform(number)  # (S, N)
    return Points(torch.stack([distance * angle.cos(), distance * angle.sin()], dim=-1), labels)


def draw_set(number: int, config: SimulationConfig, draws: Draws, seeds: int) -> Points:
    """Return points of which exactly the share `config.rare` is of the rare class, one at least of each."""
    rare = min(max(1, round(config.rare * number)), number - 1)
    labels = (torch.arange(number) < rare).long().expand(seeds, number)
    return draw_points(labels, config, draws)


class Ensembles:
    """S ensembles of M networks, which learn in one batched product as each would alone.

    The loss is the sum of all networks' losses, and Adam treats every weight by itself, so no network feels
    another. Layers have the shape of `torch.nn.Linear`, and begin as it does: uniform within 1/√inputs.
    """

    def __init__(self, config: SimulationConfig, draws: Draws) -> None:
        self.shape, self.dropout = (config.seeds, config.members), config.dropout

        def layer(inputs: int, outputs: int) -> list[Tensor]:
            bound = 1 / math.sqrt(inputs)
            parts = [draws.uniform(config.members, outputs, width) for width in (inputs, 1)]
            return [((2 * part.flatten(0, 1) - 1) * bound).requires_grad_() for part in parts]

        # (S M, hidden, 2), (S M, hidden, 1), (S M, 2, hidden), (S M, 2, 1)
        self.weights = [*layer(2, config.hidden), *layer(config.hidden, 2)]
        self.optimiser = torch.optim.Adam(self.weights, lr=config.learning_rate)

    def logits(self, points: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return `(S M, 2, B)`.

        Args:
            points: `(S M, 2, B)`.
            kept: bool `(S M, hidden, B)`, the nodes that dropout leaves; None without dropout.
        """
        first, first_bias, second, second_bias = self.weights
        hidden = torch.baddbmm(first_bias, first, points).relu()  # (S M, hidden, B)
        if kept is not None:
            hidden = hidden * (kept / (1 - self.dropout))
        return torch.baddbmm(second_bias, second, hidden)

    def step(self, points: Tensor, labels: Tensor, kept: Tensor) -> None:
        """Take one step of every network on its own batch, `(S M, 2, B)` and int64 `(S M, B)`."""
        loss = F.cross_entropy(self.logits(points, kept), labels, reduction="sum") / labels.shape[1]
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    @torch.no_grad()
    def posterior(self, points: Tensor) -> Tensor:
        """Return the probability of the rare class by each member, `(S, M, N)`, for points `(S, N, 2)`."""
        (seeds, members), (first, first_bias, second, second_bias) = self.shape, self.weights
        # All members of a seed look at the same points: one product a seed.
        stacked = torch.baddbmm(
            first_bias.reshape(seeds, -1, 1), first.reshape(seeds, -1, 2), points.transpose(1, 2)
        )  # (S, M hidden, N)
        hidden = stacked.relu_().view(seeds * members, -1, points.shape[1])  # (S M, hidden, N)
        margin = second[:, RARE] - second[:, COMMON], second_bias[:, RARE] - second_bias[:, COMMON]
        chance = torch.baddbmm(margin[1][:, None], margin[0][:, None], hidden).sigmoid()
        return chance.view(seeds, members, -1)


def class_accuracies(posterior: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy of the mean prediction on each class, `(S, 2)`, from `(S, M, N)` and `(S, N)`."""
    right = ((posterior.mean(1) > 0.5).long() == labels).double()  # (S, N)
    return torch.stack([_mean_where(right, labels == c) for c in (COMMON, RARE)], dim=1)


def point_uncertainties(posterior: Tensor) -> Tensor:
    """Return Eq. 8's variance of the members' predictions at each point, `(S, N)`, from `(S, M, N)`."""
    return posterior.var(dim=1, correction=0).double()


def class_uncertainties(posterior: Tensor, labels: Tensor) -> Tensor:
    """Return the mean variance over the points predicted or labelled as each class, `(S, 2)`."""
    variance, predicted = point_uncertainties(posterior), (posterior.mean(1) > 0.5).long()
    members = [(labels == c) | (predicted == c) for c in (COMMON, RARE)]
    return torch.stack([_mean_where(variance, one) for one in members], dim=1)


def point_weights(value: Tensor, labels: Tensor, weighting: Weighting) -> Tensor:
    """Return the chance of each training point to be drawn, `(S, N)`, each row of sum 1.

    Args:
        value: what is adapted to, not negative: `(S, 2)` of the classes, or `(S, N)` of the points.
    """
    match weighting:
        case "own":
            weights = value
        case "point":
            weights = value.gather(1, labels)
        case "class":
            sizes = torch.stack([(labels == c).sum(1) for c in (COMMON, RARE)], dim=1)  # (S, 2)
            weights = (value / sizes).gather(1, labels)
    total = weights.sum(1, keepdim=True)
    # Where nothing is wrong, or nothing uncertain, all points are drawn alike.
    return torch.where(total > 0, weights / total.clamp(min=1e-300), 1 / labels.shape[1])


def drawn(chances: Tensor, numbers: Tensor) -> Tensor:
    """Return the indices that uniform numbers `(S, K)` pick by chances `(S, N)`, int64 `(S, K)`."""
    ends = chances.double().cumsum(1)
    picked = torch.searchsorted(ends, numbers.double() * ends[:, -1:], right=True)
    return picked.clamp(max=chances.shape[1] - 1)


def sample_adaptively(scheme: Sampling, config: SimulationConfig) -> Curves:
    """Section 8.2: train with sampling weights that follow accuracy or uncertainty, or stay uniform."""
    run = _Run(config)
    training = run.training
    chances = torch.full(training.labels.shape, 1 / config.points, dtype=torch.double)
    for _ in range(config.epochs):
        run.epoch(training, chances)
        posterior, labels = run.posterior, run.validation.labels
        match scheme, config.weighting:
            case "uniform", _:
                continue
            case "score", "own":
                chance = run.network.posterior(training.where).mean(1).double()
                value = torch.where(training.labels == RARE, 1 - chance, chance)
            case "score", _:
                value = 1 - class_accuracies(posterior, labels)
            case _, "own":
                value = point_uncertainties(run.network.posterior(training.where))
            case _:
                value = class_uncertainties(posterior, labels)
        chances = point_weights(value, training.labels, config.weighting)
    return run.curves()


def augment_while_training(scheme: Augmentation, config: SimulationConfig) -> Curves:
    """Section 8.3: double the training points before the training, or class by class while it runs.

    New points come from the true distribution of their class, as those of a perfect generator would. Online,
    equally many join after each epoch but the last, until there are as many new ones as there were old ones.
    """
    run = _Run(config)
    data, more = run.training, Draws(range(config.seeds), "more")
    turns = max(1, config.epochs - 1)
    parts = np.diff(np.linspace(0, config.points, turns + 1).round().astype(int)).tolist()
    if scheme == "pre-train":
        labels = (more.uniform(config.points) < config.rare).long()
        data = _joined(data, draw_points(labels, config, more))
    for epoch in range(config.epochs):
        run.epoch(data, torch.full(data.labels.shape, 1 / data.labels.shape[1], dtype=torch.double))
        if not scheme.startswith("online") or epoch >= len(parts):
            continue
        if scheme == "online, random class":
            chosen = (more.uniform(1) < 0.5).long()  # (S, 1)
        else:
            unsure = class_uncertainties(run.posterior, run.validation.labels)  # (S, 2)
            chosen = unsure.argmax(1, keepdim=True)
        data = _joined(data, draw_points(chosen.expand(-1, parts[epoch]), config, more))
    return run.curves()


class _Run:
    """One training of all seeds: data, networks, and what is measured after each epoch.

    Attributes:
        posterior: of the validation points after the last epoch, `(S, M, N)`.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config, seeds = config, range(config.seeds)
        data = Draws(seeds, "data")
        self.training, self.validation, self.test = (
            draw_set(number, config, data, config.seeds)
            for number in (config.points, config.points, config.test_points)
        )
        self.network = Ensembles(config, Draws(seeds, "weights"))
        self.posterior = self.network.posterior(self.validation.where)
        self.batches, self.nodes = Draws(seeds, "batches"), Draws(seeds, "nodes")
        self.found: list[tuple[Tensor, ...]] = []

    def epoch(self, data: Points, chances: Tensor) -> None:
        """Train for an epoch on points drawn by their chances, and look at validation and test points."""
        config, batch = self.config, self.config.batch_size
        rare = torch.zeros(config.seeds)
        for _ in range(config.steps):
            picked = drawn(chances, self.batches.uniform(config.members * batch))  # (S, M B)
            labels = data.labels.gather(1, picked)
            points = data.where.gather(1, picked[..., None].expand(-1, -1, 2))  # (S, M B, 2)
            kept = self.nodes.uniform(config.members, config.hidden, batch) >= config.dropout
            self.network.step(
                points.reshape(-1, batch, 2).transpose(1, 2), labels.reshape(-1, batch), kept.flatten(0, 1)
            )
            rare += (labels == RARE).float().mean(1) / config.steps
        self.posterior = self.network.posterior(self.validation.where)
        by_class = class_accuracies(self.network.posterior(self.test.where), self.test.labels)  # (S, 2)
        shares = torch.stack([(self.test.labels == c).double().mean(1) for c in (COMMON, RARE)], dim=1)
        self.found.append(
            (
                (by_class * shares).sum(1), by_class.mean(1), by_class[:, RARE], rare,
                (data.labels == RARE).double().mean(1),
                class_uncertainties(self.posterior, self.validation.labels),
            )
        )  # fmt: skip

    def curves(self) -> Curves:
        """Return what was measured."""
        return Curves(*(torch.stack(parts, dim=1).numpy() for parts in zip(*self.found, strict=True)))


def _joined(data: Points, new: Points) -> Points:
    return Points(torch.cat([data.where, new.where], 1), torch.cat([data.labels, new.labels], 1))


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen values of each row, `(S,)`; 0 where none is."""
    return (values * chosen).sum(1) / chosen.sum(1).clamp(min=1)
