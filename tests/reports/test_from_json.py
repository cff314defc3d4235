"""What other rooms write as JSON comes from their own dataclasses here, so that a change there fails here."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rarescene.evaluation import OverlapMeter, RecordingOverlap, compare
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import RunRecord
from rarescene.reports import (
    comparisons,
    curve_plot,
    provenance,
    realism_measures,
    run_scores,
    strategy_scores,
    verdict_on,
)

from ..provenance import provenance as behind

CLASSES = ("liver", "cystic duct", "hepatic vein")


def scored(seed: int, wrong: float, recordings: int = 7) -> OverlapMeter:
    """Score predictions with a share of wrong pixels; masks are the same for every seed."""
    masks, noise = np.random.default_rng(0), np.random.default_rng(seed)
    meter = OverlapMeter(CLASSES)
    for recording in range(recordings):
        mask = masks.integers(0, 2, (3, 8, 8))
        predicted = np.where(noise.random(mask.shape) < wrong, 1 - mask, mask)
        meter.update(predicted, mask, [f"video{recording:02}"] * 3)
    return meter


def json_of(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


def test_scores_keep_their_values_intervals_and_absence() -> None:
    meter = scored(1, 0.2)
    result = meter.result()
    overlaps = {name: overlap.to_dict() for name, overlap in meter.recordings.items()}
    run = run_scores("none", json_of(result.to_dict()), recordings=json_of(overlaps), seeds=[1], stride=4)
    liver = run.classes[0]
    assert liver.iou.value == result.of("liver").iou
    interval = result.of("liver").iou_interval
    assert interval is not None
    assert (liver.iou.low, liver.iou.high) == (interval.low, interval.high)
    assert run.classes[2].iou.value is None
    assert not run.classes[2].iou.has_interval
    assert run.label_mean.dice.value == result.label_mean.dice
    assert run.notes == result.notes
    assert run.confusion is not None
    total = sum(overlap.confusion for overlap in meter.recordings.values())
    np.testing.assert_array_equal(np.array(run.confusion), total)


@pytest.mark.parametrize("recordings", [2, 7])
def test_differences_are_those_of_the_table(recordings: int) -> None:
    runs: dict[str, dict[int, dict[str, RecordingOverlap]]] = {
        "none": {seed: scored(seed, 0.3, recordings).recordings for seed in (1, 2, 3)},
        "offline": {seed: scored(seed, 0.1, recordings).recordings for seed in (1, 2, 3)},
    }
    table = compare(runs, CLASSES, baseline="none", rare=("cystic duct", "hepatic vein"))
    (one,) = comparisons(json_of(table.to_dict()))
    assert (one.baseline, one.candidate, one.seeds, one.recordings) == ("none", "offline", 3, recordings)
    assert one.differences[0] == one.headline
    duct = next(line for line in one.differences if line.of == "cystic duct")
    assert one.headline.of == "rare mean"  # the hepatic vein is absent, so the duct is all there is
    assert (one.headline.mean, one.headline.low) == pytest.approx((duct.mean, duct.low))
    label = next(line for line in one.differences if line.of == "label mean")
    row = table.of("offline", "label mean")
    assert (label.mean, label.effect, label.p) == (row.difference, row.effect_size, row.p_holm)
    assert (label.before, label.after) == (table.of("none", "label mean").mean, row.mean)
    assert next(line for line in one.differences if line.of == "hepatic vein").mean is None
    assert verdict_on(one).tone == "gain"
    assert one.conclusion == table.conclusions[0]


def test_strategies_are_averaged_over_seeds() -> None:
    meters = {
        name: [scored(seed, wrong) for seed in (1, 2, 3)] for name, wrong in (("none", 0.3), ("offline", 0.1))
    }
    runs = {name: dict(enumerate(meter.recordings for meter in some)) for name, some in meters.items()}
    tables = {
        score: json_of(compare(runs, CLASSES, baseline="none", rare=CLASSES, score=score).to_dict())
        for score in ("iou", "dice")
    }
    parts = {
        name: [{r: o.to_dict() for r, o in m.recordings.items()} for m in some]
        for name, some in meters.items()
    }
    results = [meter.result() for meter in meters["offline"]]
    none, offline = strategy_scores(
        tables, json_of(results[0].to_dict()), recordings=json_of(parts), stride=4
    )
    assert (none.name, offline.name, offline.seeds) == ("none", "offline", (0, 1, 2))
    ious = [result.of("liver").iou for result in results]
    assert offline.classes[0].iou.value == pytest.approx(np.mean(ious))
    assert offline.classes[0].iou.has_interval
    assert offline.label_mean.dice.value == pytest.approx(
        np.mean([result.label_mean.dice for result in results])
    )
    assert offline.classes[0].pixels == results[0].of("liver").pixels
    assert offline.classes[2].iou.value is None
    assert offline.confusion is not None
    assert sum(map(sum, offline.confusion)) == 3 * 7 * 3 * 64


def test_realism_keeps_the_names_of_its_distances() -> None:
    realism = {
        "distances": [
            {"frechet_name": "FD-x", "frechet": 2.0}
            | {"kernel_name": "KD-x", "kernel": 0.1, "kernel_deviation": None}
        ],
        "ms_ssim": None,
        "ms_ssim_settings": None,
        "psnr": {"mean": 21.0, "interval": {"low": 20.0, "high": 22.0}},
        "real_images": 10,
        "synthetic_images": 1200,
        "notes": [],
    }  # fmt: skip
    measures = realism_measures(realism)
    assert [(one.name, one.value, one.better) for one in measures] == [
        ("FD-x", 2.0, "lower"),
        ("KD-x", 0.1, "lower"),
        ("PSNR, dB", 21.0, "higher"),
    ]
    assert "1,200 synthetic against 10 real" in measures[0].note
    assert "20 to 22" in measures[2].note


def test_a_curve_takes_the_lines_that_have_its_scalar() -> None:
    log = [{"step": 20, "loss": 1.0}, {"step": 20, "validation": 0.3}, {"step": 40, "loss": 0.5}]
    plot = curve_plot("Segmenter", {"none": log, "offline": []}, logarithmic=True)
    assert plot.curves[0].steps == (20.0, 40.0)
    assert plot.curves[0].values == (1.0, 0.5)
    assert plot.curves[1].values == ()
    assert plot.y_label == "loss"
    assert plot.logarithmic
    assert curve_plot("v", {"none": log}, "validation").curves[0].values == (0.3,)


def test_provenance_tells_each_fact_once_and_all_that_was_seen() -> None:
    def record(seed: int, seen: str) -> RunRecord:
        return RunRecord(
            kind="segmenter", config={}, seed=seed,
            provenance=behind(
                licence="Apache-2.0", seen=Seen({seen: None}),
                recordings={"train": ["a"], "validation": ["c"], "test": ["d"]},
            ),
            class_table={}, command=f"rarescene segment unet --seed {seed}", machine={"cores": 2},
            versions={"torch": "2.13"}, commit="abc",
        )  # fmt: skip

    source = provenance([record(1, "a"), record(0, "b"), record(1, "a")], wall_time="1 min")
    assert source.train == ("a", "b")
    assert (source.validation, source.test, source.seeds) == (("c",), ("d",), (0, 1))
    assert source.commands == ("rarescene segment unet --seed 1", "rarescene segment unet --seed 0")
    assert (source.commit, source.machine, source.licence) == ("abc", "cores 2", "Apache-2.0")
    assert source.more == {"wall time": "1 min"}
