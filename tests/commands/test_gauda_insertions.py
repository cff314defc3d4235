"""`segment … --strategy gauda --compose CLASSES`: uncertain classes are drawn into real training frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.run_folder import refresh_picture
from rarescene.foundation.run_record import read_record
from rarescene.reports.refreshes_page import PAGE
from rarescene.scenes import open_scenes
from rarescene.training.loop import Learner

from ..conftest import PHANTOM
from .test_segment_online import BETWEEN, DRAWN, ENSEMBLE, NAMES, refreshes, segment

NAMED = ["grasper", "gallbladder"]
COMPOSED = [
    "--strategy=gauda", f"--compose={','.join(NAMED)}", "--composition.on_top=black background", *DRAWN,
    "--training.steps=6", "--insertion.emphasis=1", "--insertion.margin=1",
]  # fmt: skip


@pytest.fixture(params=["generator_run", "joint_run"])
def composed(request: pytest.FixtureRequest) -> list[str]:
    """The options of a GAUDA that has an image or a joint generator draw into frames; neither needs maps."""
    return [f"--generator={request.getfixturevalue(request.param)}", *COMPOSED]


def pictured(run: Path, step: int) -> list[np.ndarray]:
    """Return images uint8 `(32, 32, 3)` of the pairs of a refresh."""
    with Image.open(refresh_picture(run, step)) as opened:
        images, _ = np.split(np.asarray(opened.convert("RGB")), 2)
    return np.split(images, images.shape[1] // 32, axis=1)


def test_it_asks_for_single_classes_and_gets_training_frames(composed: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert segment(run, [*ENSEMBLE, *composed]) == 0
    lines = refreshes(run)
    assert [line["step"] for line in lines] == [2, 4, 6]
    for line in lines[:-1]:
        assert sorted(line["classes"]) == sorted(NAMED)  # two are asked for, and there are two
        assert sum(line["requests"].values()) == 3
        assert set(line["requests"]) == set(NAMED)
        assert set(line["staleness"]) == set(NAMED)
        assert (line["drawn"], line["kept"], line["dropped"]) == (3, 3, {})
        assert line["lead"].keys() > set(NAMED)  # the uncertainty of all others is still told

    record = read_record(run, "segmenter")
    assert record.config["compose"] == "grasper,gallbladder"
    drawn = record.config["drawn"]
    assert drawn["compose"] == PHANTOM
    assert drawn["classes"] == ",".join(NAMED)
    assert drawn["insertion"] == {"margin": 1, "emphasis": 1.0, "whole": False}
    assert drawn["composition"]["on_top"] == "black background"
    assert set(record.provenance.seen.spans) <= set(record.provenance.recordings["train"])

    # every picture is a training frame, but for a region and its margin
    real = open_scenes(PHANTOM)
    frames = {scene.record.group: [] for scene in real}  # type: ignore[var-annotated]
    for scene in real:
        frames[scene.record.group].append(scene.image)
    for image in pictured(run, 2):
        changed = {
            group: min(int((image != frame).any(axis=-1).sum()) for frame in of)
            for group, of in frames.items()
        }
        nearest = min(changed, key=changed.__getitem__)
        assert 0 < changed[nearest] < 32 * 32 / 2
        assert nearest in record.provenance.recordings["train"]

    generator = drawn["generator"]
    page, card = (" ".join((run / name).read_text().split()) for name in (PAGE, "README.md"))
    assert (
        f"3 real training frames get a region each for the 2 most uncertain classes of grasper, gallbladder, "
        f"at once, by {generator};" in page
    )
    assert f"regions of grasper, gallbladder drawn into real training frames by {generator}" in card.replace(
        "\\", ""
    )
    assert main(["evaluate", str(run), "--data", PHANTOM, "--quiet"]) == 0
    assert main(["report", str(run), "--out", str(tmp_path / "report.html")]) == 0


def test_rare_means_what_it_means_everywhere(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [f"--generator={generator_run}", *COMPOSED, "--compose=rare", "--training.steps=3"]
    assert segment(tmp_path / "run", [*ENSEMBLE, *words]) == 0
    drawn = read_record(tmp_path / "run").config["drawn"]
    assert drawn["classes"] == "blood,cystic duct"
    said = capfd.readouterr().out
    assert "put into scenes: blood, cystic duct; stays on top: black background" in said
    assert "never shown" not in said  # of whole pairs, that would tell what is not asked for


@pytest.mark.parametrize("way", ["generator_run, between steps", "joint_run, at the refresh"])
def test_killed_and_resumed_equals_undisturbed(
    way: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, when = way.partition(", ")
    options = [*ENSEMBLE, f"--generator={request.getfixturevalue(run)}", *COMPOSED]
    options += BETWEEN if when == "between steps" else []

    def dies(self: Learner, step: int, average: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "before_step", dies)
        assert segment(tmp_path / "cut", options) == 130
    assert segment(tmp_path / "cut", [*options, "--resume"]) == 0
    assert segment(tmp_path / "whole", options) == 0
    weights = [(tmp_path / name / "model/weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert refreshes(tmp_path / "whole") == refreshes(tmp_path / "cut")


def test_a_run_is_resumed_with_its_composition_alone(
    generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*ENSEMBLE, f"--generator={generator_run}", *COMPOSED, "--training.steps=3"]
    assert segment(tmp_path / "run", words) == 0
    changes = {
        "--insertion.margin=3": "drawn", "--composition.mirror=0": "drawn",
        "--compose=grasper": "compose, drawn",
    }  # fmt: skip
    for change, named in changes.items():
        assert segment(tmp_path / "run", [*words, change, "--resume"]) == 2
        assert f"begun with another {named}" in capfd.readouterr().err


WRONG: dict[str, list[str]] = {
    "--compose has a generator draw into training frames, and none is given": [
        "--strategy=none", "--compose=rare"
    ],
    "Add --strategy gauda and --generator RUN, or leave --compose out": ["--strategy=none", "--compose=rare"],
    "strategy 'classic' takes no generator": ["--strategy=classic", "--generator=RUN", "--compose=rare"],
    "--compose takes its masks from training frames, not from --maps": [
        "--generator=RUN", "--compose=rare", "--maps=nowhere"
    ],
    "Add --compose, or leave them out": ["--generator=RUN", "--insertion.margin=3"],
    "--composition.* and --insertion.* speak of --compose": ["--generator=RUN", "--composition.scale=2"],
    "no maps are generated": ["--generator=RUN", "--compose=rare", "--map_sampling.steps=3"],
    "insertion.emphasis": ["--generator=RUN", "--compose=rare", "--insertion.emphasis=-1"],
    "cloud": ["--generator=RUN", "--compose=cloud"],
    "grasper is to be put into scenes, and lies on top": ["--generator=RUN", "--compose=grasper"],
    "saw recordings that are held out here": ["--generator=RUN", "--compose=rare", "--split_seed=3"],
    "Leave --height and --width out": ["--generator=RUN", "--compose=rare", "--height=64"],
    "every class is excluded": ["--generator=RUN", "--compose=gallbladder", "--gauda.exclude=[10]"],
    "no training scene has a place for gallbladder": [
        "--generator=RUN", "--compose=gallbladder", "--composition.places=1",
        "--composition.on_top=" + ",".join(name for name in NAMES if name != "gallbladder"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_wrong_uses_are_refused_before_anything_is_trained(
    message: str, generator_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("=RUN", f"={generator_run}") for word in WRONG[message]]
    usual: list[Any] = (
        [] if any(word.startswith("--strategy") for word in words) else ["--strategy=gauda", *DRAWN]
    )
    assert segment(tmp_path / "run", [*ENSEMBLE, *usual, *words]) == 2
    assert message in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_joint_generator_draws_no_whole_scene(
    joint_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*ENSEMBLE, f"--generator={joint_run}", *COMPOSED, "--insertion.whole=true"]
    assert segment(tmp_path / "run", words) == 2
    assert "draws no whole scene for a mask" in capfd.readouterr().err
