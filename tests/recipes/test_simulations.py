"""The simulations: known values, single networks as a second implementation, seeds that keep apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import nn

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError
from rarescene.recipes.gauda.simulated import fig10, fig11, level, mean_interval, reached, settled
from rarescene.recipes.gauda.simulations import (
    Augmentation,
    Draws,
    Ensembles,
    Sampling,
    SimulationConfig,
    augment_while_training,
    class_accuracies,
    class_uncertainties,
    draw_set,
    drawn,
    point_uncertainties,
    point_weights,
    sample_adaptively,
)
from rarescene.recipes.outcome import Sheet

SMALL = SimulationConfig(seeds=2, epochs=4, members=3, points=120, test_points=80, batch_size=20)


def test_points_lie_at_their_distance_and_in_every_direction() -> None:
    config = replace(SMALL, radii=(2.0, 1.0), noise=0.1, rare=0.25)
    data = draw_set(4000, config, Draws([0, 1], "data"), 2)
    distance = data.where.norm(dim=-1)
    for label, radius in enumerate(config.radii):
        of_class = distance[data.labels == label]
        assert float(of_class.mean()) == pytest.approx(radius, abs=0.01)
        assert float(of_class.std()) == pytest.approx(config.noise, abs=0.01)
    assert data.labels.double().mean(1).tolist() == [0.25, 0.25]
    assert data.where.mean(dim=(0, 1)).abs().max() < 0.05
    assert not torch.equal(data.where[0], data.where[1])


def test_variance_of_members_that_are_known() -> None:
    certain = torch.tensor([0.0, 0.0, 1.0, 1.0])[None, :, None]  # two against two: 1/4
    alike = torch.full((1, 4, 1), 0.3)
    assert float(point_uncertainties(certain)) == 0.25
    assert float(point_uncertainties(alike)) == pytest.approx(0.0, abs=1e-12)


def test_uncertainty_and_accuracy_of_classes_by_hand() -> None:
    # Two members, four points: variances 0.01, 0, 0.04, 0; mean predictions 0.1, 0.6, 0.8, 0.2.
    posterior = torch.tensor([[[0.0, 0.6, 1.0, 0.2], [0.2, 0.6, 0.6, 0.2]]])
    labels = torch.tensor([[0, 0, 1, 1]])
    # Common: labelled 0 and 1, predicted 0 and 3. Rare: labelled 2 and 3, predicted 1 and 2.
    found = class_uncertainties(posterior, labels)
    assert found[0].tolist() == pytest.approx([0.01 / 3, 0.04 / 3], abs=1e-7)
    assert class_accuracies(posterior, labels).tolist() == [[0.5, 0.5]]


def test_weights_of_points_and_of_classes() -> None:
    labels, value = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0.1, 0.3]], dtype=torch.double)
    assert point_weights(value, labels, "point")[0].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert point_weights(value, labels, "class")[0].tolist() == pytest.approx([1 / 12, 1 / 12, 1 / 12, 3 / 4])
    own = torch.tensor([[0.0, 1.0, 3.0, 0.0]], dtype=torch.double)
    assert point_weights(own, labels, "own")[0].tolist() == [0.0, 0.25, 0.75, 0.0]
    nothing = torch.zeros(1, 2, dtype=torch.double)  # all is right: everything is drawn alike
    assert point_weights(nothing, labels, "point")[0].tolist() == [0.25] * 4


def test_points_are_drawn_by_their_chances() -> None:
    chances = torch.tensor([[0.5, 0.0, 0.3, 0.2], [0.0, 0.0, 0.0, 1.0]], dtype=torch.double)
    picked = drawn(chances, Draws([0, 1], "batches").uniform(20_000))
    shares = torch.bincount(picked[0], minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.3, 0.2], abs=0.01)
    assert set(picked[1].tolist()) == {3}
    ends = torch.tensor([[0.0, math.nextafter(1.0, 0.0)]] * 2)
    assert drawn(chances, ends)[0].tolist() == [0, 3]


def test_every_network_learns_as_it_would_alone() -> None:
    """A second implementation: each network by itself, as torch.nn and its own Adam have it."""
    config = replace(SMALL, dropout=0.3)
    ensembles = Ensembles(config, Draws([0, 1], "weights"))
    alone, optimisers = [], []
    for network in range(config.seeds * config.members):
        one = nn.Sequential(nn.Linear(2, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2))
        with torch.no_grad():
            for layer, place in ((one[0], 0), (one[2], 2)):
                layer.weight.copy_(ensembles.weights[place][network])
                layer.bias.copy_(ensembles.weights[place + 1][network, :, 0])
        alone.append(one)
        optimisers.append(torch.optim.Adam(one.parameters(), lr=config.learning_rate))
    rng = torch.Generator().manual_seed(0)
    networks, size = len(alone), 16
    for _ in range(5):
        points = torch.randn(networks, 2, size, generator=rng)
        labels = torch.randint(0, 2, (networks, size), generator=rng)
        kept = torch.rand(networks, config.hidden, size, generator=rng) >= config.dropout
        ensembles.step(points, labels, kept)
        for place, (one, optimiser) in enumerate(zip(alone, optimisers, strict=True)):
            hidden = one[1](one[0](points[place].T)) * kept[place].T / (1 - config.dropout)
            optimiser.zero_grad()
            F.cross_entropy(one[2](hidden), labels[place]).backward()
            optimiser.step()
    where = torch.randn(config.seeds, 30, 2, generator=rng)
    found = ensembles.posterior(where).flatten(0, 1)
    for place, one in enumerate(alone):
        with torch.no_grad():
            expected = one(where[place // config.members]).softmax(-1)[:, 1]
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=1e-4)
    assert found.std() > 0.01


@pytest.mark.parametrize("scheme", get_args(Sampling))
def test_a_seed_is_the_same_alone_and_among_others(scheme: Sampling) -> None:
    one, three = (sample_adaptively(scheme, replace(SMALL, seeds=seeds)) for seeds in (1, 3))
    for name, curve in vars(one).items():
        np.testing.assert_allclose(curve[0], getattr(three, name)[0], atol=1e-5)
    again = sample_adaptively(scheme, replace(SMALL, seeds=3))
    assert np.array_equal(three.accuracy, again.accuracy)
    assert not np.array_equal(three.uncertainty[0], three.uncertainty[1])


def test_schemes_share_all_but_what_they_adapt() -> None:
    found = {scheme: sample_adaptively(scheme, SMALL) for scheme in get_args(Sampling)}
    for name in ("accuracy", "rare_share", "uncertainty"):  # before the first adaptation all are one
        first = [getattr(one, name)[:, 0] for one in found.values()]
        assert np.array_equal(first[0], first[1])
        assert np.array_equal(first[0], first[2])
    assert found["uniform"].rare_share.mean() == pytest.approx(SMALL.rare, abs=0.02)
    assert np.all(
        found["score"].rare_share[:, 1] == 1.0
    )  # all rare points, and no other, are missed at first


def test_accuracy_weighs_classes_by_their_points() -> None:
    found = sample_adaptively("score", replace(SMALL, rare=0.25))
    common = 2 * found.balanced - found.rare_accuracy
    np.testing.assert_allclose(found.accuracy, 0.75 * common + 0.25 * found.rare_accuracy, atol=1e-9)


def test_data_double_before_or_while_training() -> None:
    config = replace(SMALL, rare=0.1)
    found = {scheme: augment_while_training(scheme, config) for scheme in get_args(Augmentation)}
    assert np.all(found["none"].rare_data == pytest.approx(0.1))
    before = found["pre-train"].rare_data
    assert np.all(before == before[:, :1])
    assert before.mean() == pytest.approx(0.1, abs=0.05)
    for scheme in ("online, random class", "online, most uncertain class"):
        share = found[scheme].rare_data  # type: ignore[index]
        assert np.all(share[:, 0] == pytest.approx(0.1))
        # 40 points of one class join 120, 160 and 200; those of a rare class are 12 at first.
        known = {round(12 + 40 * rare, 6) for rare in range(4)}
        assert {round(240 * value, 6) for value in share[:, -1]} <= known
    led = found["online, most uncertain class"]
    for seed in range(config.seeds):  # each part is of the class that was the most uncertain one
        rare = 12.0
        for epoch, total in enumerate((160, 200, 240)):
            rare += 40 * float(led.uncertainty[seed, epoch].argmax() == 1)
            assert led.rare_data[seed, epoch + 1] == pytest.approx(rare / total)


def test_where_a_curve_ends_and_when_it_settles() -> None:
    curve = np.array([[0.5, 0.6, 0.7, 0.695, 0.7], [0.7, 0.7, 0.7, 0.5, 0.7]])
    assert level(curve).tolist() == [0.7, 0.7]
    assert reached(curve).tolist() == [3, 1]
    assert settled(curve).tolist() == [3, 5]
    mean, interval = mean_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert interval is not None
    assert 1.0 <= interval.low < 2.5 < interval.high <= 4.0
    assert mean_interval(np.array([2.0])) == (2.0, None)


@pytest.mark.parametrize("change", [{"members": 0}, {"rare": 0.0}, {"dropout": 1.0}, {"epochs": 0}])
def test_what_is_no_simulation_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("recipe", "make"), [("gauda-fig10", fig10), ("gauda-fig11", fig11)])
def test_the_scores_say_whether_the_claims_hold(recipe: str, make: object, tmp_path: Path) -> None:
    assert main(["reproduce", recipe, "--scale", "smoke", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "smoke" / f"{recipe}.md").read_text()
    values = json.loads((tmp_path / "smoke" / f"{recipe}.json").read_text())
    assert f"rarescene reproduce {recipe} --scale smoke" in page
    assert "the scores mean nothing" in page
    assert sum(word in page for word in (": holds.", "does not hold", "not shown")) >= 1
    assert (tmp_path / "smoke" / f"{recipe}.png").stat().st_size > 10_000
    assert values["values"]["config"]["seeds"] == 3
    for sheet in values["sheets"]:
        terminal = StringIO()
        table = Sheet(sheet["title"], tuple(sheet["columns"]), tuple(map(tuple, sheet["rows"])))
        Console(file=terminal, width=80).print(table.for_terminal())
        assert max(map(len, terminal.getvalue().splitlines())) <= 80


def test_the_paper_s_network_and_at_least_twenty_seeds_are_the_rule() -> None:
    config = SimulationConfig()
    assert (config.members, config.hidden) == (20, 10)
    assert config.seeds >= 20
