"""The documentation runs: Python blocks are executed page by page, every command line must be one of ours."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def command_lines() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.name, line.strip()) for line in lines if line.strip().startswith("rarescene ")]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks(page, "python")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, text in enumerate(code, start=1):
        exec(compile(text, f"{page.name}, Python block {number}", "exec"), names)


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_are_understood(page: str, line: str) -> None:
    from rarescene.cli import commands, parse

    words = shlex.split(re.sub(r"\$\w+", "0", line), comments=True)[1:]
    name = next((word for word in (" ".join(words[:2]), words[0]) if word in commands()), None)
    assert name is not None, f"{page}: there is no such command: {line}"
    parse(name, words[len(name.split()) :])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_and_yaml_blocks_are_valid(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)
    for text in blocks(page, "yaml"):
        yaml.safe_load(text)


@pytest.mark.parametrize("text", [text for page in PAGES for text in blocks(page, "yaml") if "base:" in text])
def test_configurations_with_a_base_are_taken(text: str, tmp_path: Path) -> None:
    from rarescene.cli import parse

    (tmp_path / "hospital.yaml").write_text(text, encoding="utf-8")
    words = ["--config", str(tmp_path / "hospital.yaml"), "--data", "folder:hospital", "--out", "runs/casdm"]
    model = parse("train casdm", words)[1]["model"]
    written = yaml.safe_load(text)["model"]["training"]
    assert {name: vars(model.training)[name] for name in written} == written  # type: ignore[attr-defined]
    assert (model.height, model.network.base_channels) == (64, 48)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_code_that_pages_name_are_there(page: Path) -> None:
    folders = ("src", "tests", "examples", "benchmarks", "docs")
    known = [f"/{file.relative_to(ROOT)}" for folder in folders for file in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in known)] == []
