"""Strategies that decide while a segmenter is trained: what is asked for, resumed runs, ranks, wrong uses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rarescene.augmentation import AdaptiveSampling, DrawingConfig, GaudaConfig
from rarescene.augmentation.refresh_log import REFRESHES, refresh_line
from rarescene.augmentation.strategies import Strategies
from rarescene.cli import main
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.run_record import read_record
from rarescene.reports.refreshes_page import PAGE
from rarescene.scenes import Request, open_scenes
from rarescene.segmenters.unet_ensemble import UNetEnsemble
from rarescene.training import SceneBatches
from rarescene.training.loop import Learner
from rarescene.training.ranks import spare_device

from ..conftest import FRACTIONS, PHANTOM

BRIEFLY = [
    "--training.steps=8", "--training.batch_size=4", "--training.log_every=2", "--training.save_every=2",
    "--training.validate_every=2", "--training.mixed_precision=no", FRACTIONS,
]  # fmt: skip
ENSEMBLE = ["unet-ensemble", "--model.members=2", "--model.widths=[8,16]", *BRIEFLY]
UNET = ["unet", "--model.widths=[8,16]", *BRIEFLY]
DRAWN = [
    "--gauda.size=3", "--gauda.classes=2", "--gauda.samples=2", "--gauda.probability=0.5",
    "--sampling.steps=1", "--sampling.block=3", "--sampling.precision=no",
]  # fmt: skip
NAMES = open_scenes(PHANTOM).classes.names


@pytest.fixture
def gauda(joint_run: Path) -> list[str]:
    """The options of a GAUDA that draws three pairs in one step."""
    return ["--strategy=gauda", f"--generator={joint_run}", *DRAWN]


def segment(out: Path, words: Sequence[str], data: str = PHANTOM) -> int:
    return main(["segment", words[0], "--data", data, "--out", str(out), *words[1:]])


def refreshes(run: Path) -> list[dict[str, Any]]:
    """Return the lines of a run without what a clock wrote."""
    lines = read_json_lines(run / REFRESHES)
    return [{name: line[name] for name in line if name not in CLOCKED} for line in lines]


CLOCKED = ("seconds", "pause", "stood", "standstill")


def test_a_run_asks_for_what_is_uncertain_and_shows_what_it_got(
    gauda: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], joint_run: Path
) -> None:
    run = tmp_path / "run"
    assert segment(run, [*ENSEMBLE, *gauda]) == 0
    lines = read_json_lines(run / REFRESHES)
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    log = {
        line["step"]: line["validation"]
        for line in read_json_lines(run / "log.jsonl")
        if "validation" in line
    }
    assert log == {line["step"]: line["validation"] for line in lines}
    table = open_scenes(PHANTOM).classes
    for line in lines[:-1]:
        known = [value for value in line["iou"].values() if value is not None]
        assert line["validation"] == pytest.approx(np.mean(known))
        assert list(line["iou"]) == list(line["lead"]) == list(NAMES)
        assert (line["drawn"], line["kept"], len(line["classes"])) == (3, 3, 2)
        asked = [
            Request.parse(text, table).ids for text, times in line["requests"].items() for _ in range(times)
        ]
        assert len(asked) == 3
        assert not any(":" in text for text in line["requests"])  # classes alone are listened to
        wanted = [table.id_of(name) for name in line["classes"]]
        assert all(set(ids).intersection(wanted) for ids in asked)
        with Image.open(run / "refreshes" / f"step_{line['step']:08d}.png") as picture:
            assert picture.size == (3 * 32, 2 * 32)
    assert "lead" not in lines[-1]  # after the last step there is nothing to decide
    assert lines[0]["classes"][0] == max(
        lines[0]["staleness"], key=lambda name: lines[0]["lead"][name] or 0.0
    )  # of those that may be asked for
    record = read_record(run, "segmenter")
    assert record.config["strategies"]["gauda"]["size"] == 3
    assert record.config["drawn"]["generator"] == "joint_latent"
    assert set(read_record(joint_run).provenance.seen.spans) <= set(record.provenance.seen.spans)
    page = (run / PAGE).read_text()
    assert page.count("<img") == 3 * 3 * 2
    assert page.count('<span class="tag">rare</span>') == 2  # blood and cystic duct
    said = capfd.readouterr().out
    assert "step 2: most uncertain" in said
    assert "3 pairs sampled" in said
    assert "while it trained" in (run / "README.md").read_text()
    assert main(["evaluate", str(run), "--data", PHANTOM, "--quiet"]) == 0
    assert main(["report", str(run), "--out", str(tmp_path / "report.html")]) == 0
    assert f"what each refresh decided: {run / PAGE}" in (tmp_path / "report.html").read_text()


def test_prompted_maps_and_images_for_them_are_a_generator_too(
    generator_run: Path, maps_run: Path, tmp_path: Path
) -> None:
    words = [*ENSEMBLE, "--strategy=gauda", *DRAWN, "--training.steps=3", f"--generator={generator_run}"]
    words += [f"--maps={maps_run}", "--map_sampling.steps=1", "--map_sampling.tries=1"]
    assert segment(tmp_path / "run", words) == 0
    record = read_record(tmp_path / "run")
    seen = [set(read_record(run).provenance.seen.spans) for run in (generator_run, maps_run)]
    assert set.union(*seen) <= set(record.provenance.seen.spans)
    assert record.config["drawn"]["map_sampling"]["steps"] == 1
    assert read_json_lines(tmp_path / "run" / REFRESHES)[0]["drawn"] == 3


BETWEEN = ["--gauda.drawing.when=between_steps", "--gauda.drawing.ticks=1"]
ALL = ["--strategy=gauda,adaptive,classic", "--adaptive.by=uncertainty", "--adaptive.samples=2"]
JUDGED = [*BETWEEN, "--gauda.sieving.min_agreement=0.02", "--gauda.sieving.candidates=1"]
WAYS: dict[str, list[str] | None] = {
    "gauda": [], "between steps": BETWEEN, "judged between steps": JUDGED, "together": ALL, "adaptive": None,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_killed_and_resumed_equals_undisturbed(
    way: str, gauda: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = WAYS[way]
    options = [*UNET, "--strategy=adaptive"] if more is None else [*ENSEMBLE, *gauda, *more]

    def dies(self: Learner, step: int, average: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "before_step", dies)
        assert segment(tmp_path / "cut", options) == 130
    assert [line["step"] for line in refreshes(tmp_path / "cut")] == [2, 4]
    with (tmp_path / "cut" / REFRESHES).open("a") as file:
        file.write('{"step": 5, "stood": 0}\n')  # after the checkpoint, and so to be dropped
    assert segment(tmp_path / "cut", [*options, "--resume"]) == 0
    assert segment(tmp_path / "whole", options) == 0
    weights = [(tmp_path / name / "model/weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert refreshes(tmp_path / "whole") == refreshes(tmp_path / "cut")
    if way == "between steps":  # what the last refresh asked for is counted after the last step
        assert [line["drawn"] for line in refreshes(tmp_path / "whole")] == [0, 3, 3, 3]
    pictures = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "refreshes").glob("*.png")}
        for name in ("whole", "cut")
    ]
    assert pictures[0] == pictures[1]


def test_what_outlasts_an_interval_is_shown_where_it_was_asked_for(gauda: list[str], tmp_path: Path) -> None:
    drawing = ["--gauda.drawing.when=between_steps", "--gauda.drawing.ticks=1", "--gauda.drawing.block=1"]
    more = ["--gauda.size=2", "--training.steps=9"]
    assert segment(tmp_path / "run", [*ENSEMBLE, *gauda, *more, *drawing]) == 0
    lines = refreshes(tmp_path / "run")
    assert [(line["step"], line.get("waiting"), line["drawn"]) for line in lines] == [
        (2, False, 0), (4, True, 0), (6, False, 2), (8, True, 0), (9, None, 2),
    ]  # fmt: skip
    pictures = sorted(path.name for path in (tmp_path / "run" / "refreshes").glob("*.png"))
    assert pictures == ["step_00000002.png", "step_00000006.png"]


def test_scenes_are_drawn_by_the_weights_of_the_last_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, set[int]] = {}

    def only_one(self: AdaptiveSampling) -> list[float] | None:
        assert self._drawn_from is not None
        return None if self.needs is None else [float(place == 3) for place in range(len(self._drawn_from))]

    def watching(self: SceneBatches, step: int) -> np.ndarray:
        drawn[step] = set(indices(self, step).tolist())
        return indices(self, step)

    indices = SceneBatches.indices
    monkeypatch.setattr(AdaptiveSampling, "weights", only_one)
    monkeypatch.setattr(SceneBatches, "indices", watching)
    assert segment(tmp_path / "run", [*UNET, "--strategy=adaptive"]) == 0
    assert [len(drawn[step]) for step in range(8)] == [4, 4, 1, 1, 1, 1, 1, 1]
    lines = read_json_lines(tmp_path / "run" / REFRESHES)
    assert lines[0]["by"] == "score"
    for name, iou in lines[0]["iou"].items():
        assert lines[0]["lead"][name] == (None if iou is None else pytest.approx(1 - iou))


def test_a_posterior_is_computed_once_for_score_and_uncertainty(
    gauda: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    answer = UNetEnsemble.posterior

    def counting(self: UNetEnsemble, images: torch.Tensor, samples: int | None = None) -> torch.Tensor:
        seen.append(len(images))
        return answer(self, images, samples)

    monkeypatch.setattr(UNetEnsemble, "posterior", counting)
    monkeypatch.setattr(UNetEnsemble, "predict", None)
    words = [*ENSEMBLE, *gauda, "--training.steps=3", "--validation_scenes=5"]
    assert segment(tmp_path / "run", words) == 0
    assert seen == [5]


def test_two_strategies_that_weigh_and_draw_say_both(gauda: list[str], tmp_path: Path) -> None:
    words = [*ENSEMBLE, *gauda, "--strategy=adaptive,gauda", "--training.steps=3"]
    assert segment(tmp_path / "run", words) == 0
    line = read_json_lines(tmp_path / "run" / REFRESHES)[0]
    assert line["by"] == "uncertainty"
    assert line["weights"]
    assert line["drawn"] == 3


def test_a_line_fits_the_terminal() -> None:
    lead = {"liver": 0.012, "vein": None, "blood": 0.02714, "fat": 1e-5, "duct": 0.031, "grasper": 0.0101}
    line = {"step": 4000, "by": "uncertainty", "lead": lead, "drawn": 16, "kept": 14, "stood": 1.23}
    assert refresh_line(line) == (
        "step 4000: most uncertain duct 0.031, … → 16 pairs sampled, 14 kept, 1.2 s"
    )
    assert refresh_line(line | {"kept": 16}, 92) == (
        "step 4000: most uncertain duct 0.031, blood 0.027, liver 0.012, … → 16 pairs sampled, 1.2 s"
    )
    assert refresh_line(line | {"drawn": 0, "requests": {"duct": 9, "liver": 7}}).endswith(
        "duct 0.031, blood 0.027, … → 16 pairs asked for, 1.2 s"
    )
    assert refresh_line(line | {"drawn": 0, "waiting": True}).endswith("… → still sampling, 1.2 s")
    scored = line | {"by": "score", "lead": {"a": 0.9, "b": 0.2}, "drawn": 0, "weights": {"a": 1.5, "b": 0.8}}
    assert refresh_line(scored) == "step 4000: lowest IoU a 0.10, b 0.80 → weights up to ×1.5, 1.2 s"


WRONG = {
    "there is no strategy 'gaudi'": ["--strategy=gaudi"],
    "names classic twice": ["--strategy=classic,classic"],
    "none and something": ["--strategy=none,classic"],
    "needs a generator": ["--strategy=gauda"],
    "takes no generator": ["--strategy=classic", "--generator=RUN"],
    "needs a synthetic set": ["--strategy=offline,classic"],
    "none is given": ["--maps=MAPS"],
    "a unet has no posterior": ["--strategy=gauda", "--generator=RUN"],
    "leave adaptive.by at score": ["--strategy=adaptive", "--adaptive.by=uncertainty"],
    "duplicate adds some after it": ["--strategy=adaptive,duplicate"],
    "both weigh the scenes": [
        "--strategy=offline,adaptive",
        "--synthetic=SET",
        "--offline.probability=0.5",
    ],
    "and validates never": ["--strategy=adaptive", "--training.validate_every=0"],
    "validates every 8 steps": ["--strategy=adaptive", "--training.validate_every=8"],
    "'none' takes no --duplicate.*": ["--duplicate.classes=liver"],
    "'adaptive' takes no --duplicate.*": ["--strategy=adaptive", "--duplicate.count=3"],
    "'classic' takes no --offline.*": ["--strategy=classic", "--offline.probability=1"],
    "'duplicate' takes no --classic.*": ["--strategy=duplicate", "--classic.crop=0.1"],
    "'none' takes no --adaptive.*": ["--adaptive.by=uncertainty"],
    "Add gauda to --strategy, or leave --gauda.* out": ["--strategy=classic", "--gauda.sieving.request=kept"],
    "gives way to the seed of the run": ["--strategy=offline", "--synthetic=SET", "--offline.seed=1"],
    "validation_scenes is 0": ["--strategy=adaptive", "--validation_scenes=0"],
    "Give a number from 1 to": ["--validation_scenes=-1"],
    "samples is 1": ["--strategy=adaptive", "--adaptive.by=uncertainty", "--adaptive.samples=1"],
    "the split leaves none": ["--strategy=adaptive", "--fractions=[0.5,0,0.5]"],
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_uses_are_refused_before_anything_is_trained(
    message: str, tmp_path: Path, joint_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("=RUN", f"={joint_run}") for word in WRONG[message]]
    assert segment(tmp_path / "run", [*UNET, *words]) == 2
    assert message in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "run").exists()


MISFITS: dict[str, tuple[str, list[str]]] = {
    "saw recordings that are held out here": (PHANTOM, ["--split_seed=3"]),
    "generates 32×32, and the segmenter is to see 32×64": (PHANTOM, ["--height=64"]),
    "is not a run folder": (PHANTOM, ["--generator=nowhere"]),
    "generates its own masks": (PHANTOM, ["--maps=nowhere"]),
    "knows the classes of": ("phantom:videos=6,frames=4,size=32,classes=sisvse", []),
}


@pytest.mark.parametrize("message", MISFITS)
def test_a_generator_that_does_not_fit_is_refused(
    message: str, gauda: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, words = MISFITS[message]
    assert segment(tmp_path / "run", [*ENSEMBLE, *gauda, *words], data) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_generator_of_recordings_told_apart_otherwise_is_refused(
    gauda: list[str], joint_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "joint"
    shutil.copytree(joint_run, changed)
    value = json.loads((changed / "run.json").read_text())
    value["config"]["told_apart"] = {value["data"]["name"]: "(video)"}
    (changed / "run.json").write_text(json.dumps(value))
    assert segment(tmp_path / "run", [*ENSEMBLE, *gauda, f"--generator={changed}"]) == 2
    assert "could not be recognised" in capfd.readouterr().err


def test_a_run_is_resumed_with_its_strategy_and_generator_alone(
    gauda: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*ENSEMBLE, *gauda, "--training.steps=3"]
    assert segment(tmp_path / "run", words) == 0
    assert segment(tmp_path / "run", [*words, "--gauda.probability=0.1", "--resume"]) == 2
    assert "begun with another strategies" in capfd.readouterr().err
    assert segment(tmp_path / "run", [*words, "--sampling.steps=2", "--resume"]) == 2
    assert "begun with another drawn" in capfd.readouterr().err


def test_a_finished_run_is_not_made_longer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run of eight steps refreshes at the fourth, one of four steps has nothing to decide there."""
    words = [*UNET, "--strategy=adaptive"]
    assert segment(tmp_path / "run", [*words, "--training.steps=4"]) == 0
    record = (tmp_path / "run" / "run.json").read_bytes()
    assert segment(tmp_path / "run", [*words, "--resume"]) == 2
    assert "the run ended at step 4" in capfd.readouterr().err
    assert (tmp_path / "run" / "run.json").read_bytes() == record
    assert segment(tmp_path / "run", [*words, "--training.steps=4", "--resume"]) == 0


def test_a_run_goes_on_where_no_gpu_is_spare(
    gauda: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*ENSEMBLE, *gauda, "--training.steps=5", "--gauda.drawing.when=beside"]

    def dies(self: Learner, step: int, average: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "before_step", dies)
        patch.setattr("rarescene.training.ranks.spare_device", lambda: torch.device("cpu"))  # as on two GPUs
        assert segment(tmp_path / "run", words) == 130
    assert segment(tmp_path / "run", [*words, "--resume"]) == 0
    assert "no GPU is left beside the training" in capfd.readouterr().out
    assert read_record(tmp_path / "run").config["strategies"]["gauda"]["drawing"]["when"] == "beside"
    assert "classes, between the training steps, by" in (tmp_path / "run" / PAGE).read_text()


@pytest.mark.parametrize(
    ("gpus", "place", "ranks", "drawn_on"),
    [(2, "cuda:0", 1, "cuda:1"), (3, "cuda:1", 2, "cuda:2"), (2, "cuda:1", 2, None), (0, "cpu", 1, None)],
)
def test_what_is_drawn_beside_is_drawn_on_a_gpu_that_is_left(
    gpus: int, place: str, ranks: int, drawn_on: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device(place)
    rank = SimpleNamespace(device=device, local_process_index=device.index or 0, is_main_process=True)
    monkeypatch.setattr("rarescene.training.ranks.this_rank", lambda: rank)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert spare_device() == (None if drawn_on is None else torch.device(drawn_on))
    assert Strategies.named("gauda", {"gauda": GaudaConfig(drawing=DrawingConfig("beside"))}).beside
    assert not Strategies.named("gauda,classic", {}).beside


@pytest.mark.slow
def test_two_ranks_follow_the_first(
    gauda: list[str], tmp_path: Path, on_two_ranks: Callable[[Sequence[str], Path], None]
) -> None:
    words = [*ENSEMBLE, *gauda, "--strategy=gauda,adaptive"]
    assert segment(tmp_path / "one", words) == 0
    command = ["segment", words[0], "--data", PHANTOM, "--out", str(tmp_path / "two"), *words[1:]]
    on_two_ranks(command, tmp_path / "two")
    one, two = (load_file(tmp_path / name / "model" / "weights.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    both = [refreshes(tmp_path / name) for name in ("one", "two")]
    for first, second in zip(*both, strict=True):
        assert first.get("classes") == second.get("classes")
        assert first.get("requests") == second.get("requests")
        assert first["validation"] == pytest.approx(second["validation"], rel=1e-3)
