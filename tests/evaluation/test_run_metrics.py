"""What `evaluate` writes is what is read, and strategies are averaged over their seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarescene.evaluation import OverlapMeter, RunMetrics, ScoredRuns, read_metrics, read_scored
from rarescene.evaluation.overlap import added_up
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import write_json
from rarescene.reports import verdict_on
from rarescene.scenes import ClassTable, SceneClass

CLASSES = ("liver", "cystic duct", "hepatic vein")
TABLE = ClassTable("three", tuple(SceneClass(i, name, (i, i, i)) for i, name in enumerate(CLASSES)))


def metrics(seed: int, wrong: float, recordings: int = 7, strategy: str = "none") -> RunMetrics:
    """Score predictions with a share of wrong pixels; masks are the same for every seed."""
    masks, noise = np.random.default_rng(0), np.random.default_rng(seed)
    meter = OverlapMeter(CLASSES)
    for recording in range(recordings):
        mask = masks.integers(0, 2, (3, 8, 8))
        predicted = np.where(noise.random(mask.shape) < wrong, 1 - mask, mask)
        meter.update(predicted, mask, [f"video{recording:02}"] * 3)
    return RunMetrics(
        "unet", strategy, seed, 100, 4, (8, 8), {"spec": "phantom:"}, TABLE, meter.result(), meter.recordings,
        {"calibration": {"error": 0.1}},
    )  # fmt: skip


def scored(recordings: int = 7) -> ScoredRuns:
    runs = {
        strategy: {seed: metrics(seed, wrong, recordings, strategy) for seed in (1, 2, 3)}
        for strategy, wrong in (("none", 0.3), ("offline", 0.1))
    }
    return ScoredRuns(runs, {}, TABLE, True)


def json_of(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("recordings", [1, 7])
def test_what_is_written_is_what_is_read(recordings: int) -> None:
    one = metrics(1, 0.2, recordings)
    again = RunMetrics.from_dict(json_of(one.to_dict()))
    assert again.scores == one.scores
    assert (again.scores.of("liver").iou_interval is None) == (recordings == 1)
    assert again.scores.of("hepatic vein").iou is None
    assert (again.size, again.classes, again.measured) == (one.size, one.classes, one.measured)
    np.testing.assert_array_equal(
        added_up(again.recordings.values()), sum(part.confusion for part in one.recordings.values())
    )
    assert json_of(again.to_dict()) == json_of(one.to_dict())


def test_a_file_without_scores_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not been scored"):
        read_metrics(tmp_path)
    whole = json_of(metrics(1, 0.2).to_dict())
    for damaged in ([], {"scores": {}}, whole | {"scores": {}}, whole | {"recordings": {"a": 3}}):
        write_json(tmp_path / "metrics.json", damaged)
        with pytest.raises(CheckpointError, match="does not hold the scores"):
            read_metrics(tmp_path)


@pytest.mark.parametrize("recordings", [2, 7])
def test_the_headline_is_the_rare_mean_and_comes_first(recordings: int) -> None:
    table = scored(recordings).compared("none", ("cystic duct", "hepatic vein"))
    assert (table.baseline, table.strategies[1:], len(table.seeds)) == ("none", ("offline",), 3)
    assert len(table.recordings) == recordings
    first, *others = table.rows_of("offline")
    assert first.measure == table.headline == "rare mean"
    assert {row.measure for row in others} == {row.measure for row in table.rows} - {"rare mean"}
    duct = table.of("offline", "cystic duct")  # the hepatic vein is absent, so the duct is all there is
    assert duct.difference_interval is not None
    assert first.difference_interval is not None
    assert (first.difference, first.difference_interval.low) == pytest.approx(
        (duct.difference, duct.difference_interval.low)
    )
    assert table.of("offline", "hepatic vein").difference is None
    assert verdict_on(table, "offline").tone == "gain"
    assert scored(recordings).compared("none", ()).headline == "label mean"


def test_strategies_are_averaged_over_seeds() -> None:
    runs = scored()
    none, offline = runs.averaged().values()
    assert list(runs.averaged()) == ["none", "offline"]
    assert none.label_mean.iou < offline.label_mean.iou
    results = [one.scores for one in runs.metrics["offline"].values()]
    liver = offline.of("liver")
    assert liver.iou == pytest.approx(np.mean([result.of("liver").iou for result in results]))
    assert liver.iou_interval is not None
    assert offline.label_mean.dice == pytest.approx(np.mean([result.label_mean.dice for result in results]))
    assert liver.pixels == results[0].of("liver").pixels
    assert liver.false_pixels == sum(result.of("liver").false_pixels for result in results) // 3
    assert offline.of("hepatic vein").iou is None


def test_runs_are_read_by_strategy_and_seed(tmp_path: Path) -> None:
    folders = []
    for name, one in (("a", metrics(1, 0.3)), ("b", metrics(1, 0.1, strategy="offline"))):
        write_json(tmp_path / name / "metrics.json", one.to_dict())
        folders.append(tmp_path / name)
    found = read_scored(folders)
    assert found.strategies == ["none", "offline"]
    assert found.folders["offline"] == {1: tmp_path / "b"}
    assert found.equal_steps
    with pytest.raises(ConfigError, match="two runs are of 'none' and seed 1"):
        read_scored([folders[0], folders[0]])
    changed = json_of(metrics(1, 0.1, strategy="offline").to_dict()) | {"steps": 7}
    write_json(tmp_path / "b/metrics.json", changed)
    assert not read_scored(folders).equal_steps
