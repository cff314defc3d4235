"""Do image and mask of synthetic pairs belong together? RO and SO (GAUDA, Section 5.1 and Table 5).

- RO, "real only": a segmenter trained on real scenes is scored on the synthetic pairs. High if the images
  show what the masks say, in a way that a model of real scenes recognises.
- SO, "synthetic only": the same segmenter, trained on the synthetic pairs alone, is scored on real test
  scenes. High if the pairs also hold the variety of real ones.

Both stand beside real on real: the same segmenter, trained on real scenes, scored on the real test scenes.
Each is given as a share of it. That of RO is over classes that pairs and test scenes both show, but for the
sample mean: that is of all pairs beside all test scenes, whatever classes they show. SO and real on real are
of the same test scenes.

Copies of training scenes maximise both without adding anything. So the rate of copies stands beside them, and
beside the rate at which real scenes of other recordings would count as copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from rarescene.evaluation.bootstrap import (
    Counts,
    Floats,
    Interval,
    divide,
    few_recordings_note,
    known_or_none,
    mean_of_known,
    percentile_interval,
    resample_counts,
    resampled_mean,
)
from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.copies import CopyScores
from rarescene.evaluation.overlap import RecordingOverlap, Resampled
from rarescene.foundation.errors import DataError
from rarescene.foundation.seeds import derive_seed

Overlaps = Mapping[str, RecordingOverlap]


@dataclass(frozen=True)
class Share:
    """A score beside the real-on-real score of the same classes; of a sample mean, beside that of all frames.

    Attributes:
        value: the score, 0 to 1; None where there is nothing to score.
        interval: over recordings; None with fewer than two.
        reference: real on real, over the same classes or all frames; None likewise.
        share: value over reference; None where either is missing or the reference is 0.
    """

    value: float | None
    interval: Interval | None
    reference: float | None
    share: float | None
    share_interval: Interval | None


@dataclass(frozen=True)
class CoherenceLine:
    """One measure: "label mean", "sample mean", "rare mean" or a class.

    Attributes:
        real: real on real, on all test scenes.
        ro: of the real-trained segmenter on the pairs.
        so: of the synthetic-trained segmenter on the test scenes; None where there is no such segmenter.
    """

    measure: str
    real: float | None
    real_interval: Interval | None
    ro: Share
    so: Share | None


@dataclass(frozen=True)
class CoherenceScores:
    """RO and SO of one synthetic set; `notes` must be printed beside them."""

    lines: tuple[CoherenceLine, ...]
    score: Literal["iou", "dice"]
    pairs: int
    test_scenes: int
    recordings: tuple[str, ...]
    notes: tuple[str, ...]
    bootstrap: BootstrapConfig

    def of(self, measure: str) -> CoherenceLine:
        """Return one line. Raises `KeyError` if there is none."""
        return {line.measure: line for line in self.lines}[measure]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class CopyRate:
    """How many pairs are copies of training scenes, beside how many real scenes would count as such.

    Attributes:
        measure: what distances are of, in words.
        pairs: share of the pairs that lie at the threshold or nearer; None where nothing gives a threshold.
        interval: over the recordings that the pairs were made from, or over pairs.
        held_out: the same share of real scenes that no model was trained on; None where there are none.
        between: the same share of training scenes to other recordings, which defines the threshold.
        copied: whether more pairs are copies than either of these, by more than chance.
    """

    measure: str
    pairs: float | None
    interval: Interval | None
    held_out: float | None
    between: float | None
    copied: bool


def coherence_scores(
    real: Overlaps,
    ro: Overlaps,
    so: Overlaps | None,
    classes: Sequence[str],
    *,
    rare: Sequence[str] = (),
    score: Literal["iou", "dice"] = "iou",
    bootstrap: BootstrapConfig | None = None,
) -> CoherenceScores:
    """Return RO and SO, each also as a share of real on real.

    Test recordings and those of the pairs are different ones, so they are resampled independently for RO;
    for SO both sides of the share are of the same resample.

    Args:
        real: what an `OverlapMeter` gathered of the real-trained segmenter, by test recording.
        ro: of the same segmenter on the pairs, by the recording that they were made from; pairs that belong
            to none count as a recording each.
        so: of the synthetic-trained segmenter, by test recording; or None.
        classes: class names in the order of their ids.
        rare: classes that have a mean of their own, if there are several.

    Raises:
        DataError: no labelled pixel was scored, or real and SO are of different test scenes.
    """
    config = bootstrap or BootstrapConfig()
    for part in filter(None, (real, ro, so)):
        if not any(one.confusion.any() for one in part.values()):
            raise DataError("no labelled pixel was scored", "Check that pairs and test scenes have labels.")
    if so is not None and sorted(so) != sorted(real):
        what = "the two segmenters were scored on different recordings"
        raise DataError(what, "Score both on the test part of one split.")
    # Equal seeds would draw the same places of two different lists, and tie what is independent.
    apart = replace(config, seed=derive_seed(config.seed, "pairs"))
    on_test, on_pairs = resample_counts(len(real), config), resample_counts(len(ro), apart)
    truth, pairs = _Side(real, score, on_test), _Side(ro, score, on_pairs)
    made = None if so is None else _Side(so, score, on_test)
    common = truth.shown & pairs.shown

    lines = []
    ids = [list(classes).index(name) for name in rare]
    for measure, chosen in _measures(classes, rare, ids).items():
        whole, shared = truth.of(chosen), truth.of(chosen, common)
        lines.append(
            CoherenceLine(
                measure,
                known_or_none(whole[0]),
                _interval(whole[1], len(real), config),
                _share(pairs.of(chosen, common), shared, len(ro), len(real), config),
                None if made is None else _share(made.of(chosen), whole, len(real), len(real), config),
            )
        )
    return CoherenceScores(
        lines=tuple(lines),
        score=score,
        pairs=len(pairs.owner),
        test_scenes=len(truth.owner),
        recordings=tuple(sorted(real)),
        notes=_notes(classes, truth.shown, pairs.shown, len(real)),
        bootstrap=config,
    )


def copy_rate(
    scores: CopyScores, groups: Sequence[str], bootstrap: BootstrapConfig | None = None
) -> CopyRate:
    """Return the rate of copies beside those of real scenes.

    Args:
        groups: the recording that each pair was made from, or a name of its own.
    """
    config = bootstrap or BootstrapConfig()
    if scores.threshold is None:
        return CopyRate(scores.measure, None, None, None, None, copied=False)
    copies = scores.copies(scores.synthetic.distance).astype(float)
    names, owner = np.unique(np.asarray(groups), return_inverse=True)
    drawn = resampled_mean(copies, owner, resample_counts(len(names), config))
    interval = percentile_interval(drawn, config) if len(names) > 1 else None
    held_out, between = (
        float(scores.copies(known).mean()) if len(known) else None
        for known in (one[np.isfinite(one)] for one in (scores.held_out, scores.other))
    )
    usual = max(rate for rate in (held_out, between) if rate is not None)
    rate = float(copies.mean())
    copied = rate > usual and (interval is None or interval.low > usual)
    return CopyRate(scores.measure, rate, interval, held_out, between, copied)


class _Side(Resampled):
    """Scores of one segmenter on one set of scenes: of all of them, and of each resample."""

    def __init__(self, recordings: Overlaps, score: Literal["iou", "dice"], draws: Counts) -> None:
        super().__init__(recordings, draws)
        self.draws, self.which = draws, ("iou", "dice").index(score)
        self.shown = self.counts[1].sum(axis=0) > 0  # (C,)

    def of(self, classes: Sequence[int] | None, among: np.ndarray | None = None) -> tuple[float, Floats]:
        """Return the mean over these classes, or over frames for None: `(value, (resamples,))`.

        Of the classes, only those that `among` has, bool `(C,)`, count.
        """
        if classes is None:
            samples = self.samples[self.which]
            return float(samples.mean()), resampled_mean(samples, self.owner, self.draws)
        ids = [index for index in classes if among is None or among[index]]
        means = (mean_of_known(one[self.which][..., ids]) for one in (self.whole, self.resampled))
        return float(next(means)), next(means)


def _measures(
    classes: Sequence[str], rare: Sequence[str], ids: Sequence[int]
) -> dict[str, Sequence[int] | None]:
    """Return the class ids behind each measure; None for the mean over frames."""
    means: dict[str, Sequence[int] | None] = {"label mean": range(len(classes)), "sample mean": None}
    if len(rare) > 1:
        means["rare mean"] = ids
    order = [*ids, *(index for index in range(len(classes)) if index not in ids)]
    return means | {classes[index]: (index,) for index in order}


def _share(
    score: tuple[float, Floats],
    real: tuple[float, Floats],
    units: int,
    recordings: int,
    config: BootstrapConfig,
) -> Share:
    share = known_or_none(float(divide(np.asarray(score[0]), np.asarray(real[0]))))
    return Share(
        known_or_none(score[0]),
        _interval(score[1], units, config),
        known_or_none(real[0]),
        share,
        None if share is None else _interval(divide(score[1], real[1]), min(units, recordings), config),
    )


def _interval(values: Floats, units: int, config: BootstrapConfig) -> Interval | None:
    return percentile_interval(values, config) if units > 1 else None


def _notes(
    classes: Sequence[str], in_test: np.ndarray, in_pairs: np.ndarray, recordings: int
) -> tuple[str, ...]:
    notes = list(filter(None, [few_recordings_note(recordings)]))
    for shown, other, where in (
        (in_test, in_pairs, "in no pair, so RO is without them, and SO was trained without them"),
        (in_pairs, in_test, "in no test scene, so without a share"),
    ):
        if missing := [classes[index] for index in np.flatnonzero(shown & ~other).tolist()]:
            notes.append(f"Shown {where}: {', '.join(missing)}.")
    if (in_test != in_pairs).any():
        notes.append("Of the sample mean, RO is a share of all test frames, whatever classes they show.")
    return tuple(notes)
