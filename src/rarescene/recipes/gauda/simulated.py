"""Figures 10 and 11: what the simulations of sections 8.2 and 8.3 show, and whether the claims hold.

command:       rarescene reproduce gauda-fig10, rarescene reproduce gauda-fig11
machine:       one core
running time:  gauda-fig10 four minutes, most of them for the other settings; gauda-fig11 a minute and a half

The paper's figures are charts without a table; what the text claims of them is put to the test over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rarescene.evaluation import BootstrapConfig, Interval, cohens_d, percentile_interval, resample_counts
from rarescene.recipes.gauda.simulations import (
    Augmentation,
    Curves,
    Draws,
    Sampling,
    SimulationConfig,
    augment_while_training,
    draw_set,
    sample_adaptively,
)
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent, points
from rarescene.reports import Chart, Cloud, Line, charts_picture

if TYPE_CHECKING:
    from rarescene.recipes.gauda.study import GaudaStudy

SMOKE = SimulationConfig(seeds=3, epochs=6, members=3, points=100, test_points=200)
"""Seconds; its scores mean nothing."""

SEEDS_ELSEWHERE = 20
"""Seeds of the other settings."""

CLOSE = 0.01
"""A curve has reached its level at the end once it comes this near, and has settled once it stays there."""

BOOTSTRAP = BootstrapConfig()

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "rare class 2 % of the points": {"rare": 0.02},
    "rare class 20 %": {"rare": 0.2},
    "less noise: 0.3": {"noise": 0.3},
    "more noise: 0.8": {"noise": 0.8},
    "adapted: share of a class": {"weighting": "class"},
    "adapted: each point's own": {"weighting": "own"},
}

MEASURES = {
    "accuracy": "accuracy",
    "balanced": "balanced",
    "rare_accuracy": "rare class",
    "rare_share": "rare drawn",
    "rare_data": "rare in data",
}
"""What a table calls each curve; balanced is the mean of the accuracies of both classes."""


def fig10(studies: Mapping[str, GaudaStudy], scale: str) -> Outcome:
    """Figure 10: sampling weights by uncertainty against sampling weights by validation accuracy."""
    out = Outcome("gauda-fig10", scale, "GAUDA, Figure 10: sampling by uncertainty against sampling by score")
    config = SMOKE if scale == "smoke" else SimulationConfig()
    curves = {scheme: sample_adaptively(scheme, config) for scheme in get_args(Sampling)}
    found = _differences(curves["uncertainty"], curves["score"])
    elsewhere = {"as above": found}
    for name, change in VARIANTS.items():
        other = replace(config, seeds=min(config.seeds, SEEDS_ELSEWHERE), **change)
        elsewhere[name] = _differences(
            sample_adaptively("uncertainty", other), sample_adaptively("score", other)
        )
    pairs = {
        "uncertainty, against score": found,
        "uncertainty, against uniform": _differences(curves["uncertainty"], curves["uniform"]),
        "score, against uniform": _differences(curves["score"], curves["uniform"]),
    }
    measures, seeds = ("accuracy", "balanced"), f"{SEEDS_ELSEWHERE} seeds; as above: {config.seeds}"
    out.sheets = [
        _levels(curves, config, "rare_share"),
        _compared(pairs, f"Paired differences, {config.seeds} seeds", measures),
        _compared(elsewhere, f"Uncertainty against score elsewhere ({seeds})", measures),
    ]
    out.say(
        "The paper claims faster convergence and a higher test accuracy by uncertainty.",
        _verdict("Test accuracy, uncertainty higher than score", found["accuracy"]),
        _verdict("Balanced accuracy, uncertainty higher than score", found["balanced"]),
        _verdict("Test accuracy settles earlier", -found["accuracy settled"]),
        _verdict("Balanced accuracy reaches its own level earlier", -found["reached"]),
        _verdict("Balanced accuracy settles earlier", -found["settled"]),
        _elsewhere(elsewhere),
        "Test points are as lopsided as training points, so whoever never says rare has an accuracy of "
        f"{100 * (1 - config.rare):.0f} %, and there networks begin: accuracy rewards caution about the "
        "rare class, balanced accuracy, the mean of both classes' accuracies, does not.",
        "Score swings from class to class at first, since a class that is all right is not drawn at all.",
        *_setting(config, scale),
    )
    out.values = _values(config, curves, elsewhere)
    data = draw_set(config.points, config, Draws([0], "data"), 1)
    where, labels = data.where[0].numpy(), data.labels[0].numpy()
    clouds = (Cloud("common", where[labels == 0], 1), Cloud("rare", where[labels == 1], 0))
    charts = (
        Chart("Training points of one seed", (), clouds, "x", "y"),
        _chart("Test accuracy", curves, "accuracy"),
        _chart("Balanced test accuracy", curves, "balanced"),
        _chart("Rare class among the points drawn", curves, "rare_share", "share"),
    )
    out.pictures["gauda-fig10"] = charts_picture(charts, columns=2)
    return out


def fig11(studies: Mapping[str, GaudaStudy], scale: str) -> Outcome:
    """Figure 11: the share of the rare class, doubled at random before or by uncertainty while training."""
    title = "GAUDA, Figure 11: augmentation before the training against augmentation while it runs"
    out = Outcome("gauda-fig11", scale, title)
    config = SMOKE if scale == "smoke" else SimulationConfig()
    curves = {scheme: augment_while_training(scheme, config) for scheme in get_args(Augmentation)}
    led, chance = curves["online, most uncertain class"], curves["online, random class"]
    against, control = _differences(led, curves["pre-train"]), _differences(led, chance)
    pairs = {
        "most uncertain class, against pre-train": against,
        "random class, against pre-train": _differences(chance, curves["pre-train"]),
        "most uncertain, against random class": control,
    }
    out.sheets = [
        _levels(curves, config, "rare_data"),
        _compared(pairs, f"Paired differences, {config.seeds} seeds", ("rare_data", "balanced")),
    ]
    out.say(
        "The paper claims a significantly higher share of the limited class for online augmentation.",
        _verdict("Share of the rare class, by uncertainty higher than pre-train", against["rare_data"]),
        _verdict("The same, by uncertainty higher than a random class", control["rare_data"]),
        _verdict("Balanced accuracy, by uncertainty higher than pre-train", against["balanced"]),
        _verdict("Balanced accuracy, by uncertainty higher than a random class", control["balanced"]),
        _verdict("Test accuracy, by uncertainty higher than pre-train", against["accuracy"]),
        _verdict("Test accuracy, by uncertainty higher than a random class", control["accuracy"]),
        "The random class is our control: whoever asks for classes instead of points raises the share of "
        "a rare one, whatever leads the choice.",
        "New points come from the true distribution of their class, as from a perfect generator.",
        *_setting(config, scale),
    )
    out.values = _values(config, curves, {"against pre-train": against, "against random class": control})
    epochs = range(1, led.uncertainty.shape[1] + 1)
    uncertain = tuple(
        _line(name, epochs, led.uncertainty[..., place], series)
        for place, (name, series) in enumerate((("common", 1), ("rare", 0)))
    )
    charts = (
        _chart("Rare class in the training data", curves, "rare_data", "share"),
        Chart("Uncertainty, online by it", uncertain, (), "epoch", "variance", (0.0,)),
        _chart("Test accuracy", curves, "accuracy"),
        _chart("Balanced test accuracy", curves, "balanced"),
    )
    out.pictures["gauda-fig11"] = charts_picture(charts, columns=2)
    return out


def level(curve: np.ndarray) -> np.ndarray:
    """Return where curves `(S, E)` end: the mean of their last twentieth, one epoch at least, `(S,)`."""
    last: np.ndarray = curve[:, -max(1, curve.shape[1] // 20) :].mean(axis=1)
    return last


def reached(curve: np.ndarray) -> np.ndarray:
    """Return the first epoch, from 1, at which curves `(S, E)` are within `CLOSE` of their level, `(S,)`."""
    near: np.ndarray = curve >= level(curve)[:, None] - CLOSE
    return near.argmax(axis=1) + 1


def settled(curve: np.ndarray) -> np.ndarray:
    """Return the epoch, from 1, after which curves `(S, E)` stay within `CLOSE` of their level, `(S,)`."""
    away = np.abs(curve - level(curve)[:, None]) > CLOSE  # (S, E)
    epochs = np.arange(1, curve.shape[1] + 1)
    after: np.ndarray = np.where(away, epochs, 0).max(axis=1) + 1
    return np.minimum(after, curve.shape[1])


def mean_interval(values: np.ndarray) -> tuple[float, Interval | None]:
    """Return the mean of one value a seed, `(S,)`, and its bootstrap interval over seeds."""
    if len(values) < 2:
        return float(np.mean(values)), None
    draws = resample_counts(len(values), BOOTSTRAP)
    return float(np.mean(values)), percentile_interval(draws @ values / len(values), BOOTSTRAP)


def _differences(one: Curves, other: Curves) -> dict[str, np.ndarray]:
    """Return paired differences of levels and epochs, one a seed; epochs are of balanced accuracy but one."""
    names = ("accuracy", "balanced", "rare_accuracy", "rare_share", "rare_data")
    found = {name: level(getattr(one, name)) - level(getattr(other, name)) for name in names}
    return found | {
        "reached": reached(one.balanced).astype(float) - reached(other.balanced),
        "settled": settled(one.balanced).astype(float) - settled(other.balanced),
        "accuracy settled": settled(one.accuracy).astype(float) - settled(other.accuracy),
    }


def _levels(curves: Mapping[str, Curves], config: SimulationConfig, share: str) -> Sheet:
    rows, measures = [], ("accuracy", "balanced", "rare_accuracy", share)
    for name, one in curves.items():
        cells = [percent(*mean_interval(level(getattr(one, measure)))) for measure in measures]
        rows.append((name, *cells, _epochs(reached(one.balanced).astype(float), "")))
    return Sheet(
        f"After {config.epochs} epochs, in per cent; means over {config.seeds} seeds",
        ("", *(MEASURES[measure] for measure in measures), "reached"),
        tuple(rows),
    )


def _compared(rows: Mapping[str, Mapping[str, np.ndarray]], title: str, measures: tuple[str, str]) -> Sheet:
    lines = []
    for name, found in rows.items():
        cells = []
        for measure in measures:
            d = cohens_d(found[measure])
            effect = MISSING if d is None else f"{d:+.2f}".replace("-", "−")
            cells += [points(*mean_interval(found[measure])), effect]
        lines.append((name, *cells, _epochs(found["reached"], "+")))
    return Sheet(
        f"{title}: points, Cohen's d, epochs",
        ("", MEASURES[measures[0]], "d", MEASURES[measures[1]], "d", "reached"),
        tuple(lines),
    )


def _epochs(values: np.ndarray, sign: str) -> str:
    """Return the mean of numbers of epochs over seeds with its interval; a `sign` of "+" shows theirs."""
    mean, interval = mean_interval(values)
    bounds = "" if interval is None else f" [{interval.low:{sign}.0f}, {interval.high:{sign}.0f}]"
    return f"{mean:{sign}.0f}{bounds}".replace("-", "−")


def _verdict(claim: str, differences: np.ndarray) -> str:
    """Say whether a difference is above 0 by its interval."""
    interval = mean_interval(differences)[1]
    if interval is None or interval.low <= 0 <= interval.high:
        return f"{claim}: not shown, the interval holds 0."
    return f"{claim}: {'holds' if interval.low > 0 else 'does not hold, it is the other way round'}."


def _elsewhere(rows: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Say in how many settings each of the two accuracies is surely higher, or surely lower."""
    words = []
    for measure in ("accuracy", "balanced"):
        bounds = [mean_interval(found[measure])[1] for found in rows.values()]
        higher = sum(one is not None and one.low > 0 for one in bounds)
        lower = sum(one is not None and one.high < 0 for one in bounds)
        often = f"higher in {higher} and lower in {lower} of {len(rows)} settings"
        words.append(f"{MEASURES[measure]} is {often}")
    return f"By uncertainty, {'; '.join(words)}."


def _setting(config: SimulationConfig, scale: str) -> tuple[str, ...]:
    smoke = ("At smoke the scores mean nothing.",) if scale == "smoke" else ()
    return (
        *smoke,
        f"{config.members} networks of {config.hidden} nodes (the paper's); {config.points:,} training "
        f"and as many validation points, {config.test_points:,} test points, {100 * config.rare:g} % "
        f"of them rare; distances {config.radii[0]:g} and {config.radii[1]:g} with noise {config.noise:g}, "
        f"dropout {config.dropout:g}, Adam at {config.learning_rate:g}, batches of {config.batch_size}: "
        "all ours, since the text has lost its numbers.",
        "Brackets: 95 % bootstrap intervals over seeds; data, first weights, batches and dropout are those "
        "of the seed in all schemes.",
        "Levels are means of the last twentieth of the epochs; reached: the first epoch at which balanced "
        f"accuracy comes within {100 * CLOSE:g} point of its own level; settled: the first from which it "
        "stays there, which depends on how much a curve trembles.",
    )


def _values(
    config: SimulationConfig,
    curves: Mapping[str, Curves],
    differences: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, Any]:
    """Return the numbers behind the tables: curves as means over seeds, each seed's level, differences."""

    def summary(one: Curves) -> dict[str, Any]:
        scalars = {name: value for name, value in vars(one).items() if value.ndim == 2}
        return {
            "mean": {name: value.mean(axis=0).round(5).tolist() for name, value in scalars.items()},
            "level": {name: level(value).round(5).tolist() for name, value in scalars.items()},
            "uncertainty": one.uncertainty.mean(axis=0).round(6).tolist(),
        }

    def stated(values: np.ndarray) -> dict[str, Any]:
        mean, interval = mean_interval(values)
        bounds = None if interval is None else asdict(interval)
        return {"mean": mean, "interval": bounds, "d": cohens_d(values)}

    return {
        "config": asdict(config),
        "curves": {name: summary(one) for name, one in curves.items()},
        "differences": {
            name: {measure: stated(values) for measure, values in found.items()}
            for name, found in differences.items()
        },
    }


def _chart(title: str, curves: Mapping[str, Curves], measure: str, label: str = "accuracy") -> Chart:
    found = {name: getattr(one, measure) for name, one in curves.items()}
    epochs = range(1, next(iter(found.values())).shape[1] + 1)
    lines = tuple(_line(name, epochs, curve) for name, curve in found.items())
    return Chart(title, lines, (), "epoch", label)


def _line(name: str, epochs: range, curve: np.ndarray, series: int | None = None) -> Line:
    """Return the mean of a curve `(S, E)` over seeds, with its interval at each epoch."""
    if len(curve) < 2:
        return Line(name, list(epochs), curve[0].tolist(), series=series)
    drawn = resample_counts(len(curve), BOOTSTRAP) @ curve / len(curve)  # (resamples, E)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Line(name, list(epochs), curve.mean(axis=0).tolist(), low.tolist(), high.tolist(), series)
