"""Does a strategy help? Paired comparisons at equal seeds and recordings.

Every strategy was trained from the same seeds and scored on the same test recordings. Seeds are averaged
first: they say how much training varies, not how much patients do, so only recordings count as independent.

- mean: the score of all recordings together, averaged over seeds, with a bootstrap interval over recordings;
- difference: that mean minus the baseline's, its interval from the same resamples for both;
- effect size: Cohen's d of the paired differences, mean over standard deviation, one difference a recording;
- p-value: two-sided sign-flip test of the same differences, then Holm's correction over the whole table.

The last two weigh recordings alike, the first two weigh them by what they show, so they may disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from rarescene.evaluation.bootstrap import (
    FEW_RECORDINGS,
    Counts,
    Floats,
    Interval,
    few_recordings_note,
    known_or_none,
    mean_of_known,
    percentile_interval,
    resample_counts,
    resampled_mean,
    resampled_median,
)
from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.overlap import RecordingOverlap, Resampled
from rarescene.foundation.errors import ConfigError

EXACT_UP_TO = 16
MONTE_CARLO_FLIPS = 100_000
SURE = 0.05

Runs = Mapping[str, Mapping[int, Mapping[str, RecordingOverlap]]]


@dataclass(frozen=True)
class Comparison:
    """One measure of one strategy against the baseline.

    Attributes:
        measure: `label mean`, `sample mean`, `sample median`, `rare mean` (over two rare classes or more),
            `worst N` (over each strategy's own N lowest classes), or the name of a class.
        mean: the score, averaged over seeds; None if no recording shows the class.
        per_seed: the score of each seed, in the order of the table's `seeds`.
        interval: bootstrap interval of `mean`; None with fewer than two recordings.
        difference: `mean` minus the baseline's; None in the baseline's own row.
        difference_interval: its paired bootstrap interval.
        effect_size: Cohen's d over recordings; None where it does not exist, and `note` says why.
        p_value: sign-flip test over recordings, two-sided; None with fewer than six, and `note` says so.
        p_holm: the same after Holm's correction over all p-values of the table.
        recordings: recordings that show what is measured.
        note: why a number is missing, or empty.
    """

    strategy: str
    measure: str
    mean: float | None
    per_seed: tuple[float, ...]
    interval: Interval | None
    difference: float | None
    difference_interval: Interval | None
    effect_size: float | None
    p_value: float | None
    p_holm: float | None
    recordings: int
    note: str


@dataclass(frozen=True)
class ComparisonTable:
    """All comparisons; `conclusions` and `notes` must be printed with them."""

    score: str
    baseline: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    recordings: tuple[str, ...]
    rows: tuple[Comparison, ...]
    conclusions: tuple[str, ...]
    notes: tuple[str, ...]
    bootstrap: BootstrapConfig

    @property
    def headline(self) -> str:
        """The measure that a verdict is about: the mean of the rare classes if there are several of them."""
        return "rare mean" if any(row.measure == "rare mean" for row in self.rows) else "label mean"

    def of(self, strategy: str, measure: str) -> Comparison:
        """Return one row. Raises `KeyError` if there is none."""
        return {(row.strategy, row.measure): row for row in self.rows}[strategy, measure]

    def get(self, strategy: str, measure: str) -> Comparison | None:
        """Return one row, or None."""
        return next((row for row in self.rows if (row.strategy, row.measure) == (strategy, measure)), None)

    def rows_of(self, strategy: str) -> tuple[Comparison, ...]:
        """Return the rows of a strategy, that of the headline first."""
        rows = [row for row in self.rows if row.strategy == strategy]
        return tuple(sorted(rows, key=lambda row: row.measure != self.headline))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Measured:
    """One measure of one strategy: by seed `(K,)`, by resample `(resamples,)` and by recording `(R,)`."""

    by_seed: Floats
    by_resample: Floats
    by_recording: Floats


def compare(
    runs: Runs,
    classes: Sequence[str],
    *,
    baseline: str,
    rare: Sequence[str] = (),
    worst: int = 0,
    score: Literal["iou", "dice"] = "iou",
    bootstrap: BootstrapConfig | None = None,
) -> ComparisonTable:
    """Compare strategies with a baseline.

    Args:
        runs: by strategy, by seed, by recording, what an `OverlapMeter` gathered there.
        baseline: the strategy that the others are compared with.
        rare: classes to compare one by one.
        worst: N of `worst N`; 0 leaves it out. Which classes are lowest may differ between strategies, seeds
            and resamples: those of the baseline alone would rise by chance when they are measured anew.
        bootstrap: how intervals are found; its seed also draws the sign flips beyond 16 recordings.

    Raises:
        ConfigError: there is nothing to compare, a rare class is unknown, or seeds, recordings or masks
            differ.
    """
    config = bootstrap or BootstrapConfig()
    seeds, recordings = _paired(runs, baseline)
    unknown = [name for name in rare if name not in classes]
    if unknown:
        raise ConfigError(f"no class is called {unknown[0]!r}", f"The classes are: {', '.join(classes)}.")
    draws = resample_counts(len(recordings), config)
    strategies = (baseline, *(name for name in runs if name != baseline))
    measured = {
        strategy: _measure([runs[strategy][seed] for seed in seeds], classes, rare, worst, score, draws)
        for strategy in strategies
    }
    rows = [
        _row(strategy, measure, values, None if strategy == baseline else measured[baseline][measure], config)
        for strategy in strategies
        for measure, values in measured[strategy].items()
    ]
    rows = _with_holm(rows)
    return ComparisonTable(
        score=score,
        baseline=baseline,
        strategies=strategies,
        seeds=seeds,
        recordings=recordings,
        rows=tuple(rows),
        conclusions=tuple(_conclusion(name, baseline, rows) for name in strategies[1:]),
        notes=_notes(rows, len(seeds), len(recordings)),
        bootstrap=config,
    )


def cohens_d(differences: Floats) -> float | None:
    """Return the mean of paired differences over their standard deviation (n - 1); None if there is none."""
    if len(differences) < 2:
        return None
    deviation = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / deviation if deviation > 1e-12 else None


def sign_flip_p(differences: Floats, seed: int = 0) -> float:
    """Return the two-sided p-value of the sign-flip test: could the mean be so far from 0 by the signs alone?

    If a strategy changes nothing, each recording's difference is as likely positive as negative. Up to 16
    recordings all 2^n signs are tried; beyond, 100,000 seeded ones, the observed one added.
    """
    n = len(differences)
    observed = abs(differences.sum())
    if n <= EXACT_UP_TO:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)  # every row one choice of signs
    else:
        signs = 1 - 2 * np.random.default_rng(seed).integers(0, 2, (MONTE_CARLO_FLIPS, n))
        signs[0] = 1
    # Sums that are equal on paper may differ in their last digit.
    reached = np.abs(signs @ differences) >= observed - 1e-12 * max(1.0, float(np.abs(differences).sum()))
    return float(reached.mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's correction: the i-th smallest of m times m - i + 1, never below that of a smaller one."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))) if len(p) else p
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected.tolist()


def _paired(runs: Runs, baseline: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the seeds and recordings that all runs share, or say which run breaks the pairing."""
    if baseline not in runs or len(runs) < 2:
        found = ", ".join(runs) or "none"
        remedy = "Give the runs of the baseline and of at least one other strategy."
        raise ConfigError(f"comparing with {baseline!r} needs two strategies; found: {found}", remedy)
    seeds = sorted(runs[baseline])
    if not seeds:
        remedy = "Train it at least once; three seeds are the rule."
        raise ConfigError(f"there is no run of {baseline!r}", remedy)
    first = runs[baseline][seeds[0]]
    for strategy, by_seed in runs.items():
        if sorted(by_seed) != seeds:
            what = f"{strategy!r} has seeds {sorted(by_seed)}, {baseline!r} has {seeds}"
            raise ConfigError(what, "Compare at equal seeds: run the missing ones or leave out the others.")
        for seed, scored in by_seed.items():
            if not _same_reference(first, scored):
                other = f"the masks of {baseline!r}, seed {seeds[0]}"
                what = f"{strategy!r}, seed {seed}, was not scored on {other}"
                raise ConfigError(what, "Evaluate all runs on the same recordings, at the same size.")
    return tuple(seeds), tuple(sorted(first))


def _same_reference(one: Mapping[str, RecordingOverlap], other: Mapping[str, RecordingOverlap]) -> bool:
    return sorted(one) == sorted(other) and all(
        np.array_equal(one[name].confusion.sum(axis=1), other[name].confusion.sum(axis=1))
        and len(one[name].sample_iou) == len(other[name].sample_iou)
        for name in one
    )


def _measure(
    by_seed: Sequence[Mapping[str, RecordingOverlap]],
    classes: Sequence[str],
    rare: Sequence[str],
    worst: int,
    score: Literal["iou", "dice"],
    draws: Counts,
) -> dict[str, _Measured]:
    """Return every measure of one strategy, by name."""
    which = ("iou", "dice").index(score)
    seeds = [Resampled(scored, draws) for scored in by_seed]
    labels = [[one[which] for one in (seed.whole, seed.resampled, seed.single)] for seed in seeds]
    frames, owner = [seed.samples[which] for seed in seeds], seeds[0].owner

    def of_classes(pick: Callable[[Floats], Floats]) -> _Measured:
        whole, resampled, single = (np.stack([pick(seed[k]) for seed in labels]) for k in range(3))
        return _Measured(whole, resampled.mean(axis=0), single.mean(axis=0))

    def of_frames(
        average: Callable[[Floats], Any], resample: Callable[[Floats, Counts, Counts], Floats]
    ) -> _Measured:
        parts = [[seed[owner == place] for place in range(draws.shape[1])] for seed in frames]
        return _Measured(
            np.array([average(seed) for seed in frames]),
            np.mean([resample(seed, owner, draws) for seed in frames], axis=0),
            np.mean([[average(one) if len(one) else np.nan for one in seed] for seed in parts], axis=0),
        )

    measures = {
        "label mean": of_classes(mean_of_known),
        "sample mean": of_frames(np.mean, resampled_mean),
        "sample median": of_frames(np.median, resampled_median),
    }
    if len(rare) > 1:
        chosen = [list(classes).index(name) for name in rare]
        measures["rare mean"] = of_classes(lambda scores: mean_of_known(scores[..., chosen]))
    if worst:
        measures[f"worst {worst}"] = of_classes(lambda scores: mean_of_known(np.sort(scores)[..., :worst]))
    for name in rare:
        index = list(classes).index(name)
        measures[name] = of_classes(lambda scores, index=index: scores[..., index])  # type: ignore[misc]
    return measures


def _row(
    strategy: str, measure: str, values: _Measured, against: _Measured | None, config: BootstrapConfig
) -> Comparison:
    shown = ~np.isnan(values.by_recording)
    n = int(shown.sum())
    mean = known_or_none(float(values.by_seed.mean()))
    interval = percentile_interval(values.by_resample, config) if n > 1 else None
    difference = difference_interval = effect = p_value = None
    notes = []
    if mean is None:
        notes.append("absent from the test recordings")
    elif against is not None:
        paired = (values.by_recording - against.by_recording)[shown]
        difference = mean - float(against.by_seed.mean())
        effect = cohens_d(paired)
        if n > 1:
            difference_interval = percentile_interval(values.by_resample - against.by_resample, config)
        if n > 1 and effect is None:
            notes.append("no effect size: the difference is the same in every recording")
        if n >= FEW_RECORDINGS:
            p_value = sign_flip_p(paired, config.seed)
        else:
            showing = "1 test recording shows it" if n == 1 else f"{n} test recordings show it"
            notes.append(f"no p-value: {showing}, six are needed")
    per_seed = () if mean is None else tuple(values.by_seed.tolist())
    return Comparison(
        strategy, measure, mean, per_seed, interval, difference, difference_interval, effect, p_value,
        p_holm=None, recordings=n, note="; ".join(notes),
    )  # fmt: skip


def _with_holm(rows: Sequence[Comparison]) -> list[Comparison]:
    corrected = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return [row if row.p_value is None else replace(row, p_holm=next(corrected)) for row in rows]


def _conclusion(strategy: str, baseline: str, rows: Sequence[Comparison]) -> str:
    """Say in one sentence what the intervals and the corrected tests allow to say, and no more."""
    known = [row for row in rows if row.strategy == strategy and row.difference_interval is not None]
    if not known:
        return f"{strategy}: too few recordings to tell a gain over {baseline} from chance."
    higher = [row for row in known if row.difference_interval and row.difference_interval.low > 0]
    lower = [row.measure for row in known if row.difference_interval and row.difference_interval.high < 0]
    losses = f"; lower in {', '.join(lower)}" if lower else ""
    if not higher:
        return f"{strategy}: nothing is gained over {baseline}{losses}."
    gains = ", ".join(row.measure for row in higher)
    # The test weighs recordings alike, so it might be sure of a loss where the pooled score gained.
    alike = [row for row in higher if row.effect_size is None or row.effect_size > 0]
    sure = [row.measure for row in alike if row.p_holm is not None and row.p_holm <= SURE]
    if all(row.p_value is None for row in higher):
        test = "too few recordings to test this"
    else:
        test = f"the corrected test confirms {', '.join(sure) or 'none of it'}"
    return f"{strategy}: by the intervals higher than {baseline} in {gains}{losses}; {test}."


def _notes(rows: Sequence[Comparison], seeds: int, recordings: int) -> tuple[str, ...]:
    notes = []
    if seeds < 3:
        count = "One seed only" if seeds == 1 else "Two seeds only"
        notes.append(
            f"{count}: an illustration; training may vary more between seeds than strategies differ."
        )
    notes.extend(filter(None, [few_recordings_note(recordings)]))
    tested = [row for row in rows if row.p_value is not None]
    if tested:
        least = min(1.0, len(tested) * min(2.0 ** (1 - row.recordings) for row in tested))
        if least > SURE:
            what = f"With {recordings} recordings and {len(tested)} comparisons"
            notes.append(f"{what} no corrected p-value below {least:.2f} is possible, whatever the gain.")
    return tuple(notes)
