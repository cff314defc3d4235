"""Configuration files and their bases: what is laid over what, what is taken out, and who said it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rarescene.foundation.config_files import ConfigFile, find_config, read_config_file
from rarescene.foundation.errors import ConfigError

TINY = """
data: phantom:videos=2
model:
  height: 64
  channels: [8, 16]
  training: {steps: 10, rate: 1e-3}
  weights: {mode: balanced, exponent: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a folder `shipped` that holds one configuration, `tiny`."""
    put(tmp_path / "shipped" / "tiny.yaml", TINY)
    return tmp_path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> ConfigFile:
    return read_config_file(put(folder / "mine.yaml", text), folder / "shipped")


def options(folder: Path, text: str) -> Mapping[str, Any]:
    return read(folder, text).options


def test_a_file_without_a_base_is_what_it_says(folder: Path) -> None:
    wanted = {"seed": 3, "data": None, "model": {"rate": 1e-4}}
    assert options(folder, "seed: 3\ndata: null\nmodel: {rate: 1e-4}\n") == wanted
    assert options(folder, "{}\n") == {}


def test_sections_are_laid_over_each_other_and_the_rest_is_replaced(folder: Path) -> None:
    found = options(
        folder, "base: tiny\nseed: 1\nmodel: {channels: [4], training: {steps: 20, decay: cosine}}\n"
    )
    assert found == {
        "seed": 1,
        "data": "phantom:videos=2",
        "model": {
            "height": 64,
            "channels": [4],
            "training": {"steps": 20, "rate": 0.001, "decay": "cosine"},
            "weights": {"mode": "balanced", "exponent": 0.5},
        },
    }


def test_null_is_a_value_and_a_value_may_replace_a_section_or_become_one(folder: Path) -> None:
    found = options(folder, "base: tiny\ndata: {name: phantom}\nmodel: {training: null, weights: plain}\n")
    assert found["data"] == {"name": "phantom"}
    assert found["model"] == {"height": 64, "channels": [8, 16], "training": None, "weights": "plain"}


@pytest.mark.parametrize("says", ["model.training.steps: 20", "model.training: {steps: 20}"])
def test_a_nested_option_may_be_written_in_one_line(folder: Path, says: str) -> None:
    assert options(folder, f"base: tiny\n{says}\n")["model"]["training"] == {"steps": 20, "rate": 0.001}
    put(folder / "theirs.yaml", f"base: tiny\n{says}\n")
    nested = options(folder, "base: theirs.yaml\nmodel: {training: {steps: 30}}\n")
    assert nested["model"]["training"] == {"steps": 30, "rate": 0.001}
    assert set(nested) == {"data", "model"}


def test_what_is_listed_is_taken_out_of_the_base(folder: Path) -> None:
    found = options(
        folder,
        "base: tiny\nwithout: [data, model.weights, model.training.rate]\nmodel: {weights: {mode: plain}}\n",
    )
    assert found == {
        "model": {
            "height": 64,
            "channels": [8, 16],
            "training": {"steps": 10},
            "weights": {"mode": "plain"},
        }
    }


def test_what_is_taken_out_of_one_section_stays_in_another_that_repeats_it(folder: Path) -> None:
    put(folder / "theirs.yaml", "model: &same {steps: 1, rate: 2}\nother: *same\n")
    found = options(folder, "base: theirs.yaml\nwithout: [model.rate]\nother: {steps: 3}\n")
    assert found == {"model": {"steps": 1}, "other": {"steps": 3, "rate": 2}}


def test_a_base_is_a_shipped_name_or_a_path_relative_to_the_file(folder: Path) -> None:
    put(folder / "ours" / "large.yaml", "base: ../middle.yaml\nmodel: {height: 256}\n")
    put(folder / "middle.yaml", "base: tiny\nmodel: {height: 128}\nseed: 2\n")
    found = options(folder, "base: ours/large.yaml\nmodel: {channels: []}\n")
    assert (found["model"]["height"], found["model"]["channels"], found["seed"]) == (256, [], 2)
    assert found["model"]["training"]["steps"] == 10


def test_a_shipped_one_has_its_bases_among_its_own(folder: Path) -> None:
    path = put(folder / "shipped" / "wide.yaml", "base: tiny\nmodel: {height: 96}\n")
    assert read_config_file(path, folder / "shipped").options["model"]["height"] == 96
    assert options(folder, "base: wide\n")["model"]["height"] == 96


def test_each_option_knows_the_file_that_says_it(folder: Path) -> None:
    middle = put(folder / "middle.yaml", "base: tiny\nmodel: {training: {steps: 20}}\n")
    tiny, mine = folder / "shipped" / "tiny.yaml", folder / "mine.yaml"
    found = read(
        folder, "base: middle.yaml\nwithout: [model.channels]\nmodel: {weights: plain, height: 32}\n"
    )
    assert found.origins == {
        "data": tiny,
        "model": mine,
        "model.height": mine,
        "model.training": middle,
        "model.training.steps": middle,
        "model.training.rate": tiny,
        "model.weights": mine,
    }


def test_a_file_wins_over_a_shipped_configuration_of_its_name(folder: Path) -> None:
    assert find_config("tiny", folder, folder / "shipped") == folder / "shipped" / "tiny.yaml"
    put(folder / "tiny", "seed: 1\n")
    assert find_config("tiny", folder, folder / "shipped") == folder / "tiny"
    assert find_config(str(folder / "tiny"), Path("elsewhere"), folder / "shipped") == folder / "tiny"
    with pytest.raises(ConfigError, match=r"(?s)huge.*no such configuration file.*shipped one: tiny\."):
        find_config("huge", folder, folder / "shipped")


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("base: huge\n", "no configuration 'huge'", "shipped one: tiny."),
        ("base: [tiny]\n", "its base is ['tiny']", "`base: tiny`"),
        ("base:\nseed: 1\n", "its base is None", "`base: tiny`"),
        ("base: mine.yaml\n", "circle", "Take one `base:` out"),
        ("base: tiny\nwithout: model.height\n", "`without` is 'model.height'", "Write a list"),
        ("base: tiny\nwithout: [model.hight]\n", "'model.hight', which its base does not say", "correct it"),
        ("base: tiny\nwithout: [data.path]\n", "'data.path', which its base does not say", "correct it"),
        ("without: [data]\nseed: 1\n", "has no base", "`base: tiny`"),
        ("- seed\n", "holds no options", "option: value"),
        ("seed: [1\n", "not valid YAML", "Correct the file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_a_remedy(
    folder: Path, text: str, what: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert caught.value.path == folder / "mine.yaml"
    assert what in caught.value.what
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(("text", "what"), [("tiny\n", "holds no options"), ("a: [\n", "not valid YAML")])
def test_a_base_that_cannot_be_read_is_named_itself(folder: Path, text: str, what: str) -> None:
    put(folder / "theirs.yaml", text)
    with pytest.raises(ConfigError, match=what) as caught:
        read(folder, "base: theirs.yaml\n")
    assert caught.value.path == folder / "theirs.yaml"


def test_a_circle_is_shown_whole(folder: Path) -> None:
    put(folder / "ours" / "a.yaml", "base: b.yaml\n")
    put(folder / "ours" / "b.yaml", "base: ../ours/a.yaml\n")
    with pytest.raises(ConfigError, match=r"circle: .*mine.yaml → .*a.yaml → .*b.yaml → ") as caught:
        read(folder, "base: ours/a.yaml\n")
    assert caught.value.path == folder / "ours" / "b.yaml"
