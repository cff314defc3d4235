"""The page about runs: whatever they are, and however many seeds there are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError
from rarescene.reports import build_report, render

from ..conftest import BRIEF, PHANTOM


@pytest.fixture(scope="module")
def scored(segmenter_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Two strategies of two seeds each, by strategy and seed."""
    root = tmp_path_factory.mktemp("scored")
    found = {("none", 0): segmenter_run}
    for strategy, seed in (("duplicate", 0), ("none", 1), ("duplicate", 1)):
        out = root / f"{strategy}{seed}"
        words = ["segment", "unet", "--data", PHANTOM, "--out", str(out), *BRIEF, "--seed", str(seed)]
        rare = ["--duplicate.classes", "grasper"] if strategy == "duplicate" else []
        assert main([*words, "--strategy", strategy, *rare]) == 0
        assert main(["evaluate", str(out), "--data", PHANTOM, "--quiet"]) == 0
        found[strategy, seed] = out
    return found


def test_generators_alone(generator_run: Path) -> None:
    page = build_report([generator_run], title="t")
    assert (page.runs, page.comparison, page.gallery, page.realism) == ((), None, (), {})
    assert [curve.title for curve in page.curves] == ["image generator: class-aware MSE"]
    assert page.phantom
    assert list(page.compared) == ["casdm"]
    assert "Phantom" in render(page)


def test_sets_alone(pairs: Path) -> None:
    page = build_report([pairs], title="t", rows=2)
    assert list(page.realism) == ["pairs"]
    assert {measure.name for measure in page.realism["pairs"]} >= {"FD-EffNetLite0", "PSNR, dB"}
    assert 1 <= len(page.gallery) <= 2
    assert [cell.label for cell in page.gallery[0].cells][:3] == ["map", "phantom frame", "synthetic"]
    assert not build_report([pairs], title="t", rows=2, realism=False).realism
    render(page)


def test_sets_of_varied_maps_have_no_frame_beside_them(generator_run: Path, tmp_path: Path) -> None:
    command = ["synthesize", str(generator_run), "--masks", PHANTOM, "--out", str(tmp_path / "set"), "--vary"]
    assert main([*command, "--count", "4", "--sampling.steps=1"]) == 0
    page = build_report([tmp_path / "set"], title="t", rows=2)
    assert all("frame" not in cell.label for row in page.gallery for cell in row.cells)
    assert {measure.name for measure in page.realism["set"]} == {"FD-EffNetLite0", "KD-EffNetLite0"}
    assert "flipped" in page.compared["set"]
    render(page)


def test_pairs_of_generated_maps_have_no_frame_and_curated_ones_name_their_set(
    pairs: Path, tmp_path: Path
) -> None:
    shutil.copytree(pairs, tmp_path / "set")
    record = json.loads((pairs / "run.json").read_text())
    config = {name: value for name, value in record["config"].items() if name not in ("masks", "vary")}
    config["curation"] = {"of": "all_pairs"}
    (tmp_path / "set/run.json").write_text(json.dumps(record | {"config": config}))
    lines = [json.loads(line) for line in (pairs / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        del line["mask_of"]
    (tmp_path / "set/manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = build_report([tmp_path / "set"], title="t", rows=2)
    assert not page.realism
    assert {row.note for row in page.gallery} == {"generated for a map that is generated too"}
    assert "generated maps, chosen from all_pairs" in page.compared["set"]
    render(page)


def test_one_segmenter_is_a_column_without_a_comparison(segmenter_run: Path) -> None:
    page = build_report([segmenter_run], title="t", rows=2)
    assert [column.name for column in page.runs] == ["none"]
    assert page.comparison is None
    assert len(page.gallery) == 2
    render(page)


def test_one_run_a_strategy_is_a_column_a_run(scored: dict[tuple[str, int], Path]) -> None:
    page = build_report([scored["none", 0], scored["duplicate", 0]], title="t", rows=1)
    assert [column.name for column in page.runs] == ["none", "duplicate0"]
    assert page.comparison is not None
    assert page.comparison.strategies == ("none", "duplicate")
    assert len(page.comparison.seeds) == 1
    assert list(page.verdicts()) == ["duplicate"]
    render(page)


def test_several_seeds_are_one_column_a_strategy(scored: dict[tuple[str, int], Path]) -> None:
    page = build_report(list(scored.values()), title="t", rows=1)
    assert [column.name for column in page.runs] == ["none", "duplicate"]
    assert page.comparison is not None
    assert page.comparison.strategies == ("none", "duplicate")
    assert len(page.comparison.seeds) == 2
    assert list(page.verdicts()) == ["duplicate"]
    for column in page.runs:
        runs = [json.loads((scored[column.name, seed] / "metrics.json").read_text()) for seed in (0, 1)]
        assert column.seeds == (0, 1)
        for score in ("iou", "dice"):
            mean = np.mean([run["scores"]["label_mean"][score] for run in runs])
            assert getattr(column.scores.label_mean, score) == pytest.approx(mean)
            for index, entry in enumerate(column.scores.classes):
                values = [run["scores"]["classes"][index][score] for run in runs]
                expected = None if None in values else pytest.approx(np.mean(values))
                assert getattr(entry, score) == expected
        counted = np.sum([one["confusion"] for run in runs for one in run["recordings"].values()], axis=0)
        assert np.array_equal(column.confusion, counted)
    labels = {cell.label for row in page.gallery for cell in row.cells}
    assert any("none, seed 0" in label for label in labels)
    assert not any("seed 1" in label for label in labels)
    assert len(page.compared) == 4
    render(page)


def test_seeds_that_do_not_pair_are_told(scored: dict[tuple[str, int], Path]) -> None:
    with pytest.raises(ConfigError, match="has seeds"):
        build_report([scored["none", 0], scored["none", 1], scored["duplicate", 0]], title="t")


def test_several_seeds_of_one_strategy_stay_columns_of_their_own(scored: dict[tuple[str, int], Path]) -> None:
    page = build_report([scored["none", 0], scored["none", 1]], title="t", rows=1)
    assert [column.name for column in page.runs] == ["none", "none1"]
    render(page)


def test_folders_of_one_name_are_told_apart(
    generator_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a", "b"):
        shutil.copytree(generator_run, Path(place) / "run")
    page = build_report([Path("a/run"), Path("b/run")], title="t")
    assert list(page.compared) == ["a/run", "b/run"]
    monkeypatch.chdir("a/run")
    assert list(build_report([Path()], title="t").compared) == ["run"]


def test_unequal_image_sizes_are_no_fair_comparison(
    scored: dict[tuple[str, int], Path], tmp_path: Path
) -> None:
    shutil.copytree(scored["duplicate", 0], tmp_path / "small")
    metrics = json.loads((tmp_path / "small/metrics.json").read_text())
    (tmp_path / "small/metrics.json").write_text(json.dumps(metrics | {"size": [16, 16]}))
    fair = build_report([scored["none", 0], scored["duplicate", 0]], title="t", rows=0)
    unfair = build_report([scored["none", 0], tmp_path / "small"], title="t", rows=0)
    assert (fair.equal_steps, unfair.equal_steps) == (True, False)
