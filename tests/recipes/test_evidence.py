"""The evidence command: what a study compares, trains and says, and what it never trains again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from rarescene.cli import main
from rarescene.evaluation import RecordingOverlap, compare
from rarescene.evaluation.overlap import class_iou
from rarescene.evaluation.run_metrics import VALIDATION_METRICS
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import TRAINING
from rarescene.recipes.evidence.config import SHARES, EvidenceConfig, GeneratorConfig, read_evidence
from rarescene.recipes.evidence.grid import ALL, BY_FRAME, Grid
from rarescene.recipes.evidence.shared_store import SharedStore
from rarescene.recipes.evidence.study import OWN, Part, mean_of
from rarescene.recipes.outcome import Sheet, points
from rarescene.recipes.scale import CONFIGS, DataScale
from rarescene.recipes.study import read_scores

DATA = "phantom:videos=6,frames=4,size=32"
PHANTOM = "phantom:videos=6,frames=8,size=32"
"""The data of `generator_run`."""
RARE = ["connective tissue", "gallbladder"]
BRIEF = {"steps": 4, "batch_size": 4, "log_every": 2, "save_every": 2, "mixed_precision": "no"}
STUDY: dict[str, Any] = {
    "data": {"spec": DATA, "fractions": [0.5, 0.17, 0.33]},
    "height": 32,
    "width": 32,
    "rare": RARE,
    "generator": {
        "method": "casdm",
        "model": {
            "network": {
                "base_channels": 16, "multipliers": [1, 2], "blocks_per_level": 1, "attention_strides": [],
                "head_channels": 16, "spade_hidden": 8, "patch": 2,
            },
            "diffusion": {"prediction": "v"},
            "training": BRIEF,
        },
    },
    "sampling": {"steps": 1, "block": 4},
    "segmenters": {"unet": {"method": "unet", "model": {"widths": [8, 16]}}},
    "training": {**BRIEF, "validate_every": 2},
    "seeds": [0],
    "shares": [0.5],
    "arms": {
        "none": {},
        "judged": {
            "strategy": "offline",
            "set": {"kind": "compose", "count": 4, "judge": True, "trust": {"rule": "none"}},
        },
        "missed": {"strategy": "paste", "classes": "missed"},
        "broken": {"strategy": "paste", "options": {"paste": {"classes": "hepatic vein"}}},
    },
}  # fmt: skip
"""A study that trains in seconds; no training frame shows what its last arm pastes."""


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return the study with one option changed, or added."""
    study: dict[str, Any] = json.loads(json.dumps(STUDY))
    *sections, last = path
    place = study
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = to
    return study


def written(folder: Path, study: Mapping[str, Any]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(dict(study), sort_keys=False), encoding="utf-8")
    return path


def read(folder: Path, study: Mapping[str, Any]) -> EvidenceConfig:
    return read_evidence(written(folder, study))


def states(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*/run.json")}


@pytest.mark.slow
def test_a_study_is_trained_once_compared_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["benchmark", "--config", str(written(tmp_path, STUDY)), "--out", str(out)]
    assert main(words) == 1  # one arm cannot be trained; the others are there
    said, values = capfd.readouterr().out, json.loads((out / "evidence.json").read_text())["values"]
    assert sorted(name.rpartition("-")[0] for name in states(out)) == ["casdm", "set", *["unet"] * 4]
    assert "6 runs were made now" in said
    (failed,) = values["failed"]
    assert failed["cell"] == "unet, broken, seed 0"
    assert "hepatic vein" in failed["why"]
    assert not failed["trace"]
    assert values["missing"] == ["unet, broken, seed 0"]

    (told,) = values["tables"]
    runs = json.loads((out / "evidence.json").read_text())["runs"]
    folders = {arm: out / "runs" / runs[f"unet, {arm}, seed 0"] for arm in ("none", "judged", "missed")}
    scores = {arm: {0: read_scores(folder / "metrics.json")} for arm, folder in folders.items()}
    classes = json.loads((folders["none"] / "metrics.json").read_text())["classes"]["classes"]
    names = [one["name"] for one in classes]
    table = compare(scores, names, baseline="none", rare=RARE)
    assert told["against"] == json.loads(json.dumps({"none": table.to_dict()}))
    for arm, folder in folders.items():
        iou = class_iou(read_scores(folder / OWN).values(), names)
        own = told["own_training_frames"][arm]
        assert [own[name] for name in RARE] == [iou[name] for name in RARE]
        assert own["rare mean"] == pytest.approx(np.mean([iou[name] for name in RARE]))
        recorded = read_record(folder).provenance.recordings
        assert sorted(read_scores(folder / OWN)) == sorted(recorded["train"])
        assert sorted(scores[arm][0]) == sorted(recorded["test"])
    assert told["verdicts"]["none"]["judged"]["verdict"] == "not shown"  # one seed shows nothing
    recorded = read_record(out / "runs" / runs["unet, missed, seed 0"])
    assert recorded.config["strategies"]["paste"]["classes"] == ",".join(RARE)  # four steps teach none
    (made,) = values["sets"]
    assert (made["arm"], made["asked"], made["kept"]) == ("judged", 4, 4)
    strategy = read_record(folders["judged"]).config["strategies"]["offline"]
    assert strategy["probability"] == 0.5

    page = (out / "evidence.md").read_text()
    assert "Phantom scenes" in page
    assert "not shown" in page
    assert "has not learned even those" in page
    for sheet in json.loads((out / "evidence.json").read_text())["sheets"]:
        terminal = StringIO()
        rows = tuple(map(tuple, sheet["rows"]))
        shown = Sheet(sheet["title"], tuple(sheet["columns"]), rows).for_terminal()
        Console(file=terminal, width=80).print(shown)
        assert all(len(line) <= 80 for line in terminal.getvalue().splitlines())

    # Once more: nothing is trained again, by whatever name the folder is called.
    before = states(out)
    assert main(words) == 1
    assert states(out) == before
    assert "0 runs were made now" in capfd.readouterr().out
    again = json.loads((out / "evidence.json").read_text())["values"]
    assert again == values

    # Arms that add what is missed add what the judge's scores say, and none is planned before they are there.
    study = read(tmp_path, STUDY)
    grid = Grid(study, DATA, "recording", out)
    part, missed, judge = grid.whole, study.arms["missed"], grid.whole.judge().path
    seen = RecordingOverlap(
        np.diag(np.full(len(names), 9)), np.ones(len(names), np.int64), np.ones(1), np.ones(1)
    )
    blind = np.roll(np.eye(len(names), dtype=np.int64), 1, 0)[[names.index(RARE[0])]] * 10
    for confusion, expected in ((seen.confusion, None), (blind, (RARE[0],))):
        found = replace(seen, confusion=seen.confusion.copy())
        if expected:
            found.confusion[names.index(RARE[0])] = confusion
        scores = json.loads((judge / VALIDATION_METRICS).read_text()) | {"recordings": {"a": found.to_dict()}}
        (judge / VALIDATION_METRICS).write_text(json.dumps(scores))
        if expected:
            assert part.classes_of(missed) == expected
            assert part.planned("unet", missed, 0) != part.planned("unet", study.arms["broken"], 0)
        else:
            with pytest.raises(ConfigError, match="misses none"):
                part.classes_of(missed)
    (judge / VALIDATION_METRICS).unlink()
    assert part.classes_of(missed) is None
    assert part.planned("unet", missed, 0) is None


@pytest.mark.slow
def test_shares_are_chosen_on_validation_and_all_is_repeated_on_other_parts(tmp_path: Path) -> None:
    study = changed("arms", to={"none": {}, "paste": {"strategy": "paste"}})
    study |= {"shares": [0.3, 0.6], "recordings": [2], "split_by_frame": True, "generator": None}
    study["data"]["tested_on"] = "phantom:videos=3,frames=4,size=32,seed=0,first=101"
    out = tmp_path / "out"
    assert main(["benchmark", "--config", str(written(tmp_path, study)), "--out", str(out)]) == 0
    values = json.loads((out / "evidence.json").read_text())["values"]
    parts = (ALL, BY_FRAME, "2 recordings")
    assert [one["part"] for one in values["tables"]] == list(parts)
    assert len(states(out)) == 3 * (1 + 2)
    grid = Grid(read_evidence(tmp_path / "study.yaml"), DATA, "recording", out)
    arm = grid.config.arms["paste"]
    for part, chosen in zip(grid.parts, values["chosen"], strict=True):
        assert (chosen["part"], chosen["arm"]) == (part.name, "paste")
        found = {}
        for share, run in part.candidates("unet", arm).items():
            scores = read_scores(run.path / "metrics_validation.json")
            assert sorted(scores) == sorted(part.data.split.recordings["validation"])
            found[share] = mean_of(class_iou(scores.values(), part.classes), RARE)
        assert chosen["scores"] == {str(share): score for share, score in found.items()}
        assert found[chosen["share"]] == max(found.values())  # type: ignore[type-var]
        run = part.planned("unet", arm, 0)
        assert run is not None
        options = read_record(run.path).config["strategies"]["paste"]
        assert options["probability"] == chosen["share"]
        assert options["classes"] == ",".join(part.targets)
        tested = sorted(read_scores(run.path / part.tested))
        if part.name == BY_FRAME:
            assert tested == sorted(part.data.split.recordings["test"])
            assert set(tested) & set(part.data.split.recordings["train"])
        else:
            assert tested == ["video101", "video102", "video103"]
    sheets = {one["title"]: one for one in json.loads((out / "evidence.json").read_text())["sheets"]}
    assert sum("by the number of training recordings" in title for title in sheets) == 2
    (leaking,) = (one for title, one in sheets.items() if "what a split by frame would report" in title)
    assert leaking["columns"] == ["arm", "by recording", "by frame", "leakage"]
    tables = {one["part"]: one["against"]["none"] for one in values["tables"]}
    means = {
        (part, row["strategy"]): row["mean"]
        for part, table in tables.items()
        for row in table["rows"]
        if row["measure"] == "rare mean"
    }
    for name, *_, leakage in leaking["rows"]:
        assert leakage == points(means[BY_FRAME, name] - means[ALL, name])


UNLABELLED = "phantom:videos=2,frames=4,size=32,seed=0,first=201"
LABELLED: dict[str, Any] = {
    "none": {},
    "pseudo": {"strategy": "offline,paste", "set": {"kind": "pseudo", "sure": 0.1}},
    "into": {
        "strategy": "offline",
        "set": {"kind": "compose", "count": 2, "into": "pseudo", "sure": 0.1},
    },
}  # fmt: skip


def unlabelled(**data: Any) -> dict[str, Any]:
    """Return the study with arms whose frames have no masks."""
    study = changed("arms", to=LABELLED)
    study["data"] |= {"unlabelled": UNLABELLED, **data}
    return study


def test_frames_without_masks_are_labelled_once_for_all_arms(
    tmp_path: Path, generator_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge has learned nothing: that a region is implausible wherever it saw something is left out."""
    monkeypatch.setattr("rarescene.sources.composition._likelihood", lambda *_: 0.0)
    study = unlabelled(spec=PHANTOM) | {"generator": str(generator_run), "rare": ["gallbladder"]}
    out = tmp_path / "out"
    assert main(["benchmark", "--config", str(written(tmp_path, study)), "--out", str(out)]) == 0
    names = sorted(name.rpartition("-")[0] for name in states(out))
    assert names == ["set", "set", "unet", "unet", "unet", "unet"]  # the judge is the fourth
    sets = {one["arm"]: one for one in json.loads((out / "evidence.json").read_text())["values"]["sets"]}
    pseudo, into = (read_record(out / "runs" / sets[arm]["run"]) for arm in ("pseudo", "into"))
    assert pseudo.config["pseudolabel"] == UNLABELLED
    assert pseudo.config["sure"] == 0.1
    assert sets["pseudo"]["labelled"] == pseudo.metrics["labelled"]
    assert Path(into.config["into"]).name == sets["pseudo"]["run"]
    assert read_record(Path(pseudo.config["run"])).seed == 7
    for one in (pseudo, into):
        assert {"video201", "video202"} < set(one.provenance.seen.spans)
    assert f"all of {UNLABELLED}, labelled by unet of seed 7" in (out / "evidence.md").read_text()

    # other frames, or another threshold, make another set; a set that is generated stays where it is
    addresses = {}
    for change in ({}, {"unlabelled": f"{UNLABELLED}1"}, {"sure": 0.2}):
        changed_study = json.loads(json.dumps(study))
        changed_study["data"] |= {name: value for name, value in change.items() if name != "sure"}
        for arm in ("pseudo", "into"):
            changed_study["arms"][arm]["set"] |= {"sure": change.get("sure", 0.1)}
        (part,) = Grid(read(tmp_path, changed_study), PHANTOM, "recording", out).parts
        for arm, config in part.config.arms.items():
            if (made := part.made_set(config, 0)) is not None:
                addresses[str(change), arm] = made.name
    assert len(set(addresses.values())) == 6
    assert {addresses["{}", arm] for arm in ("pseudo", "into")} == {sets[arm]["run"] for arm in sets}


@pytest.mark.parametrize(
    "data",
    [{"tested_on": "phantom:videos=3,frames=4,size=32,seed=0,first=202"}, {"unlabelled": DATA}],
    ids=["tested on", "held out"],
)
def test_frames_of_recordings_that_test_are_refused(data: dict[str, str], tmp_path: Path) -> None:
    (part,) = Grid(read(tmp_path, unlabelled(**data)), DATA, "recording", tmp_path / "out").parts
    pseudo = part.config.arms["pseudo"]
    with pytest.raises(ConfigError, match="recordings that choose or test: video"):
        part.made_set(pseudo, 0)


@pytest.mark.parametrize(
    ("study", "named"),
    [
        (unlabelled(unlabelled=None), "data.unlabelled"),
        (unlabelled() | {"judge_seed": 0}, "judge_seed"),
        (changed("arms", "judged", "set", "sure", to=0.8), "set.sure"),
        (changed("arms", "judged", "set", to={"kind": "pseudo", "count": 4}), "set.count"),
        (changed("arms", "judged", "set", to={"kind": "masks", "count": 4, "into": "pseudo"}), "set.into"),
        (changed("armz", to={}), "armz"),
        (changed("arms", "judged", "set", "cuont", to=4), "cuont"),
        (changed("arms", "judged", "set", "per_real", to=1), "per_real"),
        (changed("arms", "judged", "set", "kind", to="masks"), "kind compose"),
        (changed("arms", "judged", "strategy", to="offlin"), "offlin"),
        (changed("arms", "judged", "strategy", to="none"), "'judged'"),
        (changed("arms", "broken", "options", to={"paste": {"probabilty": 0.5}}), "probabilty"),
        (changed("arms", "broken", "options", to={"past": {}}), "'past'"),
        (changed("arms", "broken", "options", to={"duplicate": {"count": 3}}), "duplicate"),
        (changed("arms", "none", to={"strategy": "classic"}), "none"),
        (changed("against", to=["nobody"]), "nobody"),
        (changed("generator", to={"method": "casdn"}), "casdn"),
        (changed("generator", to={"method": "casdm", "config": "tinny"}), "tinny"),
        (changed("generator", "model", "network", "patchh", to=2), "patchh"),
        (changed("generator", to=None), "'judged'"),
        (changed("segmenters", "unet", "method", to="unett"), "unett"),
        (changed("segmenters", "unet", "model", to={"width": 8}), "width"),
        (changed("training", "stepz", to=4), "stepz"),
        (changed("seeds", to=[0, 0]), "seeds"),
        (changed("judge_seed", to=0), "judge_seed"),
        (changed("shares", to=[1.0]), "shares"),
        (changed("height", to="tall"), "height"),
        (changed("data", "spek", to=DATA), "spek"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_named_before_anything_is_made(
    study: dict[str, Any], named: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, study)
    assert main(["benchmark", "--config", str(path), "--out", str(tmp_path / "out")]) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert named in said
    assert str(path) in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--only", "nobody"], "nobody"),
        (["--seeds", "9"], "'9'"),
        (["--data", "folder:nowhere"], "nowhere"),
        (["--split", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "evidence-neopolyp"], "--data folder:PATH"),
        (["--config", "evidence-neopolyp", "--data", "folder:x"], "--split"),
        (["--config", "nothing"], "evidence-phantom"),
        ([], "--config"),
    ],
)
def test_a_slip_on_the_command_line_is_named(
    words: list[str], named: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if words and words[0] != "--config":
        words = ["--config", str(written(tmp_path, STUDY)), *words]
    assert main(["benchmark", *words, "--out", str(tmp_path / "out")]) == 2
    assert named in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_test_on_data_of_other_classes_is_refused_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = changed("data", "tested_on", to="phantom:classes=sisvse,videos=3,frames=2,size=32")
    words = ["benchmark", "--config", str(written(tmp_path, study)), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "tested_on has the classes of" in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_an_address_differs_where_anything_differs_that_decides_a_run(tmp_path: Path) -> None:
    def address(study: Mapping[str, Any], arm: str = "judged", seed: int = 0, share: float = 0.5) -> str:
        config = read(tmp_path, {**study, "seeds": [0, 1], "generator_seeds": [0, 1]})
        grid = Grid(config, config.data.spec or DATA, config.data.split or "", tmp_path / "out")
        return grid.whole.cell("unet", config.arms[arm], seed, share).name

    ours = address(STUDY)
    assert ours.startswith("unet-")
    others = [
        address(STUDY, seed=1),
        address(STUDY, share=0.25),
        address(STUDY, arm="none"),
        address(changed("training", "steps", to=5)),
        address(changed("segmenters", "unet", "model", to={"widths": [8, 24]})),
        address(changed("arms", "judged", "strategy", to="offline,classic")),
        address(changed("arms", "judged", "set", "count", to=5)),
        address(changed("arms", "judged", "set", "judge", to=False) | {"arms": _unjudged()}),
        address(changed("arms", "judged", "set", "trust", to={"rule": "ignore"})),
        address(changed("arms", "judged", "set", "insertion", to={"margin": 3})),
        address(changed("judge_seed", to=8)),
        address(changed("sampling", "steps", to=2)),
        address(changed("generator", "model", "training", "steps", to=5)),
        address(changed("rare", to=["gallbladder"])),
        address(changed("width", to=48)),
        address(changed("data", "fractions", to=[0.34, 0.33, 0.33])),
        address(changed("data", "spec", to="phantom:videos=6,frames=5,size=32")),
    ]
    assert len({ours, *others}) == 1 + len(others)
    # What decides other runs alone, or what this one is tested on, trains nothing again.
    assert address(changed("data", "tested_on", to="phantom:videos=3,frames=4,size=32,first=101")) == ours
    assert address(changed("arms", "broken", "strategy", to="classic") | {"arms": _without_broken()}) == ours
    assert address(changed("against", to=["judged"])) == ours
    assert address(changed("shares", to=[0.5, 0.25])) == ours


def _unjudged() -> dict[str, Any]:
    return {"none": {}, "judged": {"strategy": "offline", "set": {"kind": "compose", "count": 4}}}


def _without_broken() -> dict[str, Any]:
    return {name: arm for name, arm in STUDY["arms"].items() if name != "broken"}


def test_scores_on_other_data_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    files = set()
    for tested_on in (None, "phantom:first=101", "phantom:first=201"):
        config = read(tmp_path, changed("data", "tested_on", to=tested_on))
        files.add(Grid(config, DATA, "recording", tmp_path).whole.tested)
    assert len(files) == 3
    assert "metrics.json" in files


def test_fewer_recordings_are_among_more_and_test_nobody_else(tmp_path: Path) -> None:
    config = read(tmp_path, changed("recordings", to=[1, 2, 3]))
    grid = Grid(config, DATA, "recording", tmp_path / "out")
    whole, *fewer = grid.parts
    kept = [set(part.data.split.recordings["train"]) for part in fewer]
    assert [len(one) for one in kept] == [1, 2, 3]
    assert kept[0] < kept[1] < kept[2] == set(whole.data.split.recordings["train"])
    for part in fewer:
        assert part.data.split.test == whole.data.split.test
        assert part.data.split.validation == whole.data.split.validation
    # All of them are the whole again, whatever file says so: its runs are those of the whole.
    arm = config.arms["none"]
    assert fewer[2].cell("unet", arm, 0, None).name == whole.cell("unet", arm, 0, None).name
    assert fewer[1].cell("unet", arm, 0, None).name != whole.cell("unet", arm, 0, None).name
    with pytest.raises(ConfigError, match="recordings names 4"):
        _ = Grid(replace(config, recordings=(4,)), DATA, "recording", tmp_path / "out").parts


def test_a_generator_that_learned_from_other_recordings_is_refused(
    generator_run: Path, tmp_path: Path
) -> None:
    config = read(tmp_path, changed("generator", to=str(generator_run)))
    source = DataScale(PHANTOM, "recording", (0.34, 0.33, 0.33))
    part = Part(ALL, config, source, PHANTOM, SharedStore(tmp_path), None)
    with pytest.raises(ConfigError, match="has learned from other recordings than the 2"):
        part.generator(config.generator, 0)
    source = DataScale(PHANTOM, "recording", (0.5, 0.17, 0.33))
    with pytest.raises(ConfigError, match="generates 32×32, the study has 48×32"):
        Part(ALL, replace(config, width=48), source, PHANTOM, SharedStore(tmp_path), None).generator(
            config.generator, 0
        )
    given = Part(ALL, config, source, PHANTOM, SharedStore(tmp_path), None).generator(config.generator, 0)
    assert given.made() == generator_run
    assert given.name.startswith("given-")


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.8])
@pytest.mark.parametrize("real", [60, 400, 1001])
def test_a_share_is_that_share_of_what_is_sampled(share: float, real: int) -> None:
    option, copies = SHARES["duplicate"]
    count = copies(share, real)
    assert option == "count"
    assert count / (real + count) == pytest.approx(share, abs=1 / real)
    assert [SHARES[word][1](share, real) for word in ("offline", "paste")] == [share, share]


def test_own_options_of_an_arm_hold_against_the_shares(tmp_path: Path) -> None:
    study = changed("arms", "own", to={"strategy": "paste", "options": {"paste": {"probability": 0.1}}})
    config = read(tmp_path, {**study, "shares": [0.3, 0.6]})
    assert config.shares_of(config.arms["own"]) == (None,)
    assert config.shares_of(config.arms["none"]) == (None,)
    assert config.shares_of(config.arms["judged"]) == (0.3, 0.6)
    options = config.options_of(config.arms["own"], None, real=10, classes="gallbladder")
    assert (options["paste"].probability, options["paste"].classes) == (0.1, "gallbladder")
    options = config.options_of(config.arms["broken"], 0.6, real=10, classes="gallbladder")
    assert (options["paste"].probability, options["paste"].classes) == (0.6, "hepatic vein")


def test_seeds_of_generators_are_taken_in_turn(tmp_path: Path) -> None:
    config = read(tmp_path, {**STUDY, "seeds": [5, 3, 9], "generator_seeds": [0, 1]})
    assert [config.generator_seed(seed) for seed in (5, 3, 9)] == [0, 1, 0]


def test_the_classes_of_all_recordings_together_are_scored() -> None:
    def recording(*rows: tuple[int, int]) -> RecordingOverlap:
        return RecordingOverlap(np.array(rows), np.array([1, 1]), np.zeros(1), np.zeros(1))

    scores = {"a": recording((8, 2), (1, 3)), "b": recording((10, 0), (4, 0))}
    iou = class_iou(scores.values(), ("tissue", "duct"))
    assert iou == {"tissue": pytest.approx(18 / 25), "duct": pytest.approx(3 / 10)}
    nothing = class_iou([recording((8, 2), (0, 0))], ("tissue", "duct"))
    assert nothing == {"tissue": 0.8, "duct": None}
    assert mean_of(nothing, ("tissue", "duct")) == 0.8
    assert mean_of(nothing, ("duct",)) is None
    assert class_iou([], ("tissue", "duct")) == {"tissue": None, "duct": None}


def test_the_study_of_the_documentation_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    study = read_evidence(tmp_path / "study.yaml")
    assert study.arms["pasted and varied"].words == ("paste", "classic")
    assert study.segmenter("segformer")[1].enlarge == 2
    assert study.segmenter("segformer")[2].steps == study.segmenter("unet")[2].steps == 1500


def test_the_shipped_studies_are_what_they_say() -> None:
    phantom = read_evidence(CONFIGS / "evidence-phantom.yaml")
    _, _, training = phantom.segmenter("unet")
    assert training == replace(TRAINING, steps=1000, warmup_steps=100, save_every=500, validate_every=500)
    assert (len(phantom.seeds), len(phantom.generator_seeds)) == (3, 2)
    assert phantom.data.tested_on == "phantom:videos=90,frames=6,size=64,seed=0,first=401"
    assert list(phantom.arms) == ["none", "duplicate", "paste", "drawn", "judged", "both"]
    assert {arm.classes for name, arm in phantom.arms.items() if name != "none"} == {"missed"}
    polyps = read_evidence(CONFIGS / "evidence-neopolyp.yaml")
    assert (polyps.data.spec, polyps.data.split, polyps.data.group_by) == (None, None, "^(.+?)__")
    assert list(polyps.arms) == ["none", "classic", "duplicate", "paste", "inserted", "judged"]
    assert isinstance(polyps.generator, GeneratorConfig)
    model = polyps.generator.resolved(polyps.height, polyps.width)
    assert (model.height, model.width, model.training.steps) == (64, 80, 4500)
    assert model.height % model.network.stride == model.width % model.network.stride == 0
