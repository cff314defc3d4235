"""What each shipped configuration and scale says, its bases resolved, is what `resolved_configs.json` says.

A change that is meant is written there by `python tests/recipes/test_resolved_configs.py`; read its diff.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rarescene.recipes
from rarescene.foundation.config_files import read_config_file

RECIPES = Path(rarescene.recipes.__file__).parent
RESOLVED = Path(__file__).with_name("resolved_configs.json")
FILES = {
    path.relative_to(RECIPES).as_posix(): path
    for path in sorted([*RECIPES.glob("configs/*.yaml"), *RECIPES.glob("*/scales/*.yaml")])
}


def resolved(path: Path) -> dict[str, Any]:
    options = read_config_file(path, path.parent).options
    options.pop("shared", None)  # what sections of a scale refer to
    return options


def test_the_files_are_those_that_ship() -> None:
    assert list(json.loads(RESOLVED.read_text(encoding="utf-8"))) == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_resolves_to_what_is_written_down(name: str) -> None:
    wanted = json.loads(RESOLVED.read_text(encoding="utf-8"))[name]
    found = resolved(FILES[name])
    assert found == wanted
    assert json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)  # 1 is not 1.0, nor true


if __name__ == "__main__":
    everything = {name: resolved(path) for name, path in FILES.items()}
    RESOLVED.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
