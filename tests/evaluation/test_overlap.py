"""Overlap scores: cases worked by hand, an independent implementation, and classes that are not there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rarescene.evaluation.bootstrap import Interval
from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.confusion import confusion_matrices
from rarescene.evaluation.overlap import OverlapMeter, OverlapScores, RecordingOverlap, overlap_scores
from rarescene.foundation.errors import DataError

NAMES = ("background", "liver", "blood", "cystic duct")
FEW = BootstrapConfig(resamples=200)


def scores(
    predictions: list[list[list[int]]], masks: list[list[list[int]]], groups: list[str] | None = None
) -> OverlapScores:
    meter = OverlapMeter(NAMES)
    meter.update(torch.tensor(predictions), torch.tensor(masks), groups or ["video1"] * len(masks))
    return meter.result(FEW)


def test_a_case_worked_by_hand() -> None:
    # Frame 1: background 2 of 2 with one false pixel, liver 1 of 2. Frame 2: all liver, one pixel taken for
    # blood. The ignored pixel counts nowhere, although blood is predicted there.
    result = scores([[[0, 0], [0, 1]], [[1, 1], [2, 2]]], [[[0, 0], [1, 1]], [[1, 1], [1, 255]]])
    background, liver, blood, duct = result.classes
    assert background.iou == pytest.approx(2 / 3)
    assert background.dice == pytest.approx(4 / 5)
    assert liver.iou == pytest.approx(3 / 5)
    assert liver.dice == pytest.approx(6 / 8)
    assert (liver.pixels, liver.false_pixels, liver.frames, liver.recordings) == (5, 0, 2, 1)
    assert blood.iou is None
    assert blood.false_pixels == 1
    assert duct.absent
    assert result.label_mean.iou == pytest.approx((2 / 3 + 3 / 5) / 2)
    # Frame 1: IoU (2/3 + 1/2) / 2; frame 2: liver 2/3, and imagined blood 0.
    frames = [(2 / 3 + 1 / 2) / 2, (2 / 3 + 0) / 2]
    assert result.sample_mean.iou == pytest.approx(np.mean(frames))
    assert result.sample_median.iou == pytest.approx(np.median(frames))
    assert result.sample_mean.dice == pytest.approx(((4 / 5 + 2 / 3) / 2 + (4 / 5 + 0) / 2) / 2)
    assert result.frames == 2


def test_absent_and_imagined_classes_are_told_apart_and_are_neither_nan_nor_one() -> None:
    result = scores([[[0, 2], [0, 0]]], [[[0, 0], [0, 0]]])
    assert str(result.of("liver")) == "liver: absent"
    assert str(result.of("blood")) == "blood: absent from the reference, predicted in 1 pixels"
    assert result.of("liver").iou is None
    assert result.label_mean.iou == pytest.approx(3 / 4)
    assert any("Absent" in note and "liver, cystic duct" in note for note in result.notes)
    assert any("Predicted but never" in note and "blood (1 pixels)" in note for note in result.notes)


def test_a_perfect_prediction_scores_one_where_something_is_shown() -> None:
    result = scores([[[0, 1], [2, 2]]], [[[0, 1], [2, 2]]])
    assert [entry.iou for entry in result.classes] == [1.0, 1.0, 1.0, None]
    assert result.label_mean.dice == result.sample_median.iou == 1.0


def test_one_recording_has_no_interval_and_says_why() -> None:
    result = scores([[[0, 1], [2, 2]]], [[[0, 1], [2, 1]]])
    assert result.label_mean.iou_interval is None
    assert result.classes[0].iou_interval is None
    assert any("One recording only" in note for note in result.notes)


def test_a_class_of_a_single_recording_has_no_interval_but_the_others_do() -> None:
    masks = [[[0, 1], [1, 1]], [[0, 0], [1, 2]]]
    result = scores([[[0, 1], [1, 0]], [[0, 0], [2, 2]]], masks, ["video1", "video2"])
    assert result.of("liver").iou_interval is not None
    assert result.of("blood").iou_interval is None
    assert any("Shown by one recording only" in note and "blood" in note for note in result.notes)
    assert str(result.of("liver")).startswith("liver: IoU 0.500 [0.000, 0.667], Dice ")


def test_intervals_equal_a_bootstrap_done_draw_by_draw() -> None:
    generator = np.random.default_rng(1)
    masks = generator.integers(0, 4, (12, 5, 5))
    masks[masks == 3] = 255
    guesses = generator.integers(0, 4, masks.shape)
    predictions = np.where((generator.random(masks.shape) < 0.6) & (masks < 4), masks, guesses)
    groups = [f"video{i // 3}" for i in range(12)]
    meter = OverlapMeter(NAMES)
    meter.update(predictions, masks, groups)
    config = BootstrapConfig(resamples=50, seed=5)
    result = meter.result(config)

    draws = np.random.default_rng(5).multinomial(4, np.full(4, 0.25), size=50)
    liver, label, sample, median = [], [], [], []
    for counts in draws:
        chosen = [i for i in range(12) for _ in range(counts[i // 3])]
        again = scores(predictions[chosen].tolist(), masks[chosen].tolist())
        liver.append(again.of("liver").iou)
        label.append(again.label_mean.dice)
        sample.append(again.sample_mean.iou)
        median.append(again.sample_median.iou)

    def ends(interval: Interval | None) -> list[float]:
        assert interval is not None
        return [interval.low, interval.high]

    for interval, values in (
        (result.of("liver").iou_interval, liver),
        (result.label_mean.dice_interval, label),
        (result.sample_mean.iou_interval, sample),
        (result.sample_median.iou_interval, median),
    ):
        assert ends(interval) == pytest.approx(list(np.quantile(values, [0.025, 0.975])))


masks_and_predictions = st.tuples(st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(
        arrays(np.int64, shape, elements=st.sampled_from([0, 1, 2, 3, 255])),
        arrays(np.int64, shape, elements=st.integers(0, 3)),
    )
)


@settings(max_examples=60)
@given(masks_and_predictions)
def test_confusion_and_iou_agree_with_torchmetrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

    masks, predictions = (torch.from_numpy(part) for part in pair)
    ours = confusion_matrices(predictions, masks, 4, 255).sum(axis=0)
    theirs = multiclass_confusion_matrix(predictions, masks, 4, ignore_index=255)
    np.testing.assert_array_equal(ours, theirs.numpy())
    if not ours.any():
        return
    meter = OverlapMeter(NAMES)
    meter.update(predictions, masks, ["video1"] * len(masks))
    jaccard = multiclass_jaccard_index(predictions, masks, 4, average="none", ignore_index=255)
    for entry, expected in zip(meter.result(FEW).classes, jaccard.tolist(), strict=True):
        if entry.pixels:
            assert entry.iou == pytest.approx(expected, abs=1e-6)
            assert entry.dice == pytest.approx(2 * expected / (1 + expected), abs=1e-6)
        else:
            assert entry.iou is None


@settings(max_examples=40)
@given(masks_and_predictions, st.permutations([0, 1, 2]))
def test_batches_ranks_and_their_order_do_not_matter(
    pair: tuple[np.ndarray, np.ndarray], order: list[int]
) -> None:
    masks, predictions = pair
    groups = [f"video{i % 2}" for i in range(len(masks))]
    if not (masks != 255).any():
        return
    whole = OverlapMeter(NAMES)
    whole.update(predictions, masks, groups)
    parts = OverlapMeter(NAMES)
    for i in order[: len(masks)] if len(masks) == 3 else [0]:
        rank = OverlapMeter(NAMES)
        rank.update(predictions[i : i + 1], masks[i : i + 1], groups[i : i + 1])
        parts.merge(rank.recordings)
    one, other = whole.result(FEW), parts.result(FEW)
    assert one.classes == other.classes
    assert one.sample_median.iou == pytest.approx(other.sample_median.iou)
    assert one.sample_mean.iou == pytest.approx(other.sample_mean.iou)


@settings(max_examples=40)
@given(masks_and_predictions)
def test_scores_are_proper_and_json_holds_no_nan(pair: tuple[np.ndarray, np.ndarray]) -> None:
    masks, predictions = pair
    meter = OverlapMeter(NAMES)
    meter.update(predictions, masks, [f"video{i}" for i in range(len(masks))])
    if not (masks != 255).any():
        with pytest.raises(DataError, match="no labelled pixel"):
            meter.result(FEW)
        return
    value = json.loads(json.dumps(meter.result(FEW).to_dict(), allow_nan=False))
    for entry in value["classes"]:
        if entry["iou"] is not None:
            assert 0 <= entry["iou"] <= entry["dice"] <= 1
    assert 0 <= value["label_mean"]["iou"] <= value["label_mean"]["dice"] <= 1


def test_what_was_gathered_survives_json() -> None:
    meter = OverlapMeter(NAMES)
    generator = np.random.default_rng(0)
    masks, predictions = generator.integers(0, 4, (2, 4, 6, 6))
    meter.update(predictions, masks, ["a", "a", "b", "c"])
    stored = json.loads(json.dumps({name: overlap.to_dict() for name, overlap in meter.recordings.items()}))
    read = {name: RecordingOverlap.from_dict(value) for name, value in stored.items()}
    assert overlap_scores(read, NAMES, FEW) == meter.result(FEW)


def test_read_only_bytes_as_a_cache_gives_them_are_welcome() -> None:
    masks = np.array([[[0, 1], [255, 1]]], np.uint8)
    masks.setflags(write=False)
    meter = OverlapMeter(NAMES)
    meter.update(masks, masks, ["video1"])
    assert meter.result(FEW).label_mean.iou == 1.0
    assert meter.result(FEW).of("liver").pixels == 2


def test_faults_are_named() -> None:
    meter = OverlapMeter(NAMES)
    mask = torch.zeros(1, 2, 2, dtype=torch.int64)
    with pytest.raises(DataError, match="the reference holds id 7"):
        meter.update(mask, mask + 7, ["video1"])
    with pytest.raises(DataError, match="the prediction holds id 4"):
        meter.update(mask + 4, mask, ["video1"])
    with pytest.raises(DataError, match="predictions are"):
        meter.update(mask[:, :1], mask, ["video1"])
    with pytest.raises(DataError, match=r"predictions are torch\.float32"):
        meter.update(mask.float(), mask, ["video1"])
    with pytest.raises(DataError, match="1 masks came with 2 recordings"):
        meter.update(mask, mask, ["video1", "video2"])
    with pytest.raises(DataError, match="no labelled pixel"):
        meter.result()
