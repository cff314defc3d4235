"""A package of somebody else's, with a method of each family: driven by ordinary commands, and taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rarescene.testing import checks_of_package

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "plugin"
SOURCES = PACKAGE / "src" / "rarescene_plugin_example"
SIZE = ["--model.height=32", "--model.width=32"]
BRIEF = ["--mixed_precision=no", "--batch_size=4", "--log_every=10", "--save_every=10"]
INSTALL = "pip install rarescene-plugin-example"
DRIVER = """
import contextlib, io, json, sys
from rarescene.cli import main
told = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    told.append((code, out.getvalue(), err.getvalue()))
json.dump(told, sys.__stdout__)
"""


def install(site: Path, about: dict[str, Any], sources: Path) -> None:
    """Put a package into a folder of the import path, as an installer would."""
    name, version = about["name"], about["version"]
    shutil.copytree(sources, site / sources.name, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = about["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *map(" = ".join, points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run(site: Path | None, *commands: Sequence[object]) -> list[tuple[int, str, str]]:
    """Run commands one after the other in a fresh process, and return code, output and errors of each."""
    path = [*([str(site)] if site else []), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    words = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRIVER, words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(told) for told in json.loads(done.stdout)]  # type: ignore[misc]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example is installed."""
    folder = tmp_path_factory.mktemp("site")
    with (PACKAGE / "pyproject.toml").open("rb") as file:
        install(folder, tomllib.load(file)["project"], SOURCES)
    return folder


@pytest.fixture(scope="module")
def data(site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write = (
        "import pathlib, sys, rarescene_plugin_example.sample as s; s.write_strips(pathlib.Path(sys.argv[1]))"
    )
    path = os.pathsep.join([str(site), str(ROOT / "src")])
    words = [sys.executable, "-c", write, str(folder)]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, check=True)
    return f"strips:{folder}"


@pytest.fixture(scope="module")
def runs(site: Path, data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole road: a generator, a set, three segmenters and their scores; every command succeeds."""
    out = tmp_path_factory.mktemp("runs")
    brief = [f"--training.{word[2:]}" for word in BRIEF]
    on = ["--data", data, "--split", "strips"]
    segment = ["segment", "colours", *on, *brief, "--training.steps=20"]
    told = run(
        site,
        ["check", data],
        ["train", "painter", *on, *SIZE, *[f"--model.training.{word[2:]}" for word in BRIEF],
         "--model.training.steps=60", "--out", out / "painter"],
        ["synthesize", out / "painter", "--masks", data, "--classes", "clip", "--count", "4",
         "--out", out / "pairs"],
        [*segment, "--out", out / "none"],
        [*segment, "--strategy", "twice", "--twice.times=3", "--out", out / "twice"],
        [*segment, "--strategy", "offline", "--synthetic", out / "pairs", "--out", out / "offline"],
        ["segment", "unet", *on, *brief, "--training.steps=20", "--model.widths=[8,16]",
         "--strategy", "twice", "--out", out / "unet"],
        *[["evaluate", out / name, "--data", data] for name in ("none", "twice", "offline")],
        ["compare", out / "none", out / "twice", out / "offline"],
        ["report", out / "none", out / "twice", out / "offline", out / "painter", out / "pairs",
         "--out", out / "report.html"],
    )  # fmt: skip
    assert [(code, err) for code, _, err in told if code] == []
    (out / "told.json").write_text(json.dumps([text for _, text, _ in told]))
    return out


def test_the_ordinary_commands_take_the_methods(runs: Path) -> None:
    metrics = json.loads((runs / "twice" / "metrics.json").read_text())
    assert sum(metrics["accuracy"]["pixels"]) == 8 * 32 * 32  # two recordings of four frames
    told = json.loads((runs / "told.json").read_text())
    assert "accuracy" in told[7]
    assert "twice" in told[-2]
    page = (runs / "report.html").read_text()
    for name in ("twice", "Painter", "accuracy", "strips"):
        assert name in page, name
    assert "Paints each pixel" in (runs / "painter" / "README.md").read_text()


def test_a_run_says_which_package_brought_its_methods(runs: Path) -> None:
    package = "rarescene-plugin-example 1.0"
    record = json.loads((runs / "twice" / "run.json").read_text())
    assert record["config"]["package"] == record["config"]["strategies"]["twice"]["package"] == package
    assert record["data"]["package"] == package
    assert json.loads((runs / "painter" / "run.json").read_text())["config"]["package"] == package


def test_without_the_package_what_to_install_is_said(runs: Path, data: str) -> None:
    phantom = "phantom:videos=2,frames=2,size=32"
    told = run(
        None,
        ["evaluate", runs / "none", "--data", phantom],
        ["predict", runs / "none", runs / "pairs", "--out", runs / "predicted"],
        ["synthesize", runs / "painter", "--masks", phantom, "--out", runs / "more"],
        ["evaluate", runs / "unet", "--data", data],
        ["segment", "unet", "--data", phantom, "--strategy", "twice", "--out", runs / "unet", "--resume"],
    )
    things = (
        "dataset 'strips'",
        "segmenter 'colours'",
        "generator 'painter'",
        "dataset 'strips'",
        "strategy 'twice'",
    )
    for thing, (code, _, err) in zip(things, told, strict=True):
        assert code == 2
        said = " ".join(err.split())
        assert f"was made by the {thing} of rarescene-plugin-example 1.0, which is not installed here" in said
        assert INSTALL in said
    ((code, _, err),) = run(None, ["check", data])
    assert code == 2
    assert "install the package that brings it" in " ".join(err.split())


def test_a_broken_package_is_named_and_stops_nobody(site: Path, tmp_path: Path) -> None:
    broken, both = tmp_path / "broken_methods", tmp_path / "both"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('this one\\nis broken')\n")
    shutil.copytree(site, both)
    points = {
        "rarescene.segmenters": {"bad": "broken_methods:BAD", "odd": "rarescene_plugin_example.twice:TWICE"},
        "rarescene.generators": {"gone": "not_there:GONE"},
    }
    install(both, {"name": "broken-methods", "version": "0.1", "entry-points": points}, broken)
    ((code, out, err),) = run(both, ["--help"])
    assert code == 0
    assert "segment colours" in out
    assert "train painter" in out
    lines = err.strip().splitlines()
    assert len(lines) == 3
    assert all("of broken-methods" in line and "is left out" in line for line in lines)
    assert any("bad" in line and "RuntimeError: this one is broken" in line for line in lines)


def test_the_contract_holds(site: Path) -> None:
    """The package's own five lines of tests, as its author runs them."""
    path = os.pathsep.join([str(site), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "tests"],
        cwd=PACKAGE, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_a_package_that_declares_no_such_method_has_no_checks() -> None:
    with pytest.raises(ValueError, match="not-there declares no method: is it installed"):
        checks_of_package("not-there")
    with pytest.raises(ValueError, match="rarescene declares no unett"):
        checks_of_package("rarescene", unett={}, phantom={})


@pytest.mark.parametrize("file", sorted(SOURCES.glob("*.py")), ids=lambda file: file.name)
def test_each_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 40
