"""The recipes of the GAUDA paper: what was published, how tables grow, and what is counted as a failure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.evaluation import OverlapMeter, RecordingOverlap
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import PRIVATE
from rarescene.recipes.gauda.cost import _seconds
from rarescene.recipes.gauda.failures import INSTRUMENTS, failure_shares
from rarescene.recipes.gauda.figures import fig12, frames_iou
from rarescene.recipes.gauda.pictures import _predict, _scored_frames, fig8
from rarescene.recipes.gauda.published import (
    CLASSES,
    MEANS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_6,
)
from rarescene.recipes.gauda.published import (
    COLUMNS as PUBLISHED_COLUMNS,
)
from rarescene.recipes.gauda.quality import _coherence
from rarescene.recipes.gauda.scale import COLUMNS, OURS, PAPER, columns_of, read_scale, segmenters_of
from rarescene.recipes.gauda.study import Cells, GaudaStudy, Sitting
from rarescene.recipes.reproduce import RECIPES, _specs
from rarescene.recipes.run_store import RunStore
from rarescene.recipes.scale import DataScale
from rarescene.scenes import CHOLECSEG8K
from rarescene.scenes.data import decode
from rarescene.scenes.datasets.class_tables import SETTINGS

TABLES = {"1": TABLE_1, "2": TABLE_2, "3": TABLE_3, "4": TABLE_4}
SCALES = ("smoke", "tiny", "small", "paper")


def columns(table: str) -> np.ndarray:
    """Return the classes' figures of a published table, `(C, 6)`."""
    return np.array([row for name, row in TABLES[table].items() if name not in MEANS])


def test_the_published_tables_have_the_classes_of_our_tables() -> None:
    for table, names in (("1", CHOLECSEG8K.names), ("3", SETTINGS["2"].table.names)):
        for known in (TABLES[table], TABLES[str(int(table) + 1)]):
            assert set(known) == {*names, *MEANS}
            assert all(len(row) == 6 and all(0 < value < 1 for value in row) for row in known.values())
    assert list(CLASSES.values()) == [13, 17]
    assert tuple(column.head for column in PAPER) == PUBLISHED_COLUMNS


def test_the_published_label_means_are_those_of_their_columns_but_for_two() -> None:
    """Rounding to three digits, of the rows and of the mean, moves a mean by 0.001 at most."""
    off = {
        (table, PUBLISHED_COLUMNS[place]): round(float(mean), 3)
        for table in TABLES
        for place, mean in enumerate(columns(table).mean(axis=0))
        if abs(mean - TABLES[table]["label mean"][place]) > 0.00101
    }
    assert off == {("3", "aug"): 0.752, ("3", "GAUDA"): 0.776}
    assert [TABLE_3["label mean"][place] for place in (1, 4)] == [0.753, 0.786]


def test_the_columns_are_read_in_the_order_that_the_text_speaks_of() -> None:
    # Classes for which GAUDA or GAUDA + aug is best: 11 and 10 of 13, 11 (10 in the table) and 15 of 17.
    best = [int((columns(table)[:, 4:].max(1) > columns(table)[:, :4].max(1)).sum()) for table in TABLES]
    assert best == [11, 10, 10, 15]
    # aug harms PHiSeg on CholecSeg8k in every pair of columns, and helps the ensemble on CaDISv2.
    means = {table: np.array(TABLES[table]["label mean"]) for table in TABLES}
    assert (means["1"][1::2] < means["1"][::2]).all()
    assert (means["4"][1::2] > means["4"][::2]).all()
    assert means["2"][5] > means["2"][4]  # GAUDA + aug improves over GAUDA for the ensemble on CholecSeg8k


def test_the_other_published_tables_fit_the_text() -> None:
    assert {data for _, data in TABLE_5} == set(CLASSES)
    whole, parts = TABLE_6["full model"], TABLE_6["LDM"]
    assert whole[1] - parts[1] == 4.0  # decoding, as the image VQ-GAN alone takes
    hours = {name: time for name, (time, _) in TABLE_6.items()}
    assert hours["segmenter, GAUDA"] / hours["segmenter, default"] == pytest.approx(1.48, abs=0.005)  # type: ignore[operator]


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_is_read(name: str) -> None:
    scale = read_scale(name)
    height, _ = scale.size
    assert (scale.mask_vqgan.network.factor, height % scale.image_vqgan.network.factor) == (
        scale.image_vqgan.network.factor,
        0,
    )
    assert scale.sampling.guidance is not None
    assert len(scale.guidances) >= 2
    assert scale.gauda.probability == 0.25
    for segmenter in ("phiseg", "unet_ensemble"):
        training = scale.segmenters.training(segmenter)  # type: ignore[arg-type]
        assert 0 < training.validate_every <= training.steps // 2  # the last validation refreshes nothing


def test_generators_of_other_sizes_are_refused() -> None:
    scale = read_scale("tiny")
    with pytest.raises(ConfigError, match="mask_vqgan is for 128×128, joint for 64×64"):
        replace(scale, mask_vqgan=replace(scale.mask_vqgan, height=128, width=128))


def test_the_paper_scale_is_section_4_2() -> None:
    scale = read_scale("paper")
    for vqgan in (scale.image_vqgan, scale.mask_vqgan):
        network, training = vqgan.network, vqgan.training
        assert (network.levels, network.blocks_per_level, network.codes) == ((128, 256, 1024), 2, 8192)
        assert vqgan.adversarial.widths == (64, 128, 256)
        assert (training.batch_size, training.decay) == (16, "exponential")
        assert training.steps == 500 * round(0.9 * 8080) // 16
    network, training = scale.joint.network, scale.joint.training
    assert (network.channels, network.blocks_per_level) == ((224, 448, 896, 1344), 2)
    side = scale.size[0] // scale.image_vqgan.network.factor
    assert [side // stride for stride in network.attention_strides] == [16, 8, 4]
    assert (training.batch_size, training.decay, training.decay_power) == (80, "polynomial", 0.2)
    assert training.weight_decay == 0
    assert training.steps == 5000 * -(-round(0.9 * 8080) // 80)
    assert (scale.sampling.sampler, scale.sampling.steps) == ("ddpm", 1000)
    segmenters = scale.segmenters
    for model in (segmenters.phiseg.model, segmenters.unet_ensemble.model):
        assert model.widths == (32, 64, 128, 192, 192, 192, 192)
    assert segmenters.unet_ensemble.model.members == 10
    for training, steps in (
        (segmenters.training("phiseg"), 50_000),
        (segmenters.training("unet_ensemble"), 15_000),
    ):
        assert (training.steps, training.batch_size, training.decay) == (steps, 100, "none")
        assert (training.validate_every, training.weight_decay) == (200, 0)
    assert (scale.gauda.classes, scale.gauda.measure) == (5, "variance")
    classic = scale.classic
    assert (classic.crop, classic.crop_share, classic.horizontal_flip) == (0.2, 0.1, 0.2)
    assert (classic.rotation, classic.degrees, classic.vertical_flip) == (0.2, 45.0, 0.0)
    assert scale.datasetgan.refinement.frames == 50
    assert scale.cholecseg8k.split == scale.cadis.split == "gauda"


def test_columns_and_segmenters_are_chosen_by_name() -> None:
    assert [column.name for column in columns_of(["gauda", " offline"])] == ["none", "gauda", "offline"]
    with pytest.raises(ConfigError, match="no column is called 'casdm'"):
        columns_of(["casdm"])
    assert segmenters_of(["unet-ensemble"]) == segmenters_of(["unet_ensemble "]) == ("unet_ensemble",)
    with pytest.raises(ConfigError, match="segformer"):
        segmenters_of(["segformer"])
    assert len({column.head for column in COLUMNS}) == len(PAPER + OURS) == 9


def test_data_go_to_the_data_set_of_their_name() -> None:
    sources = {"cholecseg8k": DataScale("phantom:a"), "cadis": DataScale("phantom:b")}
    assert _specs("r", "tiny", sources, []) == {"cholecseg8k": "phantom:a", "cadis": "phantom:b"}
    assert _specs("r", "tiny", sources, ["cadis:x,setting=2"]) == {"cadis": "cadis:x,setting=2"}
    assert _specs("r", "tiny", sources, ["folder:x"]) == {"cholecseg8k": "folder:x"}
    assert _specs("r", "tiny", sources, ["folder:x", "cholecseg8k:y"]) == {
        "cholecseg8k": "cholecseg8k:y",
        "cadis": "folder:x",
    }
    assert list(_specs("r", "tiny", sources, ["cadis:x", "cholecseg8k:y"])) == ["cholecseg8k", "cadis"]
    with pytest.raises(ConfigError, match="was given 3 data sets"):
        _specs("r", "tiny", sources, ["a:1", "b:2", "c:3"])


def test_a_split_that_does_not_fit_the_data_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", "gauda-table3", "--scale", "smoke", "--out", str(tmp_path)]
    assert main([*words, "--split", "cadis"]) == 2
    assert "the CaDIS split needs Video02" in " ".join(capfd.readouterr().err.split())
    assert main([*words, "--datasets", "cholecseg8k"]) == 2
    assert "gauda-table3 has nothing to choose by --datasets" in " ".join(capfd.readouterr().err.split())


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 2 at smoke, grown in two sittings, the first of them without a generator."""
    out = tmp_path_factory.mktemp("grown")
    words = ["reproduce", "gauda-table2", "--scale", "smoke", "--out", str(out)]
    assert main([*words, "--strategies", "classic"]) == 0
    first = (out / "smoke" / "gauda-table2.md").read_text()
    assert "Not trained yet: adaptive, adaptive+classic, gauda," in first
    assert first.splitlines()[2] == "`rarescene reproduce gauda-table2 --scale smoke --strategies classic`"
    made = sorted(path.name.partition("-")[0] for path in (out / "smoke" / "runs").iterdir())
    assert made == ["unet_ensemble"] * 2
    assert main([*words, "--strategies", "duplicate"]) == 0
    return out / "smoke"


@pytest.mark.slow
def test_a_table_grows_over_sittings(grown: Path) -> None:
    values = json.loads((grown / "gauda-table2.json").read_text())
    paper, published, ours = values["sheets"][:3]
    assert paper["columns"] == ["class", *PUBLISHED_COLUMNS]
    assert paper["rows"][-1] == ["seeds", "1", "1", *["not trained"] * 4]
    assert ours["rows"][-1] == ["seeds", "1", "1", "not trained", "not trained"]
    means = ["label mean", "sample mean", "sample median", "rare mean", "worst 3"]
    assert [row[0] for row in paper["rows"]] == [*CHOLECSEG8K.names, *means, "seeds"]
    assert published["rows"][0][1:] == ["93.9", "93.1", "94.9", "94.7", "96.6", "96.5"]
    assert len(list((grown / "runs").iterdir())) == 3
    told = next(note for note in values["notes"] if note.startswith("Rare classes: "))
    assert "by the masks of the training part; duplicates and offline pairs" in told
    # What loses is named, with what is known of why.
    tested = {(row["strategy"], row["measure"]): row for row in values["values"]["tested"]["rows"]}
    lost = {
        measure
        for (_, measure), row in tested.items()
        if measure in CHOLECSEG8K.names and round(row["difference"] or 0, 3) < 0
    }
    assert {note.partition(" loses")[0] for note in values["notes"] if " loses: " in note} == lost


@pytest.mark.slow
def test_what_another_sitting_trained_is_shown_and_nothing_more(grown: Path) -> None:
    scale = read_scale("smoke")
    spec = str(scale.cholecseg8k.spec)
    study = GaudaStudy(scale, "cholecseg8k", spec, RunStore(grown / "runs"), Sitting(here=False))
    found = {column.name for column in COLUMNS if study.cells("unet_ensemble", column) is not None}
    assert found == {"none", "classic", "duplicate"}
    assert all(study.cells("phiseg", column) is None for column in COLUMNS)
    assert study.have(study.joint()) is None
    assert study.title == "phantom for CholecSeg8k"

    # Frames are in the order of their scores: the IoU of one is that of its own prediction.
    cells = study.cells("unet_ensemble", PAPER[0])
    assert cells is not None
    order, scores = _scored_frames(study), frames_iou(study, cells)
    assert len(order) == len(scores) == len(study.data.split.test)
    table = study.data.scenes.classes
    for place in (0, len(order) - 1):
        meter = OverlapMeter(table.names, table.ignore_index)
        ids = decode(study.data.scenes, *scale.size).take_masks([order[place]])
        meter.update(_predict(study, cells, [order[place]]), ids.astype(np.int64), ["one"])
        assert meter.result().sample_mean.iou == pytest.approx(scores[place])


@pytest.mark.slow
def test_figure_12_is_of_the_data_set_that_is_there(grown: Path) -> None:
    data = str(read_scale("smoke").cholecseg8k.spec)
    words = ["reproduce", "gauda-fig12", "--scale", "smoke", "--segmenters", "unet-ensemble"]
    words += ["--data", f'["{data}", "{data.replace("seed=0", "seed=1")}"]', "--out", str(grown.parent)]
    assert main([*words, "--datasets", "cholecseg8k", "--strategies", "classic"]) == 0
    values = json.loads((grown / "gauda-fig12.json").read_text())
    assert [sheet["title"].partition(":")[0] for sheet in values["sheets"]] == [
        "U-Net ensemble on phantom for CholecSeg8k"
    ]
    assert any(re.fullmatch("phantom for CaDISv2.*: not trained.", note) for note in values["notes"])


def test_figure_12_of_nothing_says_so() -> None:
    with pytest.raises(ConfigError, match="nothing to compare yet"):
        fig12({"cadis": cast(GaudaStudy, Untrained()), "cholecseg8k": cast(GaudaStudy, Untrained())}, "smoke")


class Judged:
    """A study of which runs are scored already: seed → accuracy, on frames and on pairs alike."""

    data = SimpleNamespace(scenes=SimpleNamespace(classes=SimpleNamespace(names=("liver", "fat"))))
    rare = ()

    def at_size(self, run: Path) -> dict[str, RecordingOverlap]:
        right = float(run.name)
        meter, rng = OverlapMeter(self.data.scenes.classes.names), np.random.default_rng(0)
        for recording in "abc":
            masks = rng.integers(0, 2, (2, 16, 16))
            meter.update(np.where(rng.random(masks.shape) < right, masks, 1 - masks), masks, [recording] * 2)
        return meter.recordings

    def on_pairs(self, run: Path, pairs: Path) -> dict[str, RecordingOverlap]:
        return self.at_size(run)


def test_so_is_a_share_of_its_own_seeds() -> None:
    study = cast(GaudaStudy, Judged())
    judges = {0: Path("0.9"), 1: Path("0.8"), 2: Path("0.7")}

    def share(judges: Cells, learners: Cells) -> tuple[float, float]:
        line = _coherence(study, judges, Path("pairs"), learners).of("label mean")
        assert line.so is not None
        return cast(float, line.so.share), cast(float, line.ro.value)

    one = {1: Path("0.75")}
    # As if no other seed had ever been trained, whereas RO is of all seeds.
    assert share(judges, one)[0] == share({1: judges[1]}, one)[0]
    assert share(judges, one)[1] != share({1: judges[1]}, one)[1]
    assert share(judges, judges) == (1.0, share(judges, one)[1])


def test_scores_on_pairs_are_written_under_the_lock_of_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, study = Judged().at_size(Path("0.9")), SimpleNamespace(scale=SimpleNamespace(size=(16, 16)))
    nothing = SimpleNamespace(classes=None, names=())
    for name, found in {
        "open_scenes": nothing,
        "decode": nothing,
        "read_record": None,
        "open_judge": SimpleNamespace(overlaps=lambda *scenes: judged),
    }.items():
        monkeypatch.setattr(f"rarescene.recipes.gauda.study.{name}", lambda *given, found=found: found)
    (tmp_path / PRIVATE / "partial").mkdir(parents=True)
    (tmp_path / PRIVATE / "partial" / "half.json").write_text("{")  # as a kill leaves it
    scores = GaudaStudy.on_pairs(cast(GaudaStudy, study), tmp_path, Path("pairs"))
    assert {name: one.to_dict() for name, one in scores.items()} == {
        name: one.to_dict() for name, one in judged.items()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["metrics_pairs.json"]


def test_inference_is_timed_until_the_gpu_has_done_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, queue = [0.0], [0.0]

    def launch(_: int) -> None:
        queue[0] += 3.0  # a call comes back at once

    def wait() -> None:
        clock[0] += queue[0]
        queue[0] = 0.0

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", wait)
    monkeypatch.setattr("rarescene.recipes.gauda.cost.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert _seconds(3, launch) == 3.0
    assert _seconds(1, launch) == 3.0  # nor does the warm-up count


class Untrained:
    """A study of which nothing is trained, and nothing may be."""

    title = "phantom"

    def cells(self, name: object, column: object) -> None:
        return None


def test_figure_8_names_an_option_that_its_recipe_takes() -> None:
    with pytest.raises(ConfigError, match="phantom, not trained yet: PHiSeg with GAUDA") as told:
        fig8({"cholecseg8k": cast(GaudaStudy, Untrained())}, "smoke")
    options = re.findall(r"--(\w+)", told.value.remedy)
    assert options
    assert set(options) <= set(RECIPES["gauda-fig8"].grows)


def test_failures_are_told_apart() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 10:30] = 1  # an instrument
    assert failure_shares(mask, mask, [1], 255) == (0, 0, 0)

    noisy = mask.copy()
    noisy[50, 50] = noisy[40, 5] = 1  # two specks of it
    noise, wrong, small = failure_shares(noisy, noisy, [1], 255)
    assert (noise, wrong, small) == (2 / 4096, 0, 0)
    assert failure_shares(noisy, noisy, [2], 255)[0] == 0

    seen = mask.copy()
    seen[10:30, 10:30] = 2  # another class altogether: 400 pixels, nearly a tenth
    assert failure_shares(mask, seen, [1], 255) == (0, 400 / 4096, 0)
    seen = mask.copy()
    seen[50:55, 50:55] = 2  # 25 pixels are below a hundredth
    assert failure_shares(mask, seen, [1], 255) == (0, 0, 25 / 4096)
    seen = mask.copy()
    seen[10:30, 30] = 1  # the border lies one pixel further
    assert failure_shares(mask, seen, [1], 255) == (0, 0, 0)
    unlabelled = mask.copy()
    unlabelled[10:30, 10:30] = 255
    assert failure_shares(unlabelled, mask, [1], 255) == (0, 0, 0)


def test_the_named_instruments_are_classes() -> None:
    for table in (CHOLECSEG8K, SETTINGS["2"].table):
        assert len(table.ids_of(INSTRUMENTS[table.name])) == len(INSTRUMENTS[table.name])
