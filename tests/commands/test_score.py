"""Masks of any other model: scored as ours are, and beside ours in comparison and report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.evaluation import read_metrics, read_scored
from rarescene.foundation.files import read_json
from rarescene.reports import build_report, render
from rarescene.scenes import read_image, write_image

from ..conftest import FRACTIONS, PHANTOM


@pytest.fixture(scope="module")
def predictions(segmenter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rarescene predict` says of every phantom frame."""
    root = tmp_path_factory.mktemp("frames")
    assert main(["phantom", str(root / "data"), "--videos", "6", "--frames", "8", "--size", "32"]) == 0
    words = ["predict", str(segmenter_run), str(root / "data/images"), "--out", str(root / "predicted")]
    assert main(words) == 0
    return root / "predicted"


def words(masks: Path, out: Path, *more: str) -> list[str]:
    return ["score", str(masks), "--data", PHANTOM, FRACTIONS, "--out", str(out), *more]


def told(error: pytest.CaptureFixture[str]) -> str:
    return " ".join(error.readouterr().err.split())


def test_predicted_masks_score_what_their_segmenter_scores(
    predictions: Path, segmenter_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(predictions / "masks", tmp_path / "scores", "--label", "ours, predicted")) == 0
    assert "files in" in told_out(capsys)  # those of the other parts belong to no test scene
    ours, scored = read_metrics(segmenter_run), read_metrics(tmp_path / "scores")
    assert scored.scores == ours.scores
    assert (scored.label, scored.steps, scored.size) == ("ours, predicted", None, None)
    for name, recording in ours.recordings.items():
        np.testing.assert_array_equal(scored.recordings[name].confusion, recording.confusion)


def told_out(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_scores_stand_beside_runs_in_comparison_and_report(
    predictions: Path, segmenter_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        out = tmp_path / f"other{seed}"
        assert (
            main(words(predictions / "masks", out, "--label", "nnU-Net", "--seed", str(seed), "--quiet")) == 0
        )
    runs = [segmenter_run, tmp_path / "other0"]
    scored = read_scored([*runs, tmp_path / "other1"])
    assert {name: sorted(seeds) for name, seeds in scored.metrics.items()} == {"none": [0], "nnU-Net": [0, 1]}
    assert not scored.equal_steps
    capsys.readouterr()
    assert main(["compare", *map(str, runs), "--classes", "liver"]) == 0
    assert "nnU-Net" in capsys.readouterr().out
    page = build_report(runs, title="t", rows=2)
    assert [run.name for run in page.runs] == ["none", "other0"]
    assert page.compared["other0"] == "masks of nnU-Net, predicted elsewhere, seed 0"
    assert page.comparison is not None
    shown = {cell.label: cell.picture for cell in page.gallery[0].cells}
    # One segmenter, through files and directly.
    np.testing.assert_array_equal(shown["prediction, other0"], shown["prediction, none"])
    render(page)


def test_a_perfect_nnunet_scores_one(tmp_path: Path) -> None:
    export = tmp_path / "Dataset501_Phantom"
    assert main(["export", "nnunet", "--data", PHANTOM, FRACTIONS, "--out", str(export)]) == 0
    shutil.copy(export / "dataset.json", export / "labelsTs")  # nnU-Net does so with its predictions
    assert main(words(export / "labelsTs", tmp_path / "scores", "--quiet")) == 0
    found = read_metrics(tmp_path / "scores")
    shown = [entry for entry in found.scores.classes if entry.pixels]
    assert len(shown) > 5
    assert {entry.iou for entry in shown} == {1.0}
    assert found.label == "labelsTs"


def test_recordings_that_the_segmenter_has_seen_are_not_scored(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(predictions / "masks", tmp_path / "scores", "--part", "all")) == 2
    assert "the segmenter" in told(capsys)
    assert not (tmp_path / "scores").exists()


def test_a_folder_of_something_else_is_left_alone_and_a_second_time_writes_anew(
    predictions: Path, segmenter_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (segmenter_run / "metrics.json").read_bytes()
    assert main(words(predictions / "masks", segmenter_run)) == 2
    assert "'segmenter'" in told(capsys)
    assert (segmenter_run / "metrics.json").read_bytes() == before
    masks = tmp_path / "masks"
    shutil.copytree(predictions / "masks", masks)
    assert main(words(masks, tmp_path / "scores", "--quiet")) == 0
    first: Any = read_json(tmp_path / "scores/metrics.json")
    for path in sorted(masks.glob("*.png")):
        write_image(path, np.zeros_like(read_image(path)[..., 0]))
    assert main(words(masks, tmp_path / "scores", "--quiet")) == 0
    again: Any = read_json(tmp_path / "scores/metrics.json")
    assert first["scores"]["label_mean"]["iou"] != again["scores"]["label_mean"]["iou"]
    assert json.loads((tmp_path / "scores/run.json").read_text())["finished"]


def test_runs_are_labelled_as_they_are_scored(segmenter_run: Path, tmp_path: Path) -> None:
    shutil.copytree(segmenter_run, tmp_path / "run")
    command = ["evaluate", str(tmp_path / "run"), "--data", PHANTOM, "--quiet", "--label", "small"]
    assert main(command) == 0
    assert list(read_scored([segmenter_run, tmp_path / "run"]).metrics) == ["none", "small"]
