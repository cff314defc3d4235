"""PHiSeg and the ensemble from the command line: trained, resumed, and scored with their uncertainty."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from rarescene.cli import main
from rarescene.evaluation import MEASURES, UncertaintyMeter, read_metrics
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.run_record import read_record
from rarescene.reports import metric_columns, metric_table
from rarescene.scenes import open_scenes, write_image
from rarescene.segmenters import load_segmenter
from rarescene.training import to_images, to_masks
from rarescene.training.loop import Learner

from ..conftest import BRIEF, PHANTOM

NETWORKS = {
    "phiseg": ["phiseg", "--model.widths=[16,16,24]", "--model.latent_levels=2", "--model.samples=3"],
    "unet-ensemble": ["unet-ensemble", "--model.widths=[8,16]", "--model.members=2"],
}


def train(network: str, out: Path, *words: str) -> int:
    return main(["segment", *NETWORKS[network], "--data", PHANTOM, "--out", str(out), *BRIEF[1:], *words])


@pytest.fixture(scope="module", params=NETWORKS)
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bayesian") / str(request.param)
    assert train(request.param, out) == 0
    assert main(["evaluate", str(out), "--data", PHANTOM, "--at", "run", "--quiet"]) == 0
    return out


@pytest.mark.parametrize("network", NETWORKS)
def test_killed_and_resumed_equals_undisturbed(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(network, tmp_path / "whole") == 0

    def dies(self: Learner, step: int, average: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "before_step", dies)
        assert train(network, tmp_path / "cut") == 130
    assert train(network, tmp_path / "cut", "--resume") == 0
    weights = [(tmp_path / name / "model/weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_the_log_holds_the_terms_of_the_bound(scored: Path) -> None:
    lines = [line for line in read_json_lines(scored / "log.jsonl") if "loss" in line]
    terms = {"reconstruction", "kl_1", "kl_2"}
    assert lines
    for line in lines:
        assert terms & line.keys() == (terms if scored.name == "phiseg" else set())
        assert line["loss"] > line.get("reconstruction", 0) >= 0


def test_the_batch_of_the_record_is_that_of_a_member(scored: Path) -> None:
    assert read_record(scored).config["training"]["batch_size"] == 4
    assert read_metrics(scored).batch_size == 4


def test_metrics_hold_the_uncertainty_of_the_test_scenes(scored: Path) -> None:
    metrics = read_metrics(scored)
    table = metrics.classes
    network, _ = load_segmenter(scored / "model", table)
    recordings = set(metrics.recordings)
    scenes = [scene for scene in open_scenes(PHANTOM) if scene.record.group in recordings]
    posterior = network.posterior(to_images(np.stack([scene.image for scene in scenes])))  # type: ignore[operator]
    masks = to_masks(np.stack([scene.mask for scene in scenes]))
    assert set(metrics.measured["uncertainty"]) == set(MEASURES)
    for measure in MEASURES:
        meter = UncertaintyMeter(len(table), table.ignore_index, measure)
        meter.update(posterior, masks)
        found = metrics.measured["uncertainty"][measure]
        assert found["pixels"] == list(meter.result().pixels)
        assert found["values"] == pytest.approx(list(meter.result().values), abs=1e-5)


def test_fewer_samples_can_be_asked_for(scored: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(scored), "--data", PHANTOM, "--quiet", "--samples"]
    assert main([*words, "1", "--out", str(tmp_path / "one.json")]) == 0
    one = json.loads((tmp_path / "one.json").read_text())["uncertainty"]["variance"]["values"]
    assert all(value is None or value == pytest.approx(0, abs=1e-9) for value in one)
    assert main([*words, "0"]) == 2


def test_samples_of_a_segmenter_that_draws_none_are_refused(
    segmenter_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(segmenter_run), "--data", PHANTOM, "--samples", "4"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--samples is 4, and a unet has no posterior samples" in said
    assert "Leave --samples out" in said


def test_any_segmenter_is_scored_on_its_probabilities(segmenter_run: Path) -> None:
    metrics = read_metrics(segmenter_run)
    assert "uncertainty" not in metrics.measured
    assert 0 < metrics.measured["calibration"]["error"] < 1
    shown = [entry.iou is not None for entry in metrics.scores.classes]
    assert [value is not None for value in metrics.measured["average_precision"]["classes"]] == shown
    assert 0 < metrics.measured["average_precision"]["sample_median"] < 1


def test_the_table_fits_a_terminal_and_takes_what_there_is(scored: Path, segmenter_run: Path) -> None:
    texts = []
    for run in (scored, segmenter_run):
        found = read_metrics(run)
        console = Console(file=io.StringIO(), width=80)
        console.print(metric_table(metric_columns(found.measured), found.classes))
        texts.append(console.file.getvalue())  # type: ignore[attr-defined]
        assert max(map(len, texts[-1].splitlines())) <= 80
        assert "hepatic vein" in texts[-1]
    assert "variance" in texts[0]
    assert "variance" not in texts[1]


def test_the_report_shows_what_the_probabilities_are_worth(scored: Path, tmp_path: Path) -> None:
    assert main(["report", str(scored), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    section = page[page.index('id="confidence"') :]
    section = section[: section.index("</section>")]
    columns = metric_columns(read_metrics(scored).measured)
    assert len(columns) == 4
    assert all(f">{column.heading}</th>" in section for column in columns)
    assert all(f">{cell}</td>" in section for column in columns for cell in column.classes)
    assert all(f">{cell}</td>" in section for column in columns for cell in column.means.values())


def test_metrics_without_the_new_entries_are_still_read(segmenter_run: Path, tmp_path: Path) -> None:
    whole = json.loads((segmenter_run / "metrics.json").read_text())
    old = {name: value for name, value in whole.items() if name not in ("average_precision", "calibration")}
    (tmp_path / "metrics.json").write_text(json.dumps(old))
    assert json.loads(json.dumps(read_metrics(tmp_path).to_dict())) == old
    assert metric_columns(read_metrics(tmp_path).measured) == ()


def test_frames_of_a_user_get_masks(scored: Path, tmp_path: Path) -> None:
    scene = open_scenes(PHANTOM)[0]
    write_image(tmp_path / "frame.png", scene.image)
    assert main(["predict", str(scored), str(tmp_path / "frame.png"), "--out", str(tmp_path / "out")]) == 0
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "frame.png"))
    network, _ = load_segmenter(scored / "model")
    expected = network.predict(to_images(scene.image[None])).argmax(dim=1)[0].numpy()
    assert (mask == expected).mean() > 0.99
