"""Paired comparisons: closed forms, cases by hand, and what must be refused."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.overlap import OverlapMeter, RecordingOverlap, overlap_scores
from rarescene.evaluation.significance import cohens_d, compare, holm, sign_flip_p
from rarescene.foundation.errors import ConfigError

NAMES = ("background", "liver", "blood")
QUICK = BootstrapConfig(resamples=300)


def recording(hits: int, misses: int, *, blood: bool = True) -> RecordingOverlap:
    """Two equal frames: all liver is found, and `hits` pixels of the blood; `misses` are called liver."""
    confusion = np.zeros((3, 3), np.int64)
    confusion[1, 1] = 50
    frames = np.array([0, 2, 0])
    liver_iou, blood_iou = 1.0, 0.0
    if blood:
        confusion[2, 2], confusion[2, 1] = hits, misses
        frames[2] = 2
        liver_iou, blood_iou = 50 / (50 + misses), hits / (hits + misses)
    sample = np.full(2, (liver_iou + blood_iou) / 2 if blood else 1.0)
    return RecordingOverlap(confusion, frames, sample, sample)


def runs(
    gains: list[int], seeds: tuple[int, ...] = (0, 1, 2)
) -> dict[str, dict[int, dict[str, RecordingOverlap]]]:
    """Blood hits 10 + seed of 40 without, and `gains[r]` more with the strategy."""
    return {
        "none": {s: {f"video{r}": recording(10 + s, 30 - s) for r in range(len(gains))} for s in seeds},
        "offline": {
            s: {f"video{r}": recording(10 + s + g, 30 - s - g) for r, g in enumerate(gains)} for s in seeds
        },
    }


def test_six_gains_give_p_of_two_in_64() -> None:
    table = compare(runs([4, 6, 8, 5, 7, 9]), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    row = table.of("offline", "blood")
    assert row.p_value == pytest.approx(2 / 64)
    differences = np.array([4, 6, 8, 5, 7, 9]) / 40
    assert row.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert row.difference == pytest.approx(differences.mean())
    assert row.per_seed == pytest.approx([(10 + s + 6.5) / 40 for s in range(3)])
    assert row.mean == pytest.approx((11 + 6.5) / 40)
    assert row.recordings == 6
    # All four measures rise in each of the six recordings: each p is 2/64, and Holm multiplies the first by
    # four.
    assert row.p_holm == pytest.approx(4 * 2 / 64)
    assert any("no corrected p-value below 0.12" in note for note in table.notes)


def test_the_interval_of_the_difference_is_paired() -> None:
    table = compare(runs([4, 6, 8, 5, 7, 9]), NAMES, baseline="none", rare=["blood"])
    row = table.of("offline", "blood")
    draws = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), size=2000)
    expected = np.quantile(draws @ np.array([4, 6, 8, 5, 7, 9]) / 6 / 40, [0.025, 0.975])
    assert row.difference_interval is not None
    assert [row.difference_interval.low, row.difference_interval.high] == pytest.approx(expected.tolist())
    gains = "label mean, sample mean, sample median, blood"
    test = "the corrected test confirms none of it"  # six recordings cannot bring 4 · 2/64 below 0.05
    assert table.conclusions == (f"offline: by the intervals higher than none in {gains}; {test}.",)


def test_means_equal_those_of_the_overlap_scores() -> None:
    generator = np.random.default_rng(0)
    gathered: dict[str, dict[int, dict[str, RecordingOverlap]]] = {"none": {}, "offline": {}}
    masks = generator.integers(0, 3, (14, 6, 6))
    groups = [f"video{i % 7}" for i in range(14)]
    for strategy, share in (("none", 0.3), ("offline", 0.6)):
        for seed in range(2):
            right = np.random.default_rng(seed).random(masks.shape) < share
            meter = OverlapMeter(NAMES)
            meter.update(np.where(right, masks, (masks + 1) % 3), masks, groups)
            gathered[strategy][seed] = meter.recordings
    for score in ("iou", "dice"):
        table = compare(gathered, NAMES, baseline="none", rare=["blood"], score=score, bootstrap=QUICK)
        for strategy in gathered:
            single = [overlap_scores(gathered[strategy][seed], NAMES, QUICK) for seed in range(2)]
            assert table.of(strategy, "blood").per_seed == pytest.approx(
                [getattr(s.of("blood"), score) for s in single]
            )
            for measure in ("label mean", "sample mean", "sample median"):
                expected = [getattr(getattr(s, measure.replace(" ", "_")), score) for s in single]
                assert table.of(strategy, measure).per_seed == pytest.approx(expected)
                assert table.of(strategy, measure).mean == pytest.approx(np.mean(expected))


def test_one_seed_gives_the_interval_that_the_scores_give() -> None:
    gathered = runs([4, 6, 8, 5, 7, 9], seeds=(0,))
    table = compare(gathered, NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    scores = overlap_scores(gathered["offline"][0], NAMES, QUICK)
    assert table.of("offline", "blood").interval == scores.of("blood").iou_interval
    assert table.of("offline", "label mean").interval == scores.label_mean.iou_interval
    assert table.of("offline", "sample median").interval == scores.sample_median.iou_interval
    assert any("One seed only: an illustration" in note for note in table.notes)


def test_fewer_than_six_recordings_have_no_p_value_and_the_reason() -> None:
    row = compare(runs([4, 6, 8, 5, 7]), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK).of(
        "offline", "blood"
    )
    assert row.p_value is None
    assert row.p_holm is None
    assert "5 test recordings" in row.note
    assert row.effect_size is not None


def test_only_recordings_that_show_a_class_count_for_it() -> None:
    gathered = runs([4, 6, 8, 5, 7, 9])
    for by_seed in gathered.values():
        for scored in by_seed.values():
            scored["video6"] = recording(0, 0, blood=False)
    table = compare(gathered, NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    assert table.of("offline", "blood").recordings == 6
    assert table.of("offline", "label mean").recordings == 7
    assert table.of("offline", "blood").p_value == pytest.approx(2 / 64)


def test_an_absent_class_is_called_absent() -> None:
    gathered = {
        strategy: {0: {f"video{r}": recording(0, 0, blood=False) for r in range(6)}}
        for strategy in ("none", "offline")
    }
    table = compare(gathered, NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    row = table.of("offline", "blood")
    assert (row.mean, row.difference, row.p_value, row.per_seed) == (None, None, None, ())
    assert row.note == "absent from the test recordings"


def test_the_worst_classes_are_each_strategy_s_own() -> None:
    def scored(liver: int, blood: int) -> dict[int, dict[str, RecordingOverlap]]:
        """Of 40 pixels each, so many are found; the others are called background, which nothing shows."""
        confusion = np.array([[0, 0, 0], [40 - liver, liver, 0], [40 - blood, 0, blood]], np.int64)
        part = RecordingOverlap(confusion, np.array([0, 2, 2]), np.full(2, 0.5), np.full(2, 0.5))
        return {0: {"video0": part, "video1": part}}

    table = compare(
        {"none": scored(30, 10), "offline": scored(8, 36)}, NAMES, baseline="none", worst=1, bootstrap=QUICK
    )
    assert table.of("none", "worst 1").mean == pytest.approx(10 / 40)  # blood
    assert table.of("offline", "worst 1").mean == pytest.approx(8 / 40)  # liver
    assert table.of("offline", "worst 1").difference == pytest.approx(-2 / 40)
    both = compare({"none": scored(30, 10), "offline": scored(8, 36)}, NAMES, baseline="none", worst=5)
    assert both.of("offline", "worst 5").mean == pytest.approx(both.of("offline", "label mean").mean)


def test_no_gain_is_said_plainly_and_a_loss_too() -> None:
    table = compare(runs([0] * 6), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    assert table.conclusions == ("offline: nothing is gained over none.",)
    row = table.of("offline", "blood")
    assert (row.difference, row.p_value, row.effect_size) == (0.0, 1.0, None)
    assert "the same in every recording" in row.note
    worse = compare(runs([-4, -6, -8, -5, -7, -9]), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    assert worse.conclusions[0].startswith("offline: nothing is gained over none; lower in label mean")


def test_a_gain_is_confirmed_where_there_are_recordings_enough_and_untested_where_there_are_not() -> None:
    enough = compare(runs([4, 6, 8, 5, 7, 9, 3, 6]), NAMES, baseline="none", bootstrap=QUICK)
    assert enough.conclusions[0].endswith(
        "the corrected test confirms label mean, sample mean, sample median."
    )
    few = compare(runs([4, 6]), NAMES, baseline="none", bootstrap=QUICK)
    assert few.conclusions[0].endswith("too few recordings to test this.")


def test_one_recording_cannot_tell() -> None:
    table = compare(runs([4]), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    assert table.conclusions == ("offline: too few recordings to tell a gain over none from chance.",)
    assert table.of("offline", "blood").interval is None
    assert any("One recording only" in note for note in table.notes)


def test_the_table_is_json() -> None:
    table = compare(runs([4, 6]), NAMES, baseline="none", rare=["blood"], bootstrap=QUICK)
    value = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert len(value["rows"]) == 8
    assert set(value["rows"][0]["interval"]) == {"low", "high"}


def test_sign_flips_are_all_tried() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1, size=9)
    means = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=9)]
    expected = np.mean(np.array(means) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(expected)
    theirs = stats.permutation_test(
        (differences,),
        lambda x: np.abs(x.sum()),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
    )
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue)


def test_equal_differences_count_as_equal_despite_rounding() -> None:
    assert sign_flip_p(np.full(6, 0.1)) == pytest.approx(2 / 64)
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == 1.0


def test_many_recordings_are_drawn_close_to_the_exact_value_and_seeded() -> None:
    differences = np.random.default_rng(2).normal(0.4, 1, size=17)
    signs = 1 - 2 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences, seed=1) == pytest.approx(exact, rel=0.05)
    assert sign_flip_p(differences, seed=1) == sign_flip_p(differences, seed=1)
    assert sign_flip_p(np.full(40, 0.1)) == pytest.approx(1e-5)  # never 0


def test_p_values_of_pure_chance_are_uniform() -> None:
    generator = np.random.default_rng(3)
    p_values = [sign_flip_p(generator.normal(size=8)) for _ in range(1000)]
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.03)


def test_holm_by_hand() -> None:
    # Sorted: 0.01 · 4 = 0.04, 0.02 · 3 = 0.06, 0.03 · 2 = 0.06, 0.5 · 1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04, 0.03]) == pytest.approx([0.06, 0.06])  # the larger one is never below the smaller
    assert holm([]) == []


def test_cohens_d_by_hand() -> None:
    assert cohens_d(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert cohens_d(np.array([1.0])) is None
    assert cohens_d(np.array([0.1, 0.1, 0.1])) is None


def test_unpaired_runs_are_refused() -> None:
    gathered = runs([4, 6])
    with pytest.raises(ConfigError, match="needs two strategies; found: none, offline"):
        compare(gathered, NAMES, baseline="duplicate")
    with pytest.raises(ConfigError, match="no class is called 'blod'"):
        compare(gathered, NAMES, baseline="none", rare=["blod"])
    with pytest.raises(ConfigError, match=r"'offline' has seeds \[0, 1\], 'none' has \[0, 1, 2\]"):
        compare({**gathered, "offline": {s: gathered["offline"][s] for s in (0, 1)}}, NAMES, baseline="none")
    other = {s: {**gathered["offline"][s], "video1": recording(5, 5)} for s in range(3)}
    with pytest.raises(ConfigError, match="'offline', seed 0, was not scored on the masks of 'none'"):
        compare({**gathered, "offline": other}, NAMES, baseline="none")
