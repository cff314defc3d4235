"""RO and SO against cases worked by hand, a slow second bootstrap, and copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rarescene.evaluation import (
    BootstrapConfig,
    CopyScores,
    Nearest,
    OverlapMeter,
    RecordingOverlap,
    coherence_scores,
    copy_rate,
    resample_counts,
)
from rarescene.foundation.errors import DataError
from rarescene.foundation.seeds import derive_seed

CLASSES = ("liver", "fat", "duct")
FEW = BootstrapConfig(resamples=50)
Pixels = Sequence[Sequence[int]]


def overlaps(frames: Sequence[tuple[Pixels, Pixels, str]]) -> dict[str, RecordingOverlap]:
    """Gather (reference, prediction, recording) of frames given as nested lists."""
    meter = OverlapMeter(CLASSES)
    for reference, prediction, group in frames:
        meter.update(np.array([prediction]), np.array([reference]), [group])
    return meter.recordings


def random_overlaps(seed: int, groups: int, right: float) -> dict[str, RecordingOverlap]:
    rng, meter = np.random.default_rng(seed), OverlapMeter(CLASSES)
    for group in range(groups):
        masks = rng.integers(0, 3, (3, 6, 6))
        guess = np.where(rng.random(masks.shape) < right, masks, rng.integers(0, 3, masks.shape))
        meter.update(guess, masks, [f"video{group}"] * 3)
    return meter.recordings


def test_shares_of_a_case_worked_by_hand() -> None:
    # Real on real: liver 2 / 3, fat 1 / 2, so a label mean of 7 / 12.
    real = overlaps([([[0, 0], [1, 1]], [[0, 0], [0, 1]], "a")])
    # RO: liver 1 / 2, fat 2 / 3.
    ro = overlaps([([[0, 0], [1, 1]], [[0, 1], [1, 1]], "p")])
    # SO: liver 1 / 2, fat 0.
    so = overlaps([([[0, 0], [1, 1]], [[0, 0], [0, 0]], "a")])
    found = coherence_scores(real, ro, so, CLASSES, bootstrap=FEW)
    mean = found.of("label mean")
    assert mean.real == pytest.approx(7 / 12)
    assert (mean.ro.value, mean.ro.share) == pytest.approx((7 / 12, 1.0))
    assert mean.so is not None
    assert (mean.so.value, mean.so.share) == pytest.approx((1 / 4, 3 / 7))
    liver = found.of("liver")
    assert liver.ro.share == pytest.approx(3 / 4)
    assert liver.so is not None
    assert (liver.so.value, liver.so.share) == pytest.approx((1 / 2, 3 / 4))
    assert found.of("duct").real is None
    assert found.of("duct").ro.share is None
    assert mean.real_interval is None  # a single recording
    assert (found.pairs, found.test_scenes) == (1, 1)


def test_ro_is_shared_over_the_classes_that_both_show() -> None:
    # The test scenes show liver (found whole) and fat (missed); the pairs show liver and duct.
    real = overlaps([([[0, 0], [1, 1]], [[0, 0], [2, 2]], "a")])
    ro = overlaps([([[0, 0], [2, 2]], [[0, 0], [2, 2]], "p")])
    found = coherence_scores(real, ro, real, CLASSES, bootstrap=FEW)
    mean = found.of("label mean")
    assert mean.real == pytest.approx(0.5)  # of liver and fat
    assert (mean.ro.reference, mean.ro.value, mean.ro.share) == (1.0, 1.0, 1.0)  # of liver alone
    assert mean.so is not None
    assert (mean.so.reference, mean.so.share) == (0.5, 1.0)  # SO has to answer for fat as well
    assert any("in no pair" in note and "fat" in note for note in found.notes)
    assert any("in no test scene" in note and "duct" in note for note in found.notes)
    # A frame's own mean is of all that it shows, and so is what it is a share of.
    frames = found.of("sample mean")
    assert (frames.ro.value, frames.ro.reference, frames.real) == (1.0, 1 / 3, 1 / 3)
    assert any("sample mean" in note for note in found.notes)
    same = coherence_scores(real, real, real, CLASSES, bootstrap=FEW)
    assert not any("sample mean" in note for note in same.notes)


@pytest.mark.parametrize("score", ["iou", "dice"])
def test_what_is_scored_alike_has_a_share_of_one(score: str) -> None:
    real = random_overlaps(0, 5, 0.7)
    found = coherence_scores(real, real, real, CLASSES, rare=("fat", "duct"), score=score, bootstrap=FEW)  # type: ignore[arg-type]
    assert [line.measure for line in found.lines] == [
        "label mean", "sample mean", "rare mean", "fat", "duct", "liver",
    ]  # fmt: skip
    for line in found.lines:
        assert line.ro.share == line.so.share == 1.0  # type: ignore[union-attr]
        # SO is of the same recordings in every resample; RO of others, drawn by themselves.
        assert line.so is not None
        assert line.so.share_interval is not None
        assert (line.so.share_interval.low, line.so.share_interval.high) == pytest.approx((1.0, 1.0))
        assert line.ro.share_interval is not None
        assert line.ro.share_interval.low < 1 < line.ro.share_interval.high


def test_masks_that_do_not_belong_to_their_images_score_low() -> None:
    real = random_overlaps(0, 4, 0.9)
    shuffled = random_overlaps(1, 4, 0.0)
    found = coherence_scores(real, shuffled, None, CLASSES, bootstrap=FEW).of("label mean")
    assert found.so is None
    assert found.ro.share is not None
    assert found.ro.share < 0.35


def test_intervals_against_a_slow_bootstrap() -> None:
    real, ro, so = (random_overlaps(seed, groups, 0.7) for seed, groups in ((0, 4), (1, 6), (2, 4)))
    config = BootstrapConfig(resamples=40, confidence=0.8, seed=3)

    def fat(recordings: dict[str, RecordingOverlap], counts: np.ndarray) -> float:
        total = sum(
            int(times) * recordings[name].confusion
            for times, name in zip(counts, sorted(recordings), strict=True)
        )
        both = total[1].sum() + total[:, 1].sum()  # type: ignore[index]
        return float(total[1, 1] / (both - total[1, 1]))  # type: ignore[index]

    on_test = resample_counts(4, config)
    on_pairs = resample_counts(6, BootstrapConfig(resamples=40, confidence=0.8, seed=derive_seed(3, "pairs")))
    line = coherence_scores(real, ro, so, CLASSES, bootstrap=config).of("fat")
    shares = {
        "ro": [fat(ro, b) / fat(real, a) for a, b in zip(on_test, on_pairs, strict=True)],
        "so": [fat(so, a) / fat(real, a) for a in on_test],
    }
    for name, values in shares.items():
        found = getattr(line, name).share_interval
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))


def test_different_test_recordings_are_refused() -> None:
    real, so = random_overlaps(0, 3, 0.7), random_overlaps(0, 2, 0.7)
    with pytest.raises(DataError, match="different recordings"):
        coherence_scores(real, real, so, CLASSES)
    nothing = overlaps([([[255, 255]], [[0, 0]], "a")])
    with pytest.raises(DataError, match="no labelled pixel"):
        coherence_scores(real, nothing, None, CLASSES)


def copies(synthetic: Sequence[float], threshold: float | None, held_out: Sequence[float]) -> CopyScores:
    distances = np.array(synthetic, np.float64)
    other = np.array([1.0, 2.0, 3.0, np.inf])
    return CopyScores(
        "features",
        Nearest(distances, np.zeros(len(distances), np.int64)),
        other,
        other,
        np.array(held_out),
        threshold,
    )


def test_copies_are_counted_beside_real_frames() -> None:
    groups = ["a", "a", "b", "b", "c", "c"]
    found = copy_rate(copies([0.0, 0.1, 0.2, 0.3, 0.4, 5.0], 0.5, [0.4, 2.0, 3.0, 4.0]), groups, FEW)
    assert (found.pairs, found.held_out, found.between) == pytest.approx((5 / 6, 1 / 4, 0.0))
    assert found.copied
    as_often_as_real = copy_rate(copies([0.4, 2.0, 3.0, 4.0], 0.5, [0.4, 2.0, 3.0, 4.0]), groups[:4], FEW)
    assert as_often_as_real.pairs == as_often_as_real.held_out
    assert not as_often_as_real.copied
    unknown = copy_rate(copies([0.0], None, []), ["a"], FEW)
    assert unknown.pairs is None
    assert not unknown.copied
